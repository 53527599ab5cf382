"""What crosses the wire: devices, sessions, timings, tables, problems. Durations are in us."""

import re
from collections.abc import Sequence
from functools import cached_property
from statistics import median, quantiles
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    StringConstraints,
    model_validator,
)

from contract.errors import IncompleteTable, PhonebookError, listing
from contract.operators import Operator
from contract.spaces import space as space_named
from contract.values import Value

DeviceName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Dtype = Literal["float32"]
MemoryFormat = Literal["contiguous", "channels_last"]
Runner = Literal["native", "python"]
Protocol = Literal["in_situ", "isolated"]
Origin = Literal["measured", "imported", "emulated"]
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

    backend: Literal["xnnpack"] = "xnnpack"
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
    """The device's state when a session began; None where it cannot be read."""

    load_1min: NonNegativeFloat | None
    clock_mhz: PositiveFloat | None
    temperature_c: float | None


class Session(Value):
    """One agent's sitting on one device with one runtime. The client makes `id`."""

    id: UUID
    device: DeviceName
    runtime: Runtime
    space: SpaceName
    origin: Origin
    started_at: AwareDatetime
    agent_version: str = Field(min_length=1, max_length=50)
    conditions: Conditions


class Failure(Value):
    """Why an operator has no samples."""

    code: FailureCode
    message: str = Field(max_length=4000)


class Timing(Value):
    """One operator in one session: its raw samples by round, or why there are none.

    The client makes `id` when the measurement is made, so that a repeated post stores it once.
    """

    id: UUID
    operator: Operator
    measured_at: AwareDatetime
    rounds_us: tuple[Annotated[tuple[PositiveFloat, ...], Field(min_length=1)], ...] = ()
    failure: Failure | None = None

    @model_validator(mode="after")
    def _samples_or_failure(self) -> Self:
        if bool(self.rounds_us) == (self.failure is not None):
            raise ValueError(f"{self.operator.key}: give either samples or a failure")
        if self.operator.is_free:
            raise ValueError(f"{self.operator.key} costs 0 us by definition and is never measured")
        return self


class Estimate(Value):
    """A row's figures, derived from raw samples."""

    median_us: PositiveFloat
    p90_us: PositiveFloat
    min_us: PositiveFloat
    samples: PositiveInt
    rounds: PositiveInt


def estimate(rounds_us: Sequence[Sequence[float]]) -> Estimate:
    """The median over rounds of each round's median; p90 and minimum over all samples.

    A round is one visit in a shuffled order, so that slow drift shifts rounds, not operators.
    """
    everything = [sample for samples in rounds_us for sample in samples]
    return Estimate(
        median_us=round(median(median(samples) for samples in rounds_us), 4),
        p90_us=round(percentile(everything, 90), 4),
        min_us=min(everything),
        samples=len(everything),
        rounds=len(rounds_us),
    )


def percentile(samples: Sequence[float], percent: int) -> float:
    """Linear interpolation between order statistics, as numpy's default."""
    if len(samples) == 1:
        return samples[0]
    return quantiles(samples, n=100, method="inclusive")[percent - 1]


class StoredTiming(Value):
    """What the server answers to a posted timing: its figures, or the failure it stored."""

    id: UUID
    session: UUID
    operator: str
    estimate: Estimate | None
    failure: Failure | None


class Row(Estimate):
    """One operator of a table."""

    operator: str
    measured_at: AwareDatetime
    origin: Origin
    session: UUID


class FailedOperator(Value):
    """An operator whose last measurement failed and that has no row."""

    operator: str
    failure: Failure
    measured_at: AwareDatetime


class LatencyTable(Value):
    """The current row of each operator, for one device and one runtime.

    `space`, `complete` and `missing` are null unless the table was asked for by space.
    """

    model_config = ConfigDict(validate_by_name=True, serialize_by_alias=True)

    schema_version: Literal[1] = Field(alias="schema")
    device: DeviceName
    runtime: Runtime
    origin: Origin
    space: str | None
    complete: bool | None
    missing: tuple[str, ...] | None
    failures: tuple[FailedOperator, ...]
    snapshot: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    entries: tuple[Row, ...]

    @cached_property
    def _median_us(self) -> dict[str, float]:
        return {row.operator: row.median_us for row in self.entries}

    def missing_of(self, operators: Sequence[Operator]) -> tuple[Operator, ...]:
        """Those that need a row and have none, each once."""
        return tuple(
            operator
            for operator in dict.fromkeys(operators)
            if not operator.is_free and operator.key not in self._median_us
        )

    def latencies_us(self, operators: Sequence[Operator]) -> tuple[float, ...]:
        """Each operator's latency in us, 0 for a skip.

        Raises:
            IncompleteTable: rows are missing; the message names the command that measures them.
        """
        missing = [operator.key for operator in self.missing_of(operators)]
        if missing:
            where = f" --space {self.space}" if self.space else ""
            raise IncompleteTable(
                f"no timing on {self.device} under {self.runtime.key} for {listing(missing)}; "
                f"run `python -m device_agent.run --device {self.device}{where}` to measure them",
                missing=missing,
            )
        return tuple(0.0 if op.is_free else self._median_us[op.key] for op in operators)


class SpaceCompleteness(Value):
    """How much of a space that some session profiled has rows."""

    space: str
    rows: int
    total: int


class RuntimeSummary(Value):
    """One table of a device."""

    runtime: Runtime
    key: str
    is_default: bool
    rows: int
    newest: AwareDatetime | None
    oldest: AwareDatetime | None
    spaces: tuple[SpaceCompleteness, ...]


class Device(Value):
    """A registered device and its tables."""

    name: DeviceName
    description: DeviceDescription
    registered_at: AwareDatetime
    runtimes: tuple[RuntimeSummary, ...]


class Problem(Value):
    """RFC 9457, `application/problem+json`. `detail` says who, what, and what to do next."""

    model_config = ConfigDict(extra="ignore")

    type: str
    title: str
    status: int
    detail: str
    near: tuple[str, ...] = ()
