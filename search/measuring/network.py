"""Has a network measured whole on its device: by an agent that serves, or by a program here."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal
from uuid import uuid4

from pydantic import ValidationError
from rich.console import Console

from contract.client import table_client
from contract.errors import DeviceFailed, PhonebookError, is_passing
from contract.estimates import Estimate
from contract.footprint import Footprint
from contract.jobs import Job, MeasureNetwork
from contract.levels import AtLevel
from contract.networks import Network
from contract.results import NetworkMeasured
from contract.runtime import Runtime
from contract.tables import LatencyTable
from search.measuring.queue import file_and_wait, is_served

AGENT = (sys.executable, "-m", "device_agent.network")
TIMEOUT_S = 3600.0

# auto: in the server's queue where an agent serves the device, else here.
Where = Literal["auto", "queue", "here", "no"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """A network to measure. `words` are how `device_agent.network` is told of it."""

    network: Network
    device: str
    runtime: Runtime
    words: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """How long the network takes, and by what: `job ID`, or `this computer, PROGRAM`.

    `low_us` and `high_us` bound the latency with 95 % confidence. `at_level`
    is the latency at the level of the table's session. An agent of a version before tells neither
    that nor a footprint.
    """

    latency_us: float
    low_us: float
    high_us: float
    by: str
    footprint: Footprint | None
    at_level: AtLevel | None

    @classmethod
    def of(
        cls,
        estimate: Estimate,
        footprint: Footprint | None,
        at_level: AtLevel | None,
        *,
        by: str,
    ) -> "Measured":
        return cls(
            latency_us=estimate.latency_us,
            low_us=estimate.low_us,
            high_us=estimate.high_us,
            by=by,
            footprint=footprint,
            at_level=at_level,
        )

    def at_level_of(self, table: LatencyTable) -> AtLevel | None:
        """The latency at the level of the session that the table rests on, where it is known."""
        at = self.at_level
        return at if at is not None and at.level.session == table.main_session else None

    @property
    def words(self) -> str:
        """`measured by job ID`, what the network takes besides, and at which level."""
        besides = f": {self.footprint.words}" if self.footprint else ""
        level = f"; the device {self.at_level.level.words}" if self.at_level else ""
        return f"measured by {self.by}{besides}{level}"


Measure = Callable[[Subject], Measured]


class MeasurementFailed(PhonebookError):
    """The agent explained on the screen what went wrong, and ended with `exit_code`."""

    def __init__(self, message: str, *, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def where_of(table: LatencyTable, asked: Where) -> Where:
    """Where networks are measured that are predicted by that table: where it was asked for.

    Nobody measures a device by itself of which others told the latencies: it need not be here.

    Raises:
        PhonebookError: it was asked for under a runtime that is another program's.
    """
    if table.origin != "imported" or asked == "no":
        return asked
    if asked == "auto":
        return "no"
    if table.runtime.backend == "foreign":
        raise PhonebookError(
            f"--measure {asked}: nobody can measure under {table.runtime.key}, which is another "
            f"program's, as the table of {table.device} is {table.provenance}; leave --measure out"
        )
    return asked


def measurer(
    where: Where, *, server: str, console: Console, stop: Callable[[], bool] = lambda: False
) -> Measure | None:
    """What measures a network there; None where it is to stay unmeasured.

    The server has answered this program before: it gave the table that the network comes of.
    """
    by_queue = partial(measure_in_queue, server=server, console=console, stop=stop)
    here = partial(measure_here, server=server)

    def where_it_is_served(subject: Subject) -> Measured:
        try:
            with table_client(server, answered_before=True) as client:
                served = is_served(client, subject.device)
        except PhonebookError as error:
            if not is_passing(error):
                raise
            console.print(f"{error}; measuring here")
            served = False
        return by_queue(subject) if served else here(subject)

    by_name: dict[Where, Measure | None] = {
        "auto": where_it_is_served,
        "queue": by_queue,
        "here": here,
        "no": None,
    }
    return by_name[where]


def measure_in_queue(
    subject: Subject, *, server: str, console: Console, stop: Callable[[], bool]
) -> Measured:
    """Have an agent that serves the device measure it, with weights of the agent's own.

    Raises:
        DeviceFailed: no attempt succeeded.
        KeyboardInterrupt: the waiting was ended; the job stays filed.
    """
    work = MeasureNetwork(space=subject.network.space.name, blocks=subject.network.blocks)
    job = Job(id=uuid4(), device=subject.device, runtime=subject.runtime, work=work)
    with table_client(server, answered_before=True) as client:
        report = file_and_wait(client, job, console=console, stop=stop)
    if report.estimate is None:
        raise DeviceFailed(f"job {job.id} is done without a measurement; file it again")
    return Measured.of(report.estimate, report.footprint, report.at_level, by=f"job {job.id}")


def measure_here(subject: Subject, *, server: str, agent: Sequence[str] = AGENT) -> Measured:
    """Run the agent, as a program of its own, on this computer; its log goes to the screen.

    Raises:
        MeasurementFailed: it ended with another code than 0.
        DeviceFailed: it did not end, was killed, or answered something else.
    """
    of_device = ("--device", subject.device, "--runtime", subject.runtime.key)
    command = [*agent, *of_device, "--server", server, *subject.words, "--json"]
    shown = " ".join(command[1:])
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, text=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise DeviceFailed(f"`python {shown}` did not end within {TIMEOUT_S:g} s") from error
    if done.returncode < 0:
        raise DeviceFailed(f"`python {shown}` was killed by signal {-done.returncode}")
    if done.returncode > 0:
        raise MeasurementFailed(
            f"the network was not measured: `python {shown}` ended with {done.returncode}; "
            "its message is above",
            exit_code=done.returncode,
        )
    return parse_measurement(done.stdout)


def parse_measurement(output: str) -> Measured:
    """The measurement in the last line of the agent's output.

    Raises:
        DeviceFailed: that line is something else.
    """
    last_line = (output.strip().splitlines() or [""])[-1]
    try:
        answer = NetworkMeasured.model_validate_json(last_line)
    except ValidationError as error:
        raise DeviceFailed(
            f"expected a measurement in the agent's last line, got {last_line[:200]!r}; "
            "are both parts of the same version?"
        ) from error
    return Measured.of(
        answer, answer.footprint, answer.at_level, by=f"this computer, {answer.program}"
    )
