"""Rows and failures, made anew from what counts now: the figures of all sessions."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.orm import Session as DbSession

from contract.derivation import Calm, Derivation
from contract.estimates import Estimate
from contract.tables import NewestFigures
from server.database.records import FailureRecord, RowRecord, SessionRecord, TimingRecord
from server.store.kept_estimates import kept_estimate
from server.store.pooling import MOST_SESSIONS, SessionFigures, newest
from server.store.snapshots import Figures, keep_rows

Measured = tuple[TimingRecord, SessionRecord]


def add_to_rows(
    session: DbSession,
    sitting: SessionRecord,
    found: Sequence[Figures],
    revision: int,
    now: datetime,
) -> None:
    """Let the rows of the operators rest on these figures of the session, too."""
    calm = _calm(sitting)
    records = session.scalars(
        select(RowRecord)
        .filter_by(**_table(sitting))
        .where(RowRecord.operator.in_([each.operator for each in found]))
    )
    rows = {record.operator: record for record in records}
    joined = [_joined(each, calm, rows.get(each.operator)) for each in found]
    keep_rows(session, sitting, joined, revision=revision, now=now)


def settle(session: DbSession, sitting: SessionRecord, revision: int, now: datetime) -> None:
    """Make the rows and failures of the session's operators anew, after it has changed what counts
    or how."""
    operators = session.scalars(
        select(TimingRecord.operator).where(TimingRecord.session == sitting.id)
    ).all()
    table = _table(sitting)
    had_rows = session.scalars(
        select(RowRecord.operator).filter_by(**table).where(RowRecord.operator.in_(operators))
    ).all()
    for current in (RowRecord, FailureRecord):
        session.execute(delete(current).filter_by(**table).where(current.operator.in_(operators)))
    rows: dict[str, Figures] = {}
    for operator in operators:
        most = 1 if sitting.origin == "imported" else MOST_SESSIONS
        good = _newest(session, sitting, operator, TimingRecord.failure_code.is_(None), most)
        failures = _newest(session, sitting, operator, TimingRecord.failure_code.is_not(None), 1)
        if good:
            rows[operator] = _of_timings(good)
        if failures and not (good and failures[0][0].measured_at <= good[0][0].measured_at):
            session.add(_failure(failures[0][0], table))
    gone = [operator for operator in had_rows if operator not in rows]
    keep_rows(session, sitting, list(rows.values()), revision=revision, now=now, gone=gone)


def _newest(
    session: DbSession,
    sitting: SessionRecord,
    operator: str,
    which: ColumnElement[bool],
    most: int,
) -> list[Measured]:
    """The newest such timings of the operator in the session's table, of sessions that count."""
    query = (
        select(TimingRecord, SessionRecord)
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
        .limit(most)
    )
    return [(timing, record) for timing, record in session.execute(query)]


def _of_timings(measured: Sequence[Measured]) -> Figures:
    newest_timing, newest_session = measured[0]
    pool = tuple(
        SessionFigures.of(timing.session, timing.measured_at, _estimate(timing), _calm(record))
        for timing, record in measured
        if newest_session.origin != "imported"
    )
    return Figures(
        newest_timing.operator,
        newest_timing.session,
        newest_timing.measured_at,
        _estimate(newest_timing),
        pool,
    )


def _joined(new: Figures, calm: Calm | None, row: RowRecord | None) -> Figures:
    """The figures, and those that the row rests on already."""
    own = SessionFigures.of(new.session, new.measured_at, new.estimate, calm)
    if row is None:
        return new._replace(pool=(own,))
    pool = newest([own, *_pool(row)])
    if pool[0] == own:
        return new._replace(pool=pool)
    return Figures(row.operator, row.session, row.measured_at, _own_estimate(row), pool)


def _pool(row: RowRecord) -> Iterable[SessionFigures]:
    if row.pool is None:
        return [SessionFigures.of(row.session, row.measured_at, _own_estimate(row), None)]
    return map(SessionFigures.model_validate, row.pool)


def _own_estimate(row: RowRecord) -> Estimate:
    """What the row's newest session says alone."""
    figures = {name: getattr(row, name) for name in Estimate.model_fields}
    if row.pool:
        figures |= {name: row.pool[0][name] for name in NewestFigures.model_fields}
    return Estimate.model_validate(figures)


def _estimate(timing: TimingRecord) -> Estimate:
    estimate = kept_estimate(timing)
    assert estimate is not None  # it is no failure
    return estimate


def _calm(sitting: SessionRecord) -> Calm | None:
    """The calm device to which the session's samples were brought; None where nobody told."""
    if sitting.derivation is None:
        return None
    return Derivation.model_validate(sitting.derivation).told_against


def _table(sitting: SessionRecord) -> dict[str, Any]:
    return {"device": sitting.device, "runtime": sitting.runtime, "origin": sitting.origin}


def _failure(timing: TimingRecord, table: dict[str, Any]) -> FailureRecord:
    return FailureRecord(
        **table,
        operator=timing.operator,
        session=timing.session,
        measured_at=timing.measured_at,
        code=timing.failure_code,
        message=timing.failure_message or "",
    )
