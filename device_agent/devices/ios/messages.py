"""The benchmark app's protocol, version 1: what its HTTP server on the phone takes and says."""

from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import (
    Base64Bytes,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    TypeAdapter,
)

from contract.devices import Thermal
from contract.runtime import MemoryFormat, Runner
from contract.timings import FailureCode
from contract.values import Value
from device_agent.device import Plan
from device_agent.runner.protocol import Timed

APP = "phonebook-bench"
PROTOCOL = 1
PORT = 8742  # on the phone's own loopback address
MOST_PROGRAM_BYTES = 64 << 20

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Answer(Value):
    """What the app says may have more fields than this agent knows."""

    model_config = ConfigDict(extra="ignore")


class AppConditions(_Answer):
    """What iOS tells of the phone's state: no clocks, no degrees."""

    thermal: Thermal
    low_power: bool
    battery: float | None = Field(default=None, ge=0, le=1)
    charging: bool | None = None


class AppInfo(_Answer):
    """`GET /v1/info`. `tracer` says whether it can time what a delegate runs, and `emulated`
    whether the app runs without a phone."""

    version: str
    model: Annotated[str, Field(min_length=1, max_length=100)]  # as Apple counts: iPhone10,3
    name: str | None = None
    soc: str | None = None
    os: str
    build: str | None = None
    cores: PositiveInt
    memory_bytes: PositiveInt
    executorch: str
    runner: Runner
    tracer: bool
    emulated: bool
    state: Literal["idle", "busy", "asleep"]
    job: str | None = None
    free_bytes: NonNegativeInt | None = None
    conditions: AppConditions


class AppJob(Value):
    """`POST /v1/jobs`: one visit to a program that is on the phone."""

    job: UUID
    sha256: Sha256
    threads: PositiveInt
    memory_format: MemoryFormat
    warmup_runs: NonNegativeInt
    min_runs: NonNegativeInt
    max_runs: NonNegativeInt
    min_duration_ns: NonNegativeInt
    deadline_ns: NonNegativeInt
    trace: bool
    max_thermal: Thermal

    @classmethod
    def visit(
        cls,
        plan: Plan,
        *,
        job: UUID,
        sha256: str,
        threads: int,
        memory_format: MemoryFormat,
        max_thermal: Thermal,
    ) -> Self:
        return cls(
            job=job,
            sha256=sha256,
            threads=threads,
            memory_format=memory_format,
            warmup_runs=plan.warmup_runs,
            min_runs=plan.min_runs,
            max_runs=plan.max_runs,
            min_duration_ns=round(plan.min_duration_s * 1e9),
            deadline_ns=round(plan.deadline_s * 1e9),
            trace=plan.trace,
            max_thermal=max_thermal,
        )


class Reason(_Answer):
    """Why a job has no answer, in words."""

    message: str


class ProgramsReason(Reason):
    """Why a program failed."""

    code: FailureCode


class _Ended(_Answer):
    """`GET /v1/jobs/{id}` of a job that ended. `after` is how it left the phone."""

    job: UUID
    sha256: Sha256
    after: AppConditions | None = None


class JobDone(_Ended):
    """It ran; `output` is that of its last run."""

    status: Literal["ok"]
    answer: Timed
    output: Base64Bytes


class JobFailed(_Ended):
    """Its program does not load or run."""

    status: Literal["failed"]
    error: ProgramsReason


class JobBrokenOff(_Ended):
    """The phone was in no state for it, or somebody stopped it."""

    status: Literal["too_hot", "low_power", "interrupted", "stopped"]
    error: Reason


JobResult = Annotated[JobDone | JobFailed | JobBrokenOff, Field(discriminator="status")]
JOB_RESULTS: TypeAdapter[JobResult] = TypeAdapter(JobResult)


class Refused(_Answer):
    """Every refusal's body. 423 names the job that runs, or the agent that has the app."""

    error: str = "no reason given"
    job: str | None = None
    agent: str | None = None
