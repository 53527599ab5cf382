"""What crosses the wire to the service: devices, sessions, timings. Durations are in us."""

import re
from functools import cached_property
from typing import Annotated, Literal, Self, get_args
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    StringConstraints,
    model_validator,
)

from contract.errors import PhonebookError
from contract.estimates import Estimate
from contract.operators import Operator
from contract.spaces import space as space_named
from contract.values import Value

DEVICE_NAME = r"^[a-z0-9][a-z0-9._-]{0,63}$"
DeviceName = Annotated[str, StringConstraints(pattern=DEVICE_NAME)]
Dtype = Literal["float32", "int8"]
MemoryFormat = Literal["contiguous", "channels_last"]
Runner = Literal["native", "python", "ndk"]
Protocol = Literal["in_situ", "isolated"]
Origin = Literal["measured", "imported", "emulated"]
Serial = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,99}$")]
Effort = Literal["quick", "standard", "thorough"]
Thermal = Literal["nominal", "fair", "serious", "critical"]  # iOS's words; it tells no degrees
THERMAL: tuple[Thermal, ...] = get_args(Thermal)  # from cool to hot
# Of one operator in one session; the most thorough one takes 80,000 samples in 10,000 rounds.
MOST_SAMPLES = 100_000
MOST_ROUNDS = 20_000
MOST_IN_BATCH = 100  # timings
FailureCode = Literal[
    "export_failed",
    "load_failed",
    "run_failed",
    "crashed",
    "timed_out",
    "wrong_output",
    "wrong_events",
    "bad_samples",
]


def _known_space(name: str) -> str:
    try:
        space_named(name)
    except PhonebookError as error:
        raise ValueError(str(error)) from error
    return name


SpaceName = Annotated[str, AfterValidator(_known_space)]


class DeviceDescription(Value):
    """What a device is. `model` and `soc` identify it; the rest may change between sessions."""

    model: str = Field(min_length=1, max_length=200)
    soc: str = Field(min_length=1, max_length=200)  # the CPU's model name on a computer
    cores: int = Field(ge=1, le=65_536)
    memory_bytes: int = Field(ge=1, lt=2**63)
    os: str = Field(min_length=1, max_length=200)


class Runtime(Value):
    """What besides device and operator changes a timing.

    Two timings are comparable only where these are equal; a table holds exactly one.
    """

    # foreign: some other program's, so that of an imported row only dtype and threads mean
    # something, and ExecuTorch's version is 0.
    backend: Literal["xnnpack", "foreign"] = "xnnpack"
    dtype: Dtype
    threads: int = Field(ge=1, le=9999)
    memory_format: MemoryFormat
    executorch: str = Field(pattern=r"^[0-9][0-9A-Za-z.+]*$", max_length=50)  # version
    runner: Runner
    affinity: str = Field(  # CPUs the runner may use
        pattern=r"^(any|cpu[0-9]+(\.[0-9]+)*)$", max_length=100
    )
    protocol: Protocol

    @cached_property
    def key(self) -> str:
        """`xnnpack-float32-t1-contiguous-et1.5.1-python-any-isolated`, the form in URLs."""
        return (
            f"{self.backend}-{self.dtype}-t{self.threads}-{self.memory_format}"
            f"-et{self.executorch}-{self.runner}-{self.affinity}-{self.protocol}"
        )

    @property
    def cpus(self) -> tuple[int, ...]:
        """The CPUs of `affinity`; none means any."""
        return tuple(int(number) for number in re.findall(r"[0-9]+", self.affinity))

    @property
    def options(self) -> tuple[str, ...]:
        """What the agent's commands need to be told to measure under this runtime.

        Nothing for one thread in float32 from a contiguous image, in situ, by the native runner
        on any CPU.
        """
        choices = (
            ("--dtype", self.dtype, "float32"),
            ("--threads", str(self.threads), "1"),
            ("--memory-format", self.memory_format, "contiguous"),
            ("--protocol", self.protocol, "in_situ"),
            ("--runner", self.runner, "native"),
            ("--cpus", ",".join(map(str, self.cpus)), ""),
        )
        return tuple(
            word for option, value, usual in choices if value != usual for word in (option, value)
        )

    @classmethod
    def parse(cls, key: str) -> Self:
        """The runtime with that key.

        Raises:
            ValueError: not a runtime's key.
        """
        match = re.fullmatch(
            r"(?P<backend>[^-]+)-(?P<dtype>[^-]+)-t(?P<threads>[0-9]{1,4})-(?P<memory_format>[^-]+)"
            r"-et(?P<executorch>[^-]+)-(?P<runner>[^-]+)-(?P<affinity>[^-]+)-(?P<protocol>[^-]+)",
            key,
        )
        if match is None:
            raise ValueError(
                f"{key!r} is no runtime; one looks like "
                "xnnpack-float32-t1-contiguous-et1.5.1-python-any-isolated"
            )
        return cls.model_validate({**match.groupdict(), "threads": int(match["threads"])})


def runtime_of(key: str) -> Runtime:
    """The runtime that a person named by its key.

    Raises:
        PhonebookError: not a runtime's key.
    """
    try:
        return Runtime.parse(key)
    except ValueError as error:
        raise PhonebookError(
            f"--runtime: {key!r} is no runtime; one looks like "
            "xnnpack-float32-t1-contiguous-et1.5.1-native-any-in_situ"
        ) from error


