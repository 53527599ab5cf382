"""The cache of exported programs, and exporting many at once; `export.py` makes one."""

import errno
import os
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass
from multiprocessing import active_children, get_context, parent_process
from pathlib import Path
from tempfile import gettempdir

from contract.errors import PhonebookError
from device_agent import screen
from device_agent.allowance import free_memory_bytes, usable_cpus
from device_agent.device import ProgramFile
from device_agent.places import full_folder
from device_agent.programs.program import Program
from device_agent.supervisor import Halted, Supervisor

LOOK_S = 0.5
WORKER_BYTES = 600 << 20  # a process with torch and ExecuTorch, and the program that it exports


@dataclass(frozen=True, slots=True)
class Exported:
    """One finished export: the file, or why there is none."""

    program: Program
    file: ProgramFile | None
    error: str | None
    was_cached: bool


Exporter = Callable[[Program, ProgramFile], None]

_UNWRITABLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM})


class ProgramCache:
    """Exported programs in a folder, by content. Files appear whole or not at all."""

    def __init__(self, folder: Path, *, workers: int | None = None) -> None:
        """`workers` is how many processes export at most [what this computer has room for]."""
        self._workers = workers or _workers()
        self._folder = folder / "programs"
        self._folder.mkdir(parents=True, exist_ok=True)

    def file(self, program: Program) -> ProgramFile:
        return ProgramFile(self._folder / f"{program.file_stem}.pte")

    def export(
        self,
        programs: Sequence[Program],
        exporter: Exporter,
        supervisor: Supervisor | None = None,
    ) -> Generator[Exported, None, None]:
        """Yield every program as it becomes available, cached ones first.

        Runs `exporter` in worker processes, as many as CPUs and memory allow; all have ended when
        the iterator has, also where it is closed early, and end with this process. Where one dies,
        half as many go on with what is left.

        Raises:
            PhonebookError: the last worker process died, or one could not write its file; what was
                finished before stays cached.
            Halted: the supervisor ended it; what is at hand is broken off.
        """
        todo = [program for program in programs if not self.file(program).path.exists()]
        for program in programs:
            if program not in todo:
                yield Exported(program, self.file(program), None, was_cached=True)
        workers = self._workers
        while todo:
            workers = min(workers, len(todo))
            try:
                with closing(
                    self._export(todo, workers, exporter, supervisor or Supervisor())
                ) as exports:
                    for exported in exports:
                        todo.remove(exported.program)
                        yield exported
            except BrokenProcessPool as died:
                if workers == 1:
                    raise PhonebookError(
                        f"exporting {todo[0].name}: its worker process died, which had this "
                        "computer for itself (out of memory?); what was exported is kept, run the "
                        "same command to go on"
                    ) from died
                workers //= 2
                screen.console.print(
                    f"a worker process that exported died (out of memory?); {workers} of them go "
                    "on"
                )

    def _export(
        self,
        programs: Sequence[Program],
        workers: int,
        exporter: Exporter,
        supervisor: Supervisor,
    ) -> Generator[Exported, None, None]:
        """Raises BrokenProcessPool where a worker died: what it was at is not told."""
        pool = ProcessPoolExecutor(
            max_workers=workers,
            mp_context=get_context("spawn"),
            initializer=_begin_worker,
            initargs=(str(self._folder / "export.log"),),
        )
        try:
            futures = {
                pool.submit(exporter, program, self.file(program)): program for program in programs
            }
            for future in _as_completed(futures, supervisor):
                program, error = futures[future], future.exception()
                if isinstance(error, BrokenProcessPool):
                    raise error
                if isinstance(error, OSError) and error.errno in _UNWRITABLE:
                    raise PhonebookError(
                        f"exporting {program.name}: {error}; what was exported is kept in "
                        f"{self._folder}. Free the disk or mend its rights, then run the same "
                        "command to go on"
                    ) from error
                full = full_folder([self._folder, Path(gettempdir())]) if error else None
                if full is not None:
                    raise PhonebookError(
                        f"exporting {program.name}: the disk of {full} is full ({error}); what "
                        "was exported is kept. Free some, then run the same command to go on"
                    ) from error
                if error is None:
                    yield Exported(program, self.file(program), None, was_cached=False)
                else:
                    yield Exported(program, None, f"{type(error).__name__}: {error}", False)
        except (GeneratorExit, KeyboardInterrupt, Halted):
            for worker in active_children():  # what they are at is exported the next time
                worker.terminate()
            raise
        finally:
            pool.shutdown(cancel_futures=True)


def _as_completed(
    futures: Collection["Future[None]"], supervisor: Supervisor
) -> Iterator["Future[None]"]:
    """Each as it completes; asks the supervisor meanwhile."""
    pending = set(futures)
    while pending:
        completed, pending = wait(pending, timeout=LOOK_S, return_when=FIRST_COMPLETED)
        supervisor.check()
        yield from completed


def export_to_pte(program: Program, file: ProgramFile) -> None:
    """The exporter of `ProgramCache.export`; torch is imported in its worker process only."""
    from device_agent.programs.export import export

    export(program, file)


def _workers() -> int:
    """As many as compute at once and have their memory, and one in any case."""
    return max(1, min(usable_cpus(), free_memory_bytes() // WORKER_BYTES))


def _begin_worker(log: str) -> None:
    """Leave Ctrl-C to the parent, and the libraries' chatter to a log file; end with the parent,
    whatever ended that."""
    import signal
    from threading import Thread

    Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
