"""Timings that somebody else published, on their way into a table of their own."""

from collections.abc import Sequence
from datetime import date
from typing import Annotated, Self

from pydantic import Field, NonNegativeFloat, PositiveInt, model_validator

from contract.sessions import Origin, Session
from contract.timings import MOST_ROUNDS, Timing
from contract.values import Value

MOST_ROWS = 2000  # in one import


class ImportedFrom(Value):
    """Who told the latencies of an imported table, and when they were measured or published."""

    source: str = Field(min_length=1, max_length=500)
    date: date


Sources = Annotated[
    tuple[ImportedFrom, ...],
    Field(default=(), max_length=100, exclude_if=lambda sources: not sources),
]


def provenance(origin: Origin, sources: Sequence[ImportedFrom]) -> str:
    """Where rows come from that were not measured here; nothing of those that were."""
    if origin != "imported" or not sources:
        return "" if origin == "measured" else origin
    return "imported " + ", and ".join(f"from {each.source}, of {each.date}" for each in sources)


class ImportedTiming(Timing):
    """What somebody told of an operator; 0 says that it takes no time, as a model of a device
    may have it."""

    rounds_us: Annotated[
        tuple[Annotated[tuple[NonNegativeFloat, ...], Field(min_length=1)], ...],
        Field(max_length=MOST_ROUNDS),
    ] = ()

    @model_validator(mode="after")
    def _zero_stands_alone(self) -> Self:
        if any(0 in samples for samples in self.rounds_us) and self.rounds_us != ((0,),):
            raise ValueError(f"{self.operator.key}: 0 us beside other samples")
        return self


class Import(Value):
    """A session of origin `imported` with all it has: one timing per operator, none failed."""

    session: Session
    timings: tuple[ImportedTiming, ...] = Field(min_length=1, max_length=MOST_ROWS)

    @model_validator(mode="after")
    def _imported_once(self) -> Self:
        if self.session.origin != "imported":
            raise ValueError(f"the session's origin is {self.session.origin}, not imported")
        keys = [timing.operator.key for timing in self.timings]
        if len(set(keys)) < len(keys):
            raise ValueError("an operator comes twice")
        if any(timing.failure for timing in self.timings):
            raise ValueError("a failure cannot be imported")
        return self


class ImportReport(Value):
    """What the server has of an import."""

    session: Session
    rows: PositiveInt
    is_new: bool  # False: it was stored before, and nothing changed
