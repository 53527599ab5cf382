"""What every run works with: the processes, the screen, and the wish to stop."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from rich.console import Console
from rich.progress import Progress, TaskID

from contract.stopping import Stop
from search.config import MachineConfig
from search.console import plain_console, progress_bar
from search.processes import Processes, join_processes


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """This process's share of a run. Only the first process prints."""

    machine: MachineConfig
    processes: Processes
    console: Console
    stop: Stop

    @contextmanager
    def progress(self, what: str, *, steps: int, done: int) -> Iterator[Callable[[], bool]]:
        """A bar over the steps; call what it gives after each one to learn whether to stop."""
        with progress_bar(self.console) as bar:
            task = bar.add_task(what, total=steps, completed=done)
            yield lambda: self._after_step(bar, task)

    def _after_step(self, bar: Progress, task: TaskID) -> bool:
        bar.advance(task)
        asked = self.stop.asked
        if asked:
            self.console.print("stopping after this step; Ctrl-C again ends at once")
        return asked


@contextmanager
def open_run(machine: MachineConfig) -> Iterator[RunContext]:
    """Join the run's processes, seed PyTorch and listen for Ctrl-C."""
    torch.set_num_threads(machine.threads)
    torch.manual_seed(machine.seed)
    with join_processes(accelerator=machine.accelerator) as processes, Stop() as stop:
        screen = plain_console() if processes.is_first else Console(quiet=True)
        yield RunContext(machine=machine, processes=processes, console=screen, stop=stop)