class Conditions(Value):
    """The device's state before or after a session; None where it cannot be read.

    Clock, limit and governor are those of the CPUs that the runner may use. Computers tell the
    first three alone.
    """

    load_1min: NonNegativeFloat | None
    clock_mhz: PositiveFloat | None
    temperature_c: float | None  # of the hottest sensor
    clock_limit_mhz: PositiveFloat | None = None  # how far the clock may rise now
    governor: str | None = Field(default=None, max_length=200)
    battery: float | None = Field(default=None, ge=0, le=1)
    battery_c: float | None = None
    is_charging: bool | None = None
    is_awake: bool | None = None  # the screen is on
    # Of iPhones alone; others leave the fields out, as before they existed.
    thermal: Thermal | None = Field(default=None, exclude_if=lambda word: word is None)
    low_power: bool | None = Field(default=None, exclude_if=lambda mode: mode is None)


class Session(Value):
    """One agent's sitting on one device with one runtime. The client makes `id`.

    `ended_at` and `conditions_after` are null while it lasts. `unit` is the serial number of the
    phone, where the agent tells one; where not, the field is left out, as before it existed.
    `source` tells where imported timings come from, which began on their date.
    """

    id: UUID
    device: DeviceName
    runtime: Runtime
    space: SpaceName
    origin: Origin
    effort: Effort
    started_at: AwareDatetime
    agent_version: str = Field(min_length=1, max_length=50)
    conditions: Conditions
    ended_at: AwareDatetime | None = None
    conditions_after: Conditions | None = None
    unit: Serial | None = Field(default=None, exclude_if=lambda unit: unit is None)
    source: str | None = Field(default=None, min_length=1, max_length=500)

    @model_validator(mode="after")
    def _imported_or_not(self) -> Self:
        if (self.source is None) == (self.origin == "imported"):
            raise ValueError("imported timings tell their source, and others have none")
        if self.runtime.backend == "foreign" and self.origin != "imported":
            raise ValueError("only imported timings have a foreign runtime")
        return self


class Failure(Value):
    """Why an operator has no samples."""

    code: FailureCode
    message: str = Field(max_length=4000)


Samples = Annotated[tuple[PositiveFloat, ...], Field(min_length=1)]
Rounds = Annotated[tuple[Samples, ...], Field(max_length=MOST_ROUNDS)]


class Timing(Value):
    """One operator in one session: its raw samples by round, or why there are none.

    `drift` has a factor for each sample: how many times longer than on the calm device a probe
    beside it took; it is empty where no probe ran. The client makes `id` when the measurement is
    made, so that a repeated post stores it once.
    """

    id: UUID
    operator: Operator
    measured_at: AwareDatetime
    rounds_us: Rounds = ()
    drift: Rounds = ()
    failure: Failure | None = None

    @model_validator(mode="after")
    def _samples_or_failure(self) -> Self:
        if bool(self.rounds_us) == (self.failure is not None):
            raise ValueError(f"{self.operator.key}: give either samples or a failure")
        if sum(map(len, self.rounds_us)) > MOST_SAMPLES:
            raise ValueError(f"{self.operator.key}: give at most {MOST_SAMPLES} samples")
        if self.drift and [len(each) for each in self.drift] != [
            len(each) for each in self.rounds_us
        ]:
            raise ValueError(f"{self.operator.key}: give a drift factor for each sample, or none")
        if self.operator.is_free:
            raise ValueError(f"{self.operator.key} costs 0 us by definition and is never measured")
        return self


class StoredTiming(Value):
    """What the server answers to a posted timing: its figures, or the failure it stored.

    `samples_dropped_at` is null while the raw samples are kept. Without them the figures stay
    what they were.
    """

    id: UUID
    session: UUID
    operator: str
    estimate: Estimate | None
    failure: Failure | None
    samples_dropped_at: AwareDatetime | None = None


class TimingBatch(Value):
    """Timings of one session, posted at once: each is stored or refused by itself."""

    timings: tuple[Timing, ...] = Field(min_length=1, max_length=MOST_IN_BATCH)


# By these a program tells refusals that may pass from final ones (RFC 9457's `type`).
ANY_PROBLEM = "about:blank"
NO_DEVICE = "urn:phonebook:no-device"  # passes once the device is registered
NO_SESSION = "urn:phonebook:no-session"  # passes once the session is posted
NOT_YOURS = "urn:phonebook:not-yours"  # it belongs to another token
WRONG_CLOCK = "urn:phonebook:wrong-clock"  # passes once the server's or the agent's clock is set


class Problem(Value):
    """RFC 9457, `application/problem+json`. `detail` says who, what, and what to do next."""

    model_config = ConfigDict(extra="ignore")

    type: str
    title: str
    status: int
    detail: str
    near: tuple[str, ...] = ()


class TimingOutcome(Value):
    """What became of one timing of a batch: `refused` is null if it is stored, now or before."""

    id: UUID
    refused: Problem | None = None


class BatchReport(Value):
    """What became of each timing of a batch, in its order."""

    outcomes: tuple[TimingOutcome, ...]
