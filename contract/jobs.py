"""Work that waits for a phone: filed by anyone, done by whichever agent has the phone.

An agent takes a job by a lease, which ends unless it is renewed. The attempt's number fences: who
lost a lease and comes back too late is refused.
"""

from datetime import timedelta
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AwareDatetime, Field, NonNegativeInt, PositiveInt, model_validator

from contract.audits import LEAST_NETWORKS, MOST_NETWORKS
from contract.devices import DeviceName, Serial
from contract.estimates import Estimate, MeasuredEstimate
from contract.footprint import Footprint
from contract.levels import AtLevel
from contract.runtime import Runtime
from contract.sessions import Effort
from contract.spaces import SpaceName
from contract.values import Value

LEASE = timedelta(seconds=60)
RENEW_EVERY = LEASE / 4
MOST_ATTEMPTS = 3

JobState = Literal["waiting", "leased", "done", "dead", "cancelled"]


class Profile(Value):
    """Bring the table of a space to completeness; with `again`, measure every operator anew."""

    kind: Literal["profile"] = "profile"
    space: SpaceName
    effort: Effort = "standard"
    again: bool = False


class AuditTable(Value):
    """Hold the table against whole networks."""

    kind: Literal["audit"] = "audit"
    space: SpaceName
    effort: Effort = "standard"
    networks: int = Field(default=50, ge=LEAST_NETWORKS, le=MOST_NETWORKS)
    seed: int = Field(default=0, ge=0, lt=2**31)


class MeasureNetwork(Value):
    """Time one network of a space whole.

    It travels as its blocks, not as a program: the agent exports it itself, with weights of its
    own, on which the latency does not depend.
    """

    kind: Literal["measure"] = "measure"
    space: SpaceName
    blocks: tuple[str, ...] = Field(min_length=1, max_length=200)


Work = Annotated[Profile | AuditTable | MeasureNetwork, Field(discriminator="kind")]


class Job(Value):
    """What somebody wants done on a kind of phone. The client makes `id`.

    Of waiting jobs that of the highest priority goes first, then the oldest. A job that was tried
    `most_attempts` times is dead, and says why.
    """

    id: UUID
    device: DeviceName
    runtime: Runtime
    work: Work
    priority: int = Field(default=0, ge=-100, le=100)
    most_attempts: int = Field(default=MOST_ATTEMPTS, ge=1, le=20)


class Progress(Value):
    """How far an attempt is, in visits, programs, or whatever `what` says."""

    what: str = Field(max_length=200)
    done: NonNegativeInt
    total: NonNegativeInt


class Lease(Value):
    """The right to work on a job with one unit, until it expires."""

    job: Job
    unit: Serial
    attempt: PositiveInt
    expires_at: AwareDatetime


class LeaseRequest(Value):
    """An agent's offer of a unit that is free."""

    agent: UUID
    device: DeviceName
    unit: Serial


class Renewal(Value):
    """What an agent tells about its attempt, to keep the lease."""

    agent: UUID
    attempt: PositiveInt
    progress: Progress | None = None


class Outcome(Value):
    """How an attempt ended: done, or not and why.

    `again` says whether another attempt might go better, `counts` whether this one counts against
    the job's `most_attempts`: an agent that is stopped gives its job back, which is nobody's
    failure. `estimate` is of a measured network, and so are `footprint` and `at_level`, which
    agents of versions before do not tell.
    """

    agent: UUID
    attempt: PositiveInt
    done: bool
    reason: str | None = Field(default=None, min_length=1, max_length=4000)
    again: bool = True
    counts: bool = True
    estimate: MeasuredEstimate | None = None
    footprint: Footprint | None = Field(default=None, exclude_if=lambda it: it is None)
    at_level: AtLevel | None = Field(default=None, exclude_if=lambda it: it is None)

    @model_validator(mode="after")
    def _done_or_reason(self) -> Self:
        if not self.done and self.reason is None:
            raise ValueError("an attempt that is not done needs a reason")
        return self


class JobReport(Value):
    """A job and what became of it. The agent and unit are those of the last attempt.

    `attempts` is the number of the last one. It only ever grows: where a job was retried, those
    before do not count towards `most_attempts`.
    """

    job: Job
    state: JobState
    attempts: NonNegativeInt
    filed_at: AwareDatetime
    changed_at: AwareDatetime
    agent: UUID | None
    unit: Serial | None
    expires_at: AwareDatetime | None  # of the lease, while there is one
    progress: Progress | None
    reason: str | None  # of the last attempt that failed
    estimate: Estimate | None
    footprint: Footprint | None = Field(default=None, exclude_if=lambda it: it is None)
    at_level: AtLevel | None = Field(default=None, exclude_if=lambda it: it is None)


class UnitDescription(Value):
    """One phone that an agent has attached: of which kind, and its serial number."""

    device: DeviceName
    serial: Serial


class AgentDescription(Value):
    """An agent and its phones, told anew whenever one is attached or gone."""

    host: str = Field(min_length=1, max_length=200)
    version: str = Field(min_length=1, max_length=50)
    units: tuple[UnitDescription, ...] = Field(max_length=100)


class LostUnit(UnitDescription):
    """A phone that its agent no longer has, and that no other has announced since."""

    lost_at: AwareDatetime


class AgentReport(Value):
    """An agent, when it was heard of last, and the phones that it was the last to have."""

    id: UUID
    description: AgentDescription
    seen_at: AwareDatetime
    lost: tuple[LostUnit, ...] = ()
