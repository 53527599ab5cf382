"""Sessions and timings: stored once, whoever repeats the post, current rows kept; and read."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session as DbSession

from contract.estimates import Estimate, estimate
from contract.tables import SessionReport
from contract.timings import Conditions, Failure, Runtime, Session, StoredTiming, Timing
from server.errors import Conflict, NotFound, Unprocessable
from server.store.clocks import check_clock
from server.store.devices import count_change, find_device
from server.store.inserting import insert_once, keep_newest
from server.store.retention import samples_digest
from server.store.snapshots import Figures, keep_rows
from server.store.spaces import operator_keys
from server.tables import (
    DeviceRecord,
    FailureRecord,
    SessionRecord,
    TimingRecord,
)

MOST_SESSIONS = 100  # in one listing


def add_session(session: DbSession, new: Session) -> tuple[Session, bool]:
    """Store a session; True if it was not stored before.

    A device's first measured session decides its default runtime.

    Raises:
        NotFound: no such device.
        Conflict: the id belongs to another session.
        Unprocessable: it began or ended before 2000 or in the future.
    """
    check_clock("started_at", new.started_at)
    if new.ended_at is not None:
        check_clock("ended_at", new.ended_at)
    find_device(session, new.device)
    created = insert_once(
        session,
        SessionRecord,
        {
            "id": new.id,
            "device": new.device,
            "runtime": new.runtime.key,
            "space": new.space,
            "origin": new.origin,
            "effort": new.effort,
            "source": new.source,
            "started_at": new.started_at,
            "agent_version": new.agent_version,
            "conditions": new.conditions.model_dump(),
            "ended_at": new.ended_at,
            "conditions_after": (
                new.conditions_after.model_dump() if new.conditions_after else None
            ),
            "unit": new.unit,
        },
    )
    stored = find_session(session, new.id)
    if stored != new:
        raise Conflict(f"session {new.id} is stored with other content; give this one a new id")
    if created and new.origin == "measured":
        session.execute(
            update(DeviceRecord)
            .where(DeviceRecord.name == new.device, DeviceRecord.default_runtime.is_(None))
            .values(default_runtime=new.runtime.key)
        )
    return stored, created


def add_timing(session: DbSession, session_id: UUID, new: Timing) -> tuple[StoredTiming, bool]:
    """Store a timing and bring the table up to date; True if it was not stored before.

    Raises:
        NotFound: no such session.
        Unprocessable: the operator is not of the session's space, the samples have no
            estimate, or it was measured before 2000 or in the future.
        Conflict: the id belongs to another timing, or the operator has one in this session.
    """
    operator = new.operator.key
    figures = estimate_of(operator, new.rounds_us, new.drift)  # before the database is locked
    sitting = find_session(session, session_id)
    if operator not in operator_keys(sitting.space):
        raise Unprocessable(
            f"{operator} is no operator of {sitting.space}, the space of session {session_id}"
        )
    check_clock("measured_at", new.measured_at)
    content = {
        "session": session_id,
        "operator": operator,
        "measured_at": new.measured_at,
        "rounds_us": [list(samples) for samples in new.rounds_us] or None,
        "drift": [list(factors) for factors in new.drift] or None,
        "failure_code": new.failure.code if new.failure else None,
        "failure_message": new.failure.message if new.failure else None,
    }
    created = insert_once(session, TimingRecord, {"id": new.id, **content})
    if created:
        _bring_up_to_date(session, sitting, new, figures)
        stored = StoredTiming(
            id=new.id,
            session=session_id,
            operator=operator,
            estimate=figures,
            failure=new.failure,
        )
    else:
        stored = _stored(_repeated(session, new.id, content))
    return stored, created


def find_session(session: DbSession, session_id: UUID) -> Session:
    """The stored session.

    Raises:
        NotFound: no such session.
    """
    record = session.get(SessionRecord, session_id)
    if record is None:
        raise NotFound(
            f"no session {session_id}; `GET /sessions?device=DEVICE` lists those of a device, "
            "and a new one is posted to /sessions before its timings"
        )
    return _session(record)


def sessions(session: DbSession, device: str) -> list[Session]:
    """The device's newest sessions, at most 100, newest first.

    Raises:
        NotFound: no such device.
    """
    find_device(session, device)
    found = session.scalars(
        select(SessionRecord)
        .where(SessionRecord.device == device)
        .order_by(SessionRecord.started_at.desc(), SessionRecord.id)
        .limit(MOST_SESSIONS)
    )
    return [_session(record) for record in found]


def session_report(session: DbSession, session_id: UUID) -> SessionReport:
    """A session and the figures of what it measured: computed from the raw samples, or kept
    from before those were dropped.

    Raises:
        NotFound: no such session.
        Unprocessable: samples that an older version stored have no estimate.
    """
    sitting = find_session(session, session_id)
    records = {
        record.operator: record
        for record in session.scalars(
            select(TimingRecord).where(TimingRecord.session == session_id)
        )
    }
    return SessionReport(
        session=sitting,
        timings=tuple(
            _stored(records[operator])
            for operator in operator_keys(sitting.space)
            if operator in records
        ),
    )


def _session(record: SessionRecord) -> Session:
    return Session(
        id=record.id,
        device=record.device,
        runtime=Runtime.parse(record.runtime),
        space=record.space,
        origin=record.origin,
        effort=record.effort,
        source=record.source,
        started_at=record.started_at,
        agent_version=record.agent_version,
        conditions=Conditions.model_validate(record.conditions),
        ended_at=record.ended_at,
        conditions_after=(
            Conditions.model_validate(record.conditions_after) if record.conditions_after else None
        ),
        unit=record.unit,
    )


def _stored(record: TimingRecord) -> StoredTiming:
    failure = record.failure_code and Failure(
        code=record.failure_code, message=record.failure_message or ""
    )
    return StoredTiming(
        id=record.id,
        session=record.session,
        operator=record.operator,
        estimate=(
            Estimate.model_validate(record.figures)
            if record.figures
            else estimate_of(record.operator, record.rounds_us or (), record.drift or ())
        ),
        failure=failure or None,
        samples_dropped_at=record.samples_dropped_at,
    )


def estimate_of(
    operator: str, rounds_us: Sequence[Sequence[float]], drift: Sequence[Sequence[float]]
) -> Estimate | None:
    """The figures of an operator's samples; None of a failure, which has none."""
    if not rounds_us:
        return None
    try:
        return estimate(rounds_us, drift)
    except ValidationError as error:
        first = error.errors()[0]
        raise Unprocessable(
            f"rounds_us of {operator} are no durations in us: their {first['loc'][0]} comes out "
            f"as {first['input']}"
        ) from error


