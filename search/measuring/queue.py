"""Work for agents that serve: filed as a job, and waited for."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

from rich.console import Console

from contract import commands
from contract.client import TableClient
from contract.errors import DeviceFailed, PhonebookError, is_passing
from contract.jobs import LEASE, Job, JobReport
from search.console import progress_bar

POLL_S = 1.0
STEP_S = 0.1
QUIET_S = 15.0  # waiting for so long that somebody should know why

Answer = TypeVar("Answer")


def is_served(client: TableClient, device: str) -> bool:
    """Whether an agent that was heard of lately, by the server's clock, has a unit of that
    device."""
    since = (client.health().now or datetime.now(UTC)) - LEASE
    return any(
        agent.seen_at > since and any(unit.device == device for unit in agent.description.units)
        for agent in client.agents()
    )


def file_and_wait(
    client: TableClient,
    job: Job,
    *,
    console: Console,
    stop: Callable[[], bool] = lambda: False,
    poll_s: float = POLL_S,
    quiet_s: float = QUIET_S,
) -> JobReport:
    """File the job and wait until it is done, however long the server is away meanwhile.

    Raises:
        DeviceFailed: it is dead; the message says why.
        PhonebookError: somebody cancelled it, or the server refused it.
        KeyboardInterrupt: `stop` or Ctrl-C ended the waiting; the job stays filed.
    """
    report = until_it_answers(
        lambda: client.file_job(job), console=console, stop=stop, poll_s=poll_s
    )
    console.print(f"job {job.id} is filed for {job.device}")
    waiting = _Waiting(client, job, console, quiet_s=quiet_s)
    try:
        with progress_bar(console) as bar:
            task = bar.add_task("waiting for an agent", total=None)
            while report.state in ("waiting", "leased"):
                if report.progress is not None:
                    bar.update(
                        task,
                        description=report.progress.what,
                        completed=report.progress.done,
                        total=report.progress.total,
                    )
                _pause(poll_s, stop)
                report = waiting.ask_again(report)
    except KeyboardInterrupt:
        console.print(
            f"job {job.id} stays filed: an agent will do it all the same; "
            f"`{commands.cancel_job(job.id, server=client.server)}` calls it off"
        )
        raise
    if report.state == "dead":
        raise DeviceFailed(
            f"job {job.id} is dead after {report.attempts} attempts: {report.reason}"
        )
    if report.state == "cancelled":
        raise PhonebookError(
            f"job {job.id} was cancelled; the same command files it again, under a new id"
        )
    console.print(f"job {job.id} is done")
    return report


def until_it_answers(
    ask: Callable[[], Answer],
    *,
    console: Console,
    stop: Callable[[], bool] = lambda: False,
    poll_s: float = POLL_S,
) -> Answer:
    """What the server answers, however long it is away. Asked twice it must change nothing twice.

    Raises:
        PhonebookError: it refused.
        KeyboardInterrupt: `stop` ended the waiting.
    """
    is_said = False
    while True:
        try:
            return ask()
        except PhonebookError as error:
            if not is_passing(error):
                raise
            if not is_said:
                console.print(f"{error}; trying again until it answers")
            is_said = True
        _pause(poll_s, stop)


class _Waiting:
    """Asks how the job stands, and says what the waiting is for whenever that changes."""

    def __init__(self, client: TableClient, job: Job, console: Console, *, quiet_s: float) -> None:
        self._client = client
        self._job = job
        self._console = console
        self._quiet_s = quiet_s
        self._hint_at = time.monotonic() + quiet_s
        self._said = ""

    def ask_again(self, report: JobReport) -> JobReport:
        """The job as it is now, or the last one known while the server is away."""
        try:
            report = self._client.job(self._job.id)
            if report.state == "leased":
                self._say(f"attempt {report.attempts}: an agent works on {report.unit}")
                self._hint_at = time.monotonic() + self._quiet_s
            elif report.state == "waiting" and time.monotonic() >= self._hint_at:
                self._say(self._hint())
                self._hint_at = time.monotonic() + self._quiet_s
        except PhonebookError as error:
            if not is_passing(error):
                raise
            self._say(f"{error}; still waiting")
        return report

    def _say(self, line: str) -> None:
        if line != self._said:
            self._console.print(line)
        self._said = line

    def _hint(self) -> str:
        device = self._job.device
        if is_served(self._client, device):
            return f"the agents that serve {device} have other jobs before this one"
        return (
            f"no agent serves {device} now; start one on the computer that has it: "
            f"`{commands.serve(device, server=self._client.server)}`, or "
            f"with --name {device} where that is only its name on the server"
        )


def _pause(seconds: float, stop: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if stop():
            raise KeyboardInterrupt
        time.sleep(STEP_S)
