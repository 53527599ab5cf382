"""What a device promises: to say what it is, and to time a program."""

import re
import typing
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial

from contract.devices import DEVICE_NAME, Conditions, DeviceDescription, Serial
from contract.errors import PhonebookError, near
from contract.runtime import Dtype, MemoryFormat, Protocol, Runner, Runtime
from contract.sessions import Origin
from contract.timings import FailureCode
from device_agent.ios.models import is_apples
from device_agent.programs import ProgramFile

HOST = "host"  # this computer
KNOWN = (HOST, "galaxys8", "iphonex")  # of the phones, an example for each kind


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
    longer the more the device is disturbed, and compares within one device and runner alone.
    """

    samples_ns: tuple[int, ...]
    probes_ns: tuple[int, ...]
    first_run_ns: int
    load_ns: int
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
    """Implementations: `host.Host`, `android.AndroidPhone`, `ios.IPhone`; in tests, `FakeDevice`
    and `SimulatedDevice`.

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


def cpu_numbers(cpus: str | None) -> tuple[int, ...]:
    """What `--cpus` names: `0,1`, or none for any.

    Raises:
        PhonebookError: no list of numbers.
    """
    if cpus is None:
        return ()
    if not re.fullmatch(r"[0-9]+(,[0-9]+)*", cpus):
        raise PhonebookError(f"--cpus {cpus!r}: give numbers with commas between them, as in 0,1")
    return tuple(int(number) for number in cpus.split(","))


def attached(kind: str) -> tuple[str, ...]:
    """The serial numbers of the units of that kind that this computer has now.

    Raises:
        PhonebookError: no such kind of device.
    """
    return _kind(kind).attached()


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


def open_device(
    device: str,
    *,
    dtype: Dtype,
    threads: int,
    memory_format: MemoryFormat,
    protocol: Protocol,
    runner: Runner | None = None,
    cpus: Sequence[int] = (),
    serial: str | None = None,
) -> AbstractContextManager[Device]:
    """The device that `--device` names: `host`, or a phone by its name.

    Without a `runner` it is the native one where that can be had. Without `cpus` the runner
    may use any, on a phone the fastest. `serial` says which phone, where there are several.

    Raises:
        PhonebookError: no such kind of device, or it cannot do what was asked.
        DeviceFailed: the phone is not there, or refuses.
    """
    return _kind(device).open(
        dtype=dtype,
        threads=threads,
        memory_format=memory_format,
        protocol=protocol,
        runner=runner,
        cpus=cpus,
        serial=serial,
    )


class _Kind(typing.NamedTuple):
    open: Callable[..., AbstractContextManager[Device]]
    attached: Callable[[], tuple[str, ...]]


def _kind(name: str) -> _Kind:
    """Every name but this computer's is a phone's: an unknown one goes by its model."""
    if name == HOST:
        from device_agent.devices import host

        return _Kind(open=host.Host, attached=lambda: (host.host_serial(),))
    if get_close_matches(name, [HOST]) or not re.fullmatch(DEVICE_NAME, name):
        raise PhonebookError(f"no device {name!r}; {near(name, KNOWN)}")
    if is_apples(name):
        from device_agent.devices import ios

        return _Kind(open=partial(ios.IPhone, name), attached=partial(ios.attached_as, name))

    from device_agent.devices import android

    return _Kind(
        open=partial(android.AndroidPhone, name), attached=partial(android.attached_as, name)
    )
