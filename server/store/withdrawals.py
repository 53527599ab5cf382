"""Sessions that count for nothing: withdrawn and brought back, with who did it and why.

Nothing is deleted. Rows, history and snapshots become what they would be had the session never
been posted; tables that were served with it stay what they were, under the snapshots of then.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.orm import Session as DbSession

from contract.deeds import What
from contract.tables import SessionReport
from server.database.records import FailureRecord, RowRecord, SessionRecord, TimingRecord
from server.roles import Caller
from server.store.deeds import note
from server.store.devices import count_change
from server.store.measurements import kept_estimate, record_of, session_report
from server.store.snapshots import Figures, keep_rows


def withdraw(
    session: DbSession, session_id: UUID, reason: str, by: Caller, now: datetime
) -> SessionReport:
    """Let a session's timings count for nothing. One that is withdrawn already stays so.

    Raises:
        NotFound: no such session.
    """
    return _turn(session, session_id, "withdrew the session", reason, by, now)


def bring_back(
    session: DbSession, session_id: UUID, reason: str, by: Caller, now: datetime
) -> SessionReport:
    """Let a withdrawn session's timings count again. One that was not withdrawn stays as it is.

    Raises:
        NotFound: no such session.
    """
    return _turn(session, session_id, "brought back the session", reason, by, now)


def _turn(
    session: DbSession, session_id: UUID, what: What, reason: str, by: Caller, now: datetime
) -> SessionReport:
    record = record_of(session, session_id)
    revision = count_change(session, record.device)  # whoever posts timings waits, and looks again
    session.refresh(record)
    counts = what == "brought back the session"
    if (record.withdrawn_at is None) != counts:
        record.withdrawn_at = None if counts else now
        session.flush()
        note(session, by, what, session_id, now, detail=reason)
        _settle(session, record, revision, now)
    return session_report(session, session_id)


def _settle(session: DbSession, sitting: SessionRecord, revision: int, now: datetime) -> None:
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
