"""Rows and failures made anew from what counts now, after it has changed what counts or how."""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.orm import Session as DbSession

from server.database.records import FailureRecord, RowRecord, SessionRecord, TimingRecord
from server.store.measurements import kept_estimate
from server.store.snapshots import Figures, keep_rows


def settle(session: DbSession, sitting: SessionRecord, revision: int, now: datetime) -> None:
    """Make the rows and failures of the session's operators anew, from what counts now."""
    operators = session.scalars(
        select(TimingRecord.operator).where(TimingRecord.session == sitting.id)
    ).all()
    table = {"device": sitting.device, "runtime": sitting.runtime, "origin": sitting.origin}
    had_rows = session.scalars(
        select(RowRecord.operator).filter_by(**table).where(RowRecord.operator.in_(operators))
    ).all()
    for current in (RowRecord, FailureRecord):
        session.execute(delete(current).filter_by(**table).where(current.operator.in_(operators)))
    rows: dict[str, Figures] = {}
    for operator in operators:
        measured = _newest(session, sitting, operator, TimingRecord.failure_code.is_(None))
        failed = _newest(session, sitting, operator, TimingRecord.failure_code.is_not(None))
        if measured is not None:
            rows[operator] = _figures(measured)
        if failed is not None and (measured is None or failed.measured_at > measured.measured_at):
            session.add(_failure(failed, table))
    gone = [operator for operator in had_rows if operator not in rows]
    keep_rows(session, sitting, list(rows.values()), revision=revision, now=now, gone=gone)


def _newest(
    session: DbSession, sitting: SessionRecord, operator: str, which: ColumnElement[bool]
) -> TimingRecord | None:
    """The newest such timing of the operator in the session's table, of sessions that count."""
    return session.scalars(
        select(TimingRecord)
        .join(SessionRecord, SessionRecord.id == TimingRecord.session)
        .where(
            SessionRecord.device == sitting.device,
            SessionRecord.runtime == sitting.runtime,
            SessionRecord.origin == sitting.origin,
            SessionRecord.withdrawn_at.is_(None),
            TimingRecord.operator == operator,
            which,
        )
        .order_by(TimingRecord.measured_at.desc(), TimingRecord.id)
        .limit(1)
    ).one_or_none()


def _figures(timing: TimingRecord) -> Figures:
    estimate = kept_estimate(timing)
    assert estimate is not None  # it is no failure
    return Figures(timing.operator, timing.session, timing.measured_at, estimate)


def _failure(timing: TimingRecord, table: dict[str, Any]) -> FailureRecord:
    return FailureRecord(
        **table,
        operator=timing.operator,
        session=timing.session,
        measured_at=timing.measured_at,
        code=timing.failure_code,
        message=timing.failure_message or "",
    )
