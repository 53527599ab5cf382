"""Sessions and timings: stored once, whoever repeats the post, and current rows kept."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import delete, update
from sqlalchemy.orm import Session as DbSession

from contract.estimates import Estimate, estimate
from contract.timings import Conditions, Runtime, Session, StoredTiming, Timing
from server.errors import Conflict, NotFound, Unprocessable
from server.store.devices import find_device
from server.store.inserting import insert_once, keep_newest
from server.store.spaces import operator_keys
from server.tables import (
    DeviceRecord,
    FailureRecord,
    RowRecord,
    SessionRecord,
    TimingRecord,
)

CLOCK_TOLERANCE = timedelta(days=1)
CLOCK_START = datetime(2000, 1, 1, tzinfo=UTC)


def add_session(session: DbSession, new: Session) -> tuple[Session, bool]:
    """Store a session; True if it was not stored before.

    A device's first measured session decides its default runtime.

    Raises:
        NotFound: no such device.
        Conflict: the id belongs to another session.
        Unprocessable: it began before 2000 or in the future.
    """
    find_device(session, new.device)
    _check_clock("started_at", new.started_at)
    created = insert_once(
        session,
        SessionRecord,
        {
            "id": new.id,
            "device": new.device,
            "runtime": new.runtime.key,
            "space": new.space,
            "origin": new.origin,
            "started_at": new.started_at,
            "agent_version": new.agent_version,
            "conditions": new.conditions.model_dump(),
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
    sitting = find_session(session, session_id)
    operator = new.operator.key
    if operator not in operator_keys(sitting.space):
        raise Unprocessable(
            f"{operator} is no operator of {sitting.space}, the space of session {session_id}"
        )
    _check_clock("measured_at", new.measured_at)
    figures = _estimate(operator, new.rounds_us) if new.rounds_us else None
    content = {
        "session": session_id,
        "operator": operator,
        "measured_at": new.measured_at,
        "rounds_us": [list(samples) for samples in new.rounds_us] or None,
        "failure_code": new.failure.code if new.failure else None,
        "failure_message": new.failure.message if new.failure else None,
    }
    created = insert_once(session, TimingRecord, {"id": new.id, **content})
    if created:
        _bring_up_to_date(session, sitting, new, figures)
    else:
        _check_repeated(session, new.id, content)
    stored = StoredTiming(
        id=new.id,
        session=session_id,
        operator=operator,
        estimate=figures,
        failure=new.failure,
    )
    return stored, created


def find_session(session: DbSession, session_id: UUID) -> Session:
    """The stored session.

    Raises:
        NotFound: no such session.
    """
    record = session.get(SessionRecord, session_id)
    if record is None:
        raise NotFound(f"no session {session_id}; post it to /sessions before its timings")
    return Session(
        id=record.id,
        device=record.device,
        runtime=Runtime.parse(record.runtime),
        space=record.space,
        origin=record.origin,
        started_at=record.started_at,
        agent_version=record.agent_version,
        conditions=Conditions.model_validate(record.conditions),
    )


def _check_clock(field: str, moment: datetime) -> None:
    """A row from the future could never be replaced, and one from 1970 never replaces any."""
    if not CLOCK_START <= moment <= datetime.now(UTC) + CLOCK_TOLERANCE:
        raise Unprocessable(
            f"{field} {moment.isoformat()} is not a time in the past; set the agent's clock"
        )


def _estimate(operator: str, rounds_us: Sequence[Sequence[float]]) -> Estimate:
    try:
        return estimate(rounds_us)
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
    session.execute(
        update(DeviceRecord)
        .where(DeviceRecord.name == sitting.device)
        .values(revision=DeviceRecord.revision + 1)
    )
    key = {
        "device": sitting.device,
        "runtime": sitting.runtime.key,
        "origin": sitting.origin,
        "operator": new.operator.key,
    }
    source = {"session": sitting.id, "measured_at": new.measured_at}
    if figures is not None:
        keep_newest(session, RowRecord, {**key, **source, **figures.model_dump()})
        session.execute(delete(FailureRecord).filter_by(**key))
    elif new.failure is not None:
        keep_newest(session, FailureRecord, {**key, **source, **new.failure.model_dump()})


def _check_repeated(session: DbSession, timing_id: UUID, content: Mapping[str, Any]) -> None:
    """Nothing was inserted: fine if this very timing is stored, a conflict otherwise."""
    record = session.get(TimingRecord, timing_id)
    if record is None:
        raise Conflict(
            f"session {content['session']} has a timing of {content['operator']} already; "
            "measure it again in a new session"
        )
    if any(getattr(record, field) != value for field, value in content.items()):
        raise Conflict(f"timing {timing_id} is stored with other content; give this one a new id")
