"""Timings: what was measured of an operator in a session. Durations are in us."""

from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AwareDatetime, Field, PositiveFloat, model_validator

from contract.estimates import Estimate
from contract.operators import Operator
from contract.problems import Problem
from contract.values import Value

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
    "not_delegated",
    "wrong_events",
    "bad_samples",
]


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


class TimingOutcome(Value):
    """What became of one timing of a batch: `refused` is null if it is stored, now or before."""

    id: UUID
    refused: Problem | None = None


class BatchReport(Value):
    """What became of each timing of a batch, in its order."""

    outcomes: tuple[TimingOutcome, ...]
