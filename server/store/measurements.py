"""Sessions and timings: stored once, whoever repeats the post, current rows kept; and read."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session as DbSession

from contract.deeds import What
from contract.derivation import Derivation
from contract.devices import Conditions
from contract.estimates import Estimate
from contract.problems import NO_SESSION
from contract.runtime import Runtime
from contract.sessions import Session
from contract.tables import SessionReport
from contract.timings import Failure, StoredTiming, Timing
from server.database.records import DeviceRecord, FailureRecord, SessionRecord, TimingRecord
from server.database.upserts import insert_many, insert_once, keep_newest
from server.errors import Conflict, NotFound, Refusal, Unprocessable
from server.roles import Caller
from server.store.clocks import check_clock
from server.store.current_rows import add_to_rows
from server.store.deeds import note
from server.store.devices import count_change, device_to_write, find_device
from server.store.kept_estimates import kept_estimate
from server.store.owners import must_own
from server.store.paging import later_than
from server.store.retention import samples_digest
from server.store.snapshots import Figures
from server.store.spaces import known_spaces

MOST_SESSIONS = 100  # in one listing


class Outcome(NamedTuple):
    """What became of a posted timing; `is_new`: it was not stored before."""

    answer: StoredTiming | Refusal
    is_new: bool = False


def add_session(
    session: DbSession, new: Session, by: Caller, now: datetime
) -> tuple[Session, bool]:
    """Store a session; True if it was not stored before.

    A device's first measured session decides its default runtime.

    Raises:
        NotFound: no such device or space.
        Conflict: the id belongs to another session.
        Forbidden: the session is another token's.
        Unprocessable: it began or ended before 2000 or in the future.
    """
    check_clock("started_at", new.started_at, now)
    if new.ended_at is not None:
        check_clock("ended_at", new.ended_at, now)
    new = new.evolve(device=device_to_write(session, new.device).name)
    known_spaces(session).find(new.space)
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
            "derivation": new.derivation.model_dump() if new.derivation else None,
            "made_by": by.name,
        },
    )
    if created:
        what: What = "imported the session" if new.source else "posted the session"
        note(session, by, what, new.id, now)
    record = record_of(session, new.id)
    must_own(by, record.made_by, f"session {new.id}")
    stored = _session(record)
    if stored.evolve(derivation=new.derivation) != new:  # estimating again derives anew
        raise Conflict(f"session {new.id} is stored with other content; give this one a new id")
    if created and new.origin == "measured":
        session.execute(
            update(DeviceRecord)
            .where(DeviceRecord.name == new.device, DeviceRecord.default_runtime.is_(None))
            .values(default_runtime=new.runtime.key)
        )
    return stored, created


def stored_outcomes(
    session: DbSession, session_id: UUID, timings: Sequence[Timing], by: Caller, now: datetime
) -> dict[UUID, Outcome]:
    """What can be said of timings at once, by id: they are stored already, or refused.

    Raises:
        NotFound: no such session.
        Forbidden: it is another token's.
    """
    sitting = _to_add_to(session, session_id, by)
    records = _by_id(session, timings)
    keys = frozenset(known_spaces(session).keys(sitting.space))
    said: dict[UUID, Outcome] = {}
    for new in timings:
        try:
            _check(sitting, keys, new, now)
            if new.id in records:
                said[new.id] = Outcome(_repeated(records[new.id], session_id, new))
        except Refusal as refusal:
            said[new.id] = Outcome(refusal)
    return said


def add_timings(
    session: DbSession,
    session_id: UUID,
    found: Sequence[tuple[Timing, Estimate | None]],
    by: Caller,
    now: datetime,
) -> dict[UUID, Outcome]:
    """Store timings, each with the estimate of its samples, and bring the table up to date.

    What became of each, by id.

    Raises:
        NotFound: no such session.
        Forbidden: it is another token's.
    """
    sitting = _to_add_to(session, session_id, by)
    inserted = insert_many(
        session,
        TimingRecord,
        [
            {"id": new.id, **_content(session_id, new), "figures": figures and dict(figures)}
            # In one order, so that two who post the same do not wait for each other.
            for new, figures in sorted(found, key=lambda each: each[0].operator.key)
        ],
    )
    added = [each for each in found if each[0].id in inserted]
    if added:
        _bring_up_to_date(session, sitting, added, now)
    outcomes = {
        new.id: Outcome(
            StoredTiming(
                id=new.id,
                session=session_id,
                operator=new.operator.key,
                estimate=figures,
                failure=new.failure,
            ),
            is_new=True,
        )
        for new, figures in added
    }
    records = _by_id(session, [new for new, _ in found if new.id not in inserted])
    for new, _ in found:
        if new.id in outcomes:
            continue
        try:
            if new.id not in records:
                raise Conflict(
                    f"session {session_id} has a timing of {new.operator.key} already; "
                    "measure it again in a new session"
                )
            outcomes[new.id] = Outcome(_repeated(records[new.id], session_id, new))
        except Refusal as refusal:
            outcomes[new.id] = Outcome(refusal)
    return outcomes


def find_session(session: DbSession, session_id: UUID) -> Session:
    """The stored session.

    Raises:
        NotFound: no such session.
    """
    return _session(record_of(session, session_id))


def sessions(session: DbSession, device: str, *, before: UUID | None = None) -> list[Session]:
    """The device's newest sessions, at most 100, newest first.

    With `before`, the id of a session: of those that come after it in this order.

    Raises:
        NotFound: no such device, or no such session.
    """
    find_device(session, device)
    query = (
        select(SessionRecord)
        .where(SessionRecord.device == device)
        .order_by(SessionRecord.started_at.desc(), SessionRecord.id)
        .limit(MOST_SESSIONS)
    )
    if before is not None:
        started_at = SessionRecord.started_at
        query = query.where(later_than(session, SessionRecord, started_at, before, "session"))
    return [_session(record) for record in session.scalars(query)]


def session_report(session: DbSession, session_id: UUID) -> SessionReport:
    """A session and the figures of what it measured: those that were kept with the timings, and
    computed anew where a version stored them that kept none.

    Raises:
        NotFound: no such session.
        Unprocessable: samples that an older version stored have no estimate.
    """
    record = record_of(session, session_id)
    sitting = _session(record)
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
            for operator in known_spaces(session).keys(sitting.space)
            if operator in records
        ),
        withdrawn_at=record.withdrawn_at,
    )


def record_of(session: DbSession, session_id: UUID) -> SessionRecord:
    """The session as it is stored.

    Raises:
        NotFound: no such session.
    """
    record = session.get(SessionRecord, session_id)
    if record is None:
        raise NotFound(
            f"no session {session_id}; `GET /sessions?device=DEVICE` lists those of a device, "
            "and a new one is posted to /sessions before its timings",
            type=NO_SESSION,
        )
    return record


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
        derivation=(Derivation.model_validate(record.derivation) if record.derivation else None),
    )


def _stored(record: TimingRecord) -> StoredTiming:
    failure = record.failure_code and Failure(
        code=record.failure_code, message=record.failure_message or ""
    )
    return StoredTiming(
        id=record.id,
        session=record.session,
        operator=record.operator,
        estimate=kept_estimate(record),
        failure=failure or None,
        samples_dropped_at=record.samples_dropped_at,
    )


def _to_add_to(session: DbSession, session_id: UUID, by: Caller) -> SessionRecord:
    record = record_of(session, session_id)
    must_own(by, record.made_by, f"session {session_id}")
    return record


def _check(sitting: SessionRecord, keys: Collection[str], new: Timing, now: datetime) -> None:
    if new.operator.key not in keys:
        raise Unprocessable(
            f"{new.operator.key} is no operator of {sitting.space}, the space of session "
            f"{sitting.id}"
        )
    check_clock("measured_at", new.measured_at, now)


def _content(session_id: UUID, new: Timing) -> dict[str, Any]:
    """What a stored timing must have to be this one."""
    return {
        "session": session_id,
        "operator": new.operator.key,
        "measured_at": new.measured_at,
        "rounds_us": [list(samples) for samples in new.rounds_us] or None,
        "drift": [list(factors) for factors in new.drift] or None,
        "failure_code": new.failure.code if new.failure else None,
        "failure_message": new.failure.message if new.failure else None,
    }


def _by_id(session: DbSession, timings: Sequence[Timing]) -> dict[UUID, TimingRecord]:
    if not timings:
        return {}
    ids = [new.id for new in timings]
    found = session.scalars(select(TimingRecord).where(TimingRecord.id.in_(ids)))
    return {record.id: record for record in found}


def _bring_up_to_date(
    session: DbSession,
    sitting: SessionRecord,
    added: Sequence[tuple[Timing, Estimate | None]],
    now: datetime,
) -> None:
    """Let the operators' rows rest on these too, and replace their failures.

    Nobody can withdraw the session between the look and the end of the transaction.
    """
    revision = count_change(session, sitting.device)
    session.refresh(sitting, ["withdrawn_at"])
    if sitting.withdrawn_at is not None:
        return
    table = {"device": sitting.device, "runtime": sitting.runtime, "origin": sitting.origin}
    good = [
        Figures(new.operator.key, sitting.id, new.measured_at, figures)
        for new, figures in added
        if figures is not None
    ]
    if good:
        add_to_rows(session, sitting, good, revision, now)
        operators = [figures.operator for figures in good]
        session.execute(
            delete(FailureRecord).filter_by(**table).where(FailureRecord.operator.in_(operators))
        )
    for new, _ in added:
        if new.failure is not None:
            source = {"session": sitting.id, "measured_at": new.measured_at}
            key = {**table, "operator": new.operator.key}
            keep_newest(session, FailureRecord, [{**key, **source, **new.failure.model_dump()}])


def _repeated(record: TimingRecord, session_id: UUID, new: Timing) -> StoredTiming:
    """That id is stored: fine if it is this very timing, a conflict otherwise."""
    expected = _content(session_id, new)
    if record.samples_digest == samples_digest(expected["rounds_us"], expected["drift"]):
        del expected["rounds_us"], expected["drift"]  # these very ones were posted
    if any(getattr(record, field) != value for field, value in expected.items()):
        raise Conflict(f"timing {new.id} is stored with other content; give this one a new id")
    return _stored(record)
