"""A search as it is told to the server: what it began with, each epoch, and what it found.

The search makes the id. Whatever it tells it may tell again: the same content changes nothing.
"""

from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import (
    AwareDatetime,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    StringConstraints,
    model_validator,
)

from contract.audits import BlockName, Snapshot
from contract.devices import DeviceName
from contract.estimates import Microseconds
from contract.imports import Sources, provenance
from contract.levels import AtLevel
from contract.runtime import Runtime
from contract.sessions import Origin
from contract.spaces import SpaceName
from contract.values import Value

MOST_OPTIONS = 200
MOST_EPOCHS = 100_000

SearchState = Literal["running", "finished", "stopped"]
Share = Annotated[float, Field(ge=0, le=1)]
OptionName = Annotated[str, StringConstraints(min_length=1, max_length=100)]
OptionText = Annotated[str, StringConstraints(max_length=1000)]
Blocks = Annotated[tuple[BlockName, ...], Field(min_length=1, max_length=200)]
EpochNumber = Annotated[int, Field(ge=1, le=MOST_EPOCHS)]


# Left out where it goes without saying, as programs before it existed did.
TableOrigin = Annotated[
    Origin, Field(default="measured", exclude_if=lambda origin: origin == "measured")
]


class LearntFrom(Value):
    """The images of a search. Only accuracies on the same ones compare."""

    name: str = Field(min_length=1, max_length=1000)
    classes: PositiveInt
    training: NonNegativeInt  # images
    test: NonNegativeInt


class SearchPlan(Value):
    """What a search began with; it never changes.

    `group` is the same for the searches that one command made, one per device. `config` has
    every option as the run's own folder records it. `origin` and `sources` are those of the table.
    """

    group: UUID | None
    target: str = Field(min_length=1, max_length=400)  # the table's address, as asked for
    device: DeviceName
    runtime: Runtime
    space: SpaceName
    snapshot: Snapshot  # of the table that was searched with
    seed: int = Field(ge=0, lt=2**63)
    preset: str | None = Field(default=None, min_length=1, max_length=100)
    epochs: EpochNumber  # that the search is to have
    target_us: PositiveFloat | None
    data: LearntFrom
    config: dict[OptionName, OptionText | int | float | bool | None] = Field(
        max_length=MOST_OPTIONS
    )
    started_at: AwareDatetime
    origin: TableOrigin = "measured"
    sources: Sources = ()

    @property
    def provenance(self) -> str:
        """Where the table's rows come from; nothing of those that were measured."""
        return provenance(self.origin, self.sources)


class SearchEpoch(Value):
    """One epoch: what weights met on their split, then theta on its own.

    `theta` has the probability of each candidate, one tuple per slot of the space.
    """

    epoch: EpochNumber
    trains_theta: bool
    temperature: PositiveFloat | None  # of the masks; no mask, no temperature
    weight_cross_entropy: float
    theta_cross_entropy: float
    latency_term: float
    theta_loss: float
    theta_accuracy: Share
    expected_latency_us: NonNegativeFloat
    theta_entropy: float  # nats, mean over slots
    theta: tuple[Annotated[tuple[Share, ...], Field(max_length=50)], ...] = Field(max_length=200)
    seconds: NonNegativeFloat


class FoundLayer(Value):
    """What a slot chose, how surely, and its row of the table."""

    number: PositiveInt
    operator: str = Field(min_length=1, max_length=100)
    block: BlockName
    probability: Share
    latency_us: NonNegativeFloat


class FoundFigures(Value):
    """The network that a search found.

    `measured_us` is null until the device has run it; `measured_by` is the job that did so, or
    the computer and the program; the interval is there where whoever measured told one, and
    `measured_at_level` where it was measured beside networks of its table's session.
    """

    architecture: Blocks
    predicted_us: Microseconds
    measured_us: Microseconds | None = None
    measured_low_us: Microseconds | None = None
    measured_high_us: Microseconds | None = None
    measured_by: str | None = Field(default=None, min_length=1, max_length=1000)
    measured_at_level: AtLevel | None = Field(default=None, exclude_if=lambda it: it is None)
    accuracy: Share  # of the test images
    macs: NonNegativeInt = Field(lt=2**63)
    params: NonNegativeInt = Field(lt=2**63)

    @model_validator(mode="after")
    def _whole_interval(self) -> Self:
        if (self.measured_low_us is None) != (self.measured_high_us is None):
            raise ValueError("give both ends of the measured interval, or neither")
        return self


class FoundNetwork(FoundFigures):
    """The network with its layers; the stem's and the head's rows of the table are beside them."""

    stem_us: NonNegativeFloat
    head_us: NonNegativeFloat
    layers: tuple[FoundLayer, ...] = Field(max_length=200)


class Elsewhere(Value):
    """What the network found would take on another target of the same command, by its table."""

    target: str = Field(min_length=1, max_length=400)
    device: DeviceName
    runtime: Runtime
    snapshot: Snapshot
    predicted_us: Microseconds
    origin: TableOrigin = "measured"
    sources: Sources = ()

    @property
    def provenance(self) -> str:
        """Where the table's rows come from; nothing of those that were measured."""
        return provenance(self.origin, self.sources)


class SearchRun(Value):
    """A search as it stands; told again whenever that changes."""

    plan: SearchPlan
    state: SearchState = "running"
    reason: str | None = Field(default=None, min_length=1, max_length=4000)
    result: FoundNetwork | None = None
    elsewhere: tuple[Elsewhere, ...] = Field(default=(), max_length=50)

    @model_validator(mode="after")
    def _state_is_told_whole(self) -> Self:
        if (self.state == "stopped") != (self.reason is not None):
            raise ValueError("a search that stopped tells why, and no other has a reason")
        if self.state == "finished" and self.result is None:
            raise ValueError("a search that is finished has a result")
        return self


class SearchSummary(Value):
    """A search in a listing: no layers, and of its epochs the last alone."""

    id: UUID
    plan: SearchPlan
    state: SearchState
    reason: str | None
    heard_at: AwareDatetime
    epochs: NonNegativeInt  # told so far
    result: FoundFigures | None
    elsewhere: tuple[Elsewhere, ...]


class SearchReport(Value):
    """A search with all its epochs, in order."""

    id: UUID
    run: SearchRun
    heard_at: AwareDatetime
    epochs: tuple[SearchEpoch, ...]