def _bring_up_to_date(
    session: DbSession, sitting: Session, new: Timing, figures: Estimate | None
) -> None:
    """Replace the operator's row or failure, unless a later measurement made it."""
    revision = count_change(session, sitting.device)
    key = {
        "device": sitting.device,
        "runtime": sitting.runtime.key,
        "origin": sitting.origin,
        "operator": new.operator.key,
    }
    source = {"session": sitting.id, "measured_at": new.measured_at}
    if figures is not None:
        found = Figures(new.operator.key, new.measured_at, figures)
        keep_rows(session, sitting, [found], revision=revision)
        session.execute(delete(FailureRecord).filter_by(**key))
    elif new.failure is not None:
        keep_newest(session, FailureRecord, {**key, **source, **new.failure.model_dump()})


def _repeated(session: DbSession, timing_id: UUID, content: Mapping[str, Any]) -> TimingRecord:
    """Nothing was inserted: fine if this very timing is stored, a conflict otherwise."""
    record = session.get(TimingRecord, timing_id)
    if record is None:
        raise Conflict(
            f"session {content['session']} has a timing of {content['operator']} already; "
            "measure it again in a new session"
        )
    expected = dict(content)
    if record.samples_digest == samples_digest(content["rounds_us"], content["drift"]):
        expected |= {"rounds_us": None, "drift": None}  # these very ones were dropped
    if any(getattr(record, field) != value for field, value in expected.items()):
        raise Conflict(f"timing {timing_id} is stored with other content; give this one a new id")
    return record
