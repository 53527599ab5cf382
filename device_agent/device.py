"""What a device promises: to say what it is, and to time a program; and what a kind of device is.

The kinds that there are stand in `devices.registry`.
"""

import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from contract.devices import Conditions, DeviceDescription, Serial
from contract.errors import PhonebookError
from contract.runtime import Runtime, RuntimeRequest
from contract.sessions import Origin
from contract.timings import FailureCode
from device_agent.patience import PatienceOptions


@dataclass(frozen=True, slots=True)
class ProgramFile:
    """An exported program: the `.pte`, and beside it what it must compute and who computes it."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def expected_output(self) -> Path:
        """The raw float32 output that eager PyTorch gave."""
        return self.path.with_suffix(".expected")

    @property
    def delegation(self) -> Path:
        """Which parts of it run in a backend, and which operators do not."""
        return self.path.with_suffix(".delegation")


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """How long one visit to a program lasts: until both the count and the duration are reached.

    Both bounds are LiteRT's benchmark_model's idea; `max_runs` bounds what a tiny operator stores.
    """

    warmup_runs: int
    min_runs: int
    max_runs: int
    min_duration_s: float
    deadline_s: float
    trace: bool = False  # also time each operator inside the program


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One operator that a delegate ran, and how long each run spent in it.

    XNNPACK tells whole microseconds, and 0 ns for what it did not have to do.
    """

    name: str
    samples_ns: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ProgramTiming:
    """One visit: every run's duration in ns, in the order taken, without load and warm-up.

    A probe is a fixed amount of work on the same CPU, timed in ns outside the runs: one before
    each run and one after the last, so that run i lies between the probes i and i + 1. It takes
    longer the more the device is disturbed, and compares within one device and runner alone. So
    do the two memory probes, which reach beyond a core's own caches: before the warm-up and after
    the last run, where the runner has them.
    """

    samples_ns: tuple[int, ...]
    probes_ns: tuple[int, ...]
    memory_probes_ns: tuple[int, int] | None = None
    first_run_ns: int
    load_ns: int
    peak_bytes: int | None = None  # that the program added to the runner's memory, at most
    output: bytes  # of the last run, raw
    delegates: tuple[str, ...]  # a backend's name for each part of the program that it runs
    events: tuple[Event, ...]  # in the order of a run, names may repeat; empty without a trace


class ProgramFailed(Exception):
    """This program did not run; the device is ready for the next one.

    Attributes:
        code: what happened, as stored in the table.
    """

    def __init__(self, code: FailureCode, message: str) -> None:
        super().__init__(message)
        self.code: FailureCode = code
        self.message = message


class Device(typing.Protocol):
    """Implementations: `Host`, `AndroidPhone`, `IPhone`; in tests, `FakeDevice` and
    `SimulatedDevice`.

    A device is a context manager: entering it starts its runner, leaving it leaves nothing
    running.
    """

    runtime: Runtime
    origin: Origin
    serial: Serial  # of this very phone, among all of its kind

    def describe(self) -> DeviceDescription: ...

    def conditions(self) -> Conditions: ...

    def others_cpus(self) -> float | None:
        """How many CPUs' worth of work others did since the last call, or a moment ago.

        The device's runner and its agent do not count. None where it cannot be told.
        """
        ...

    def time_program(self, file: ProgramFile, plan: Plan) -> ProgramTiming:
        """Load `file`, warm up, and time its runs; the input is set anew before each run.

        Raises:
            ProgramFailed: the program could not be loaded or run, crashed its runner, or
                passed the plan's deadline.
            DeviceFailed: the device itself is gone.
        """
        ...


@typing.runtime_checkable
class Stores(typing.Protocol):
    """A device that keeps programs of its own, so that they are sent before any is timed."""

    def store(self, files: Sequence[ProgramFile]) -> None:
        """Raises DeviceFailed: the device is gone, or full."""
        ...


@typing.runtime_checkable
class Addressed(typing.Protocol):
    """A device that is reached at an address, which is not its serial number. Versions that knew
    no other called the unit by it."""

    address: Serial


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check of a device found: it is fit, or worth a look, or of no use like that."""

    what: str
    state: typing.Literal["ok", "look", "bad"]
    found: str
    advice: str = ""


@typing.runtime_checkable
class Examined(typing.Protocol):
    """A device that can be checked for more than every device can."""

    def examine(self) -> Iterator[Finding]: ...


class Found(typing.NamedTuple):
    """A unit that this computer has now; `name` is what `--device` calls it, where it tells."""

    serial: Serial
    name: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceKind:
    """A kind of device, and how to come by its units.

    Attributes:
        example: a name that `--device` may give; the only one where it is this computer.
        is_this_computer: there is one of it, with nothing in between that could fail.
        claims: whether a name is one of this kind's.
        must_be_possible: whether a unit of it could do what is asked. Raises PhonebookError
            where none can.
        choose: the serial number of the unit that a person means by a name and, perhaps, a
            serial number.
        open: the unit of that name and serial number. Raises PhonebookError where it cannot do
            what is asked, DeviceFailed where it is not there, or refuses.
        list_attached: every unit that this computer has now, as far as they answer.
        find_serials: the serial numbers of the units of a name that this computer has now.
        lock_name: what two agents on this computer must not hold both, from the serial number.
        mishaps: by its errors, what they are about and what was found, in a few words.
    """

    example: str
    is_this_computer: bool = False
    claims: Callable[[str], bool]
    must_be_possible: Callable[[RuntimeRequest], None]
    choose: Callable[[str, Serial | None], Serial]
    open: Callable[[str, Serial, RuntimeRequest, PatienceOptions], AbstractContextManager[Device]]
    list_attached: Callable[[], Sequence[Found]]
    find_serials: Callable[[str], tuple[Serial, ...]]
    lock_name: Callable[[Serial], str]
    mishaps: Mapping[type[PhonebookError], tuple[str, str]]


def must_have_cpus(threads: int, there: float, whose: str) -> None:
    """See to it that each thread has a CPU: on fewer, they would take turns.

    Raises:
        PhonebookError: there are fewer.
    """
    if threads > there:
        cpus = f"{there:g} CPU{'' if there == 1 else 's'}"
        advice = f"give --threads {int(there)} or fewer" if there >= 1 else "grant a whole one"
        raise PhonebookError(
            f"--threads {threads}: {whose} {cpus}, and each thread needs one; {advice}"
        )


def must_offer(device: Device, wanted: Runtime) -> None:
    """See to it that what is measured here belongs to that table.

    Raises:
        PhonebookError: the device works under another runtime.
    """
    if device.runtime != wanted:
        raise PhonebookError(
            f"this agent offers {device.runtime.key}, not {wanted.key}; measure the table "
            "again with this version, or install the other"
        )
