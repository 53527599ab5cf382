"""Timings that somebody else published, on their way into a table of their own."""

from typing import Self

from pydantic import Field, PositiveInt, model_validator

from contract.sessions import Session
from contract.timings import Timing
from contract.values import Value

MOST_ROWS = 2000  # in one import


class Import(Value):
    """A session of origin `imported` with all it has: one timing per operator, none failed."""

    session: Session
    timings: tuple[Timing, ...] = Field(min_length=1, max_length=MOST_ROWS)

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
