"""How many rows there are, by SQL aggregates: for pages and metrics that tell of every table."""

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from contract.estimates import Grade
from contract.table_keys import TableKey
from server.database.records import DeviceRecord, RowRecord


@dataclass(slots=True)
class RowCounts:
    """A table's rows: how many of each grade, and when the oldest and newest were measured."""

    oldest: datetime
    newest: datetime
    grades: dict[Grade, int] = field(default_factory=lambda: {"A": 0, "B": 0, "C": 0})

    @property
    def rows(self) -> int:
        return sum(self.grades.values())


def row_counts(session: Session) -> dict[TableKey, RowCounts]:
    """The rows of every table."""
    found: dict[TableKey, RowCounts] = {}
    for device, runtime, origin, grade, rows, oldest, newest in session.execute(
        select(
            RowRecord.device,
            RowRecord.runtime,
            RowRecord.origin,
            RowRecord.grade,
            func.count(),
            func.min(RowRecord.measured_at),
            func.max(RowRecord.measured_at),
        ).group_by(RowRecord.device, RowRecord.runtime, RowRecord.origin, RowRecord.grade)
    ):
        counts = found.setdefault(TableKey(device, runtime, origin), RowCounts(oldest, newest))
        counts.grades[grade] = rows
        counts.oldest, counts.newest = min(counts.oldest, oldest), max(counts.newest, newest)
    return found


def count_devices(session: Session) -> int:
    """How many devices are registered."""
    return session.scalar(select(func.count()).select_from(DeviceRecord)) or 0


def rows_by_device(session: Session) -> list[tuple[str, str, int]]:
    """How many rows each device has of each origin."""
    columns = (RowRecord.device, RowRecord.origin)
    found = session.execute(select(*columns, func.count()).group_by(*columns))
    return [(device, origin, rows) for device, origin, rows in found]
