"""The cache of exported programs, and exporting many at once; `export.py` makes one."""

import errno
import os
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import active_children, get_context
from pathlib import Path
from tempfile import gettempdir

from contract.errors import PhonebookError
from device_agent.device import ProgramFile
from device_agent.places import full_folder
from device_agent.programs.program import Program
from device_agent.supervisor import Halted, Supervisor

LOOK_S = 0.5


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

    def __init__(self, folder: Path) -> None:
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

        Runs `exporter` in worker processes, one per CPU; all have ended when the iterator has,
        also where it is closed early.

        Raises:
            PhonebookError: a worker process died, or could not write its file; what was finished
                before stays cached.
            Halted: the supervisor ended it; what is at hand is broken off.
        """
        todo = [program for program in programs if not self.file(program).path.exists()]
        for program in programs:
            if program not in todo:
                yield Exported(program, self.file(program), None, was_cached=True)
        if not todo:
            return
        pool = ProcessPoolExecutor(
            max_workers=min(os.cpu_count() or 1, len(todo)),
            mp_context=get_context("spawn"),
            initializer=_quiet_worker,
            initargs=(str(self._folder / "export.log"),),
        )
        try:
            futures = {
                pool.submit(exporter, program, self.file(program)): program for program in todo
            }
            for future in _as_completed(futures, supervisor or Supervisor()):
                program, error = futures[future], future.exception()
                if isinstance(error, BrokenProcessPool):
                    raise PhonebookError(
                        f"exporting {program.name}: a worker process died (out of memory?); "
                        "what was exported is kept, run the same command to go on"
                    ) from error
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


def _quiet_worker(log: str) -> None:
    """Leave Ctrl-C to the parent, and the libraries' chatter to a log file."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
