"""Figures of whole tables by SQL aggregates, for pages that show many of them."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from contract.audits import AuditSummary
from contract.estimates import Grade
from contract.sessions import Origin
from server.tables import AuditRecord, RowRecord

Table = tuple[str, str, Origin]  # device, runtime's key, origin


@dataclass(slots=True)
class Tally:
    """A table's rows: how many of each grade, and when the oldest and newest were measured."""

    oldest: datetime
    newest: datetime
    grades: dict[Grade, int] = field(default_factory=lambda: {"A": 0, "B": 0, "C": 0})

    @property
    def rows(self) -> int:
        return sum(self.grades.values())


def tallies(session: Session) -> dict[Table, Tally]:
    """Every table's figures."""
    found: dict[Table, Tally] = {}
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
        tally = found.setdefault((device, runtime, origin), Tally(oldest, newest))
        tally.grades[grade] = rows
        tally.oldest, tally.newest = min(tally.oldest, oldest), max(tally.newest, newest)
    return found


def latest_audits(session: Session) -> dict[Table, list[AuditSummary]]:
    """The latest audit of each space of each table."""
    rank = func.row_number().over(
        partition_by=(
            AuditRecord.device,
            AuditRecord.runtime,
            AuditRecord.origin,
            AuditRecord.space,
        ),
        order_by=(AuditRecord.ended_at.desc(), AuditRecord.id),
    )
    ranked = select(AuditRecord.id, rank.label("rank")).subquery()
    found: dict[Table, list[AuditSummary]] = defaultdict(list)
    for device, runtime, origin, summary in session.execute(
        select(AuditRecord.device, AuditRecord.runtime, AuditRecord.origin, AuditRecord.summary)
        .join(ranked, ranked.c.id == AuditRecord.id)
        .where(ranked.c.rank == 1)
        .order_by(AuditRecord.space)
    ):
        found[device, runtime, origin].append(AuditSummary.model_validate(summary))
    return found
