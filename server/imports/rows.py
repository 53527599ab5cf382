"""What reading a file gives: a latency per operator, and every row that was rejected, with why."""

import math
from dataclasses import dataclass, field

from contract.operators import Operator
from server.imports.operators import Unmapped


@dataclass(frozen=True, slots=True)
class Found:
    """An operator's latency in us, and where the file tells it."""

    place: str
    operator: Operator
    latency_us: float


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that is not imported: where it is, what it is about, and why."""

    place: str
    name: str
    reason: str


@dataclass(slots=True)
class Source:
    """The rows of one file. An operator counts once: its first row."""

    found: dict[str, Found] = field(default_factory=dict)
    rejected: list[Rejected] = field(default_factory=list)
    runtime: str | None = None  # a runtime's key, where the file tells one

    def add(self, row: Found) -> None:
        """Book a row.

        Raises:
            Unmapped: the operator has a row already.
        """
        first = self.found.get(row.operator.key)
        if first is not None:
            raise Unmapped(f"{row.operator.key} has a row already, {first.place}")
        self.found[row.operator.key] = row

    def reject(self, row: Rejected) -> None:
        self.rejected.append(row)


def latency_us(text: object, *, per_us: float = 1.0) -> float:
    """The latency that a file tells, with the digits that figures keep; `per_us` us in its unit.

    0 is a latency: that of an operator which the file's model of a device has no time for.

    Raises:
        Unmapped: it is no duration.
    """
    try:
        duration = float(text) * per_us if isinstance(text, str | int | float) else math.nan
    except (ValueError, OverflowError):
        duration = math.nan
    if not math.isfinite(duration):
        raise Unmapped(f"{str(text)[:40]!r} is no number")
    rounded = round(duration, 4)
    if duration and not 1e-4 <= rounded <= 1e12:
        raise Unmapped(f"{str(text)[:40]} is no duration")
    return rounded
