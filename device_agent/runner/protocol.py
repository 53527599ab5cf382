"""What the agent and a runner say to each other: a job a line in, JSON lines out.

Both runners keep to it. After `Ready`, each job gets any number of `Alive` lines while it runs,
and then one `Timed` or `Failed`.
"""

from typing import Annotated, Literal, Self

from pydantic import (
    NonNegativeInt,
    PositiveInt,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from contract.runtime import MemoryFormat, Runner
from contract.timings import FailureCode
from contract.values import Value
from device_agent.device import Event, Plan, ProgramTiming

_Path = Annotated[str, StringConstraints(pattern=r"^[^\t\n]+$")]


class Job(Value):
    """One visit to a program. `device_agent/runner/runner.h` says what each member means."""

    program: _Path
    output: _Path
    memory_format: MemoryFormat
    warmup_runs: NonNegativeInt
    min_runs: NonNegativeInt
    max_runs: NonNegativeInt
    min_duration_ns: NonNegativeInt
    deadline_ns: NonNegativeInt
    trace: bool

    @classmethod
    def visit(cls, plan: Plan, *, program: str, output: str, memory_format: MemoryFormat) -> Self:
        """The job of one visit; `program` and `output` are paths where the runner runs."""
        return cls(
            program=program,
            output=output,
            memory_format=memory_format,
            warmup_runs=plan.warmup_runs,
            min_runs=plan.min_runs,
            max_runs=plan.max_runs,
            min_duration_ns=round(plan.min_duration_s * 1e9),
            deadline_ns=round(plan.deadline_s * 1e9),
            trace=plan.trace,
        )

    def line(self) -> str:
        """`program=/path/op.pte<tab>output=...<tab>trace=0`, without a line end."""
        values = {**self.model_dump(), "trace": int(self.trace)}
        return "\t".join(f"{key}={value}" for key, value in values.items())

    @classmethod
    def parse(cls, line: str) -> Self:
        """The job that `line()` wrote.

        Raises:
            ValueError: no job; the message says why.
        """
        pairs = [piece.partition("=") for piece in line.split("\t")]
        values = {key: value for key, _, value in pairs}
        if len(values) < len(pairs):
            raise ValueError("a key comes twice")
        try:
            return cls.model_validate_strings(values)
        except ValidationError as error:
            first = error.errors()[0]
            raise ValueError(f"{first['loc'][0]}: {first['msg']}") from error


class Ready(Value):
    """The runner's first line."""

    ready: Literal[True]
    runner: Runner
    threads: PositiveInt
    clock_step_ns: PositiveInt


class Alive(Value):
    """Between runs, about once a second: the runner makes progress."""

    alive: Literal[True]


class Timed(Value):
    """The job was done, and its output is in the job's file.

    `probes_ns` has one probe before each run and one after the last; `memory_probes_ns` the one
    before all runs, warm-up included, and the one after them. `cpus` are those that every
    thread of the runner may use, or else those of one that was moved; none where it tells none.
    """

    samples_ns: tuple[PositiveInt, ...]
    probes_ns: tuple[PositiveInt, ...]
    memory_probes_ns: tuple[PositiveInt, PositiveInt] | None = None
    first_run_ns: NonNegativeInt
    load_ns: NonNegativeInt
    peak_bytes: NonNegativeInt | None = None
    cpus: tuple[NonNegativeInt, ...] = ()
    delegates: tuple[str, ...]
    events: tuple[Event, ...]

    def timing(self, output: bytes) -> ProgramTiming:
        """What the visit gave, with the content of the job's file."""
        return ProgramTiming(
            samples_ns=self.samples_ns,
            probes_ns=self.probes_ns,
            memory_probes_ns=self.memory_probes_ns,
            first_run_ns=self.first_run_ns,
            load_ns=self.load_ns,
            peak_bytes=self.peak_bytes,
            output=output,
            delegates=self.delegates,
            events=self.events,
        )

    @model_validator(mode="after")
    def _each_run_lies_between_two_probes(self) -> Self:
        if len(self.probes_ns) != len(self.samples_ns) + 1:
            raise ValueError(f"{len(self.probes_ns)} probes around {len(self.samples_ns)} runs")
        return self


class Failed(Value):
    """The job could not be done; the runner is ready for the next one."""

    error: FailureCode
    message: str


Answer = Ready | Alive | Timed | Failed
ANSWERS: TypeAdapter[Answer] = TypeAdapter(Answer)
