"""Imported timings: a session of others, stored in one transaction."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.orm import Session as DbSession

from contract.imports import Import, ImportReport
from contract.timings import Timing
from server.database.records import SessionRecord, TimingRecord
from server.errors import Conflict, Unprocessable
from server.roles import Caller
from server.store.clocks import check_clock
from server.store.devices import count_change
from server.store.measurements import add_session
from server.store.snapshots import Figures, keep_rows
from server.store.spaces import known_spaces


def is_stored(session: DbSession, new: Import, now: datetime) -> bool:
    """Whether its session is there already.

    Raises:
        NotFound: no such space.
        Unprocessable: an operator is not of the session's space, or a time is before 2000 or in
            the future.
    """
    keys = frozenset(known_spaces(session).keys(new.session.space))
    for timing in new.timings:
        key = timing.operator.key
        if key not in keys:
            raise Unprocessable(f"{key} is no operator of {new.session.space}")
        check_clock("measured_at", timing.measured_at, now)
    return session.get(SessionRecord, new.session.id) is not None


def import_timings(
    session: DbSession, new: Import, figures: Sequence[Figures], by: Caller, now: datetime
) -> ImportReport:
    """Store a session and its timings, and bring the device's imported table up to date.

    `figures` are those of the timings, in their order; they are needed unless the session is
    stored.

    Raises:
        NotFound: no such device.
        Conflict: the session's id, or the id of a timing, belongs to something else.
        Unprocessable: the session's times are before 2000 or in the future.
    """
    sitting, created = add_session(session, new.session, by, now)
    if created:
        _check_new(session, new)
        session.execute(
            insert(TimingRecord),
            [
                {**_values(new, timing), "figures": each.estimate.model_dump()}
                for timing, each in zip(new.timings, figures, strict=True)
            ],
        )
        revision = count_change(session, sitting.device)
        record = session.get_one(SessionRecord, sitting.id)
        keep_rows(session, record, figures, revision=revision, now=now)
    else:
        _check_same(session, new)
    return ImportReport(session=sitting, rows=len(new.timings), is_new=created)


def _check_new(session: DbSession, new: Import) -> None:
    taken = session.scalar(
        select(TimingRecord.id)
        .where(TimingRecord.id.in_([timing.id for timing in new.timings]))
        .limit(1)
    )
    if taken is not None:
        raise Conflict(f"timing {taken} is stored in another session; give this one a new id")


def _check_same(session: DbSession, new: Import) -> None:
    """The session was stored before: fine with these very timings, a conflict otherwise."""
    stored = session.scalars(
        select(TimingRecord.id).where(TimingRecord.session == new.session.id)
    ).all()
    if set(stored) != {timing.id for timing in new.timings}:
        raise Conflict(
            f"session {new.session.id} is stored with other timings; give this one a new id"
        )


def _values(new: Import, timing: Timing) -> dict[str, Any]:
    return {
        "id": timing.id,
        "session": new.session.id,
        "operator": timing.operator.key,
        "measured_at": timing.measured_at,
        "rounds_us": [list(samples) for samples in timing.rounds_us],
        "drift": [list(factors) for factors in timing.drift] or None,
    }
