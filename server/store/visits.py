"""Visits: what sessions measured, uncorrected; stored once, read whole."""

import zlib
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session as DbSession

from contract.visits import Layout, Series, SessionVisits, Visit, VisitBatch, VisitReceipt
from server.database.records import LayoutRecord, VisitRecord
from server.database.upserts import insert_many
from server.errors import Conflict
from server.roles import Caller
from server.store.clocks import check_clock
from server.store.measurements import record_of
from server.store.owners import must_own

_SERIES = TypeAdapter(tuple[Series, ...])


def add_visits(
    session: DbSession, session_id: UUID, batch: VisitBatch, by: Caller, now: datetime
) -> VisitReceipt:
    """Store the visits that are not stored yet, all of them or none.

    Raises:
        NotFound: no such session.
        Forbidden: it is another token's.
        Conflict: a layout or a visit is stored with other content.
        Unprocessable: a visit was made before 2000 or in the future.
    """
    sitting = record_of(session, session_id)
    must_own(by, sitting.made_by, f"session {session_id}")
    _add_layouts(session, session_id, batch.layouts)
    stored = _stored(session, session_id, {visit.round for visit in batch.visits})
    new = []
    for visit in batch.visits:
        check_clock("made_at", visit.made_at, now)
        key = (visit.round, visit.program)
        if key not in stored:
            new.append(visit)
        elif stored[key] != visit:
            raise Conflict(
                f"session {session_id} has another visit to {visit.program} in round "
                f"{visit.round}; a session's visits never change"
            )
    insert_many(
        session,
        VisitRecord,
        [
            {
                "session": session_id,
                "round": visit.round,
                "program": visit.program,
                "made_at": visit.made_at,
                "series": zlib.compress(_SERIES.dump_json(visit.series)),
            }
            for visit in new
        ],
    )
    return VisitReceipt(stored=len(new))


def visits_of(session: DbSession, session_id: UUID) -> SessionVisits:
    """All that a session measured, by round and program.

    Raises:
        NotFound: no such session.
    """
    record_of(session, session_id)
    layouts = session.scalars(
        select(LayoutRecord.content)
        .where(LayoutRecord.session == session_id)
        .order_by(LayoutRecord.program)
    )
    return SessionVisits(
        layouts=tuple(map(Layout.model_validate_json, layouts)),
        visits=tuple(_stored(session, session_id).values()),
    )


def count_visits(session: DbSession, before: datetime) -> int:
    """How many visits were made before that moment."""
    counted = select(func.count()).select_from(VisitRecord).where(VisitRecord.made_at < before)
    return session.scalar(counted) or 0


def drop_visits(session: DbSession, before: datetime) -> int:
    """Forget the visits made before that moment; how many they were."""
    dropped = session.execute(
        delete(VisitRecord).where(VisitRecord.made_at < before).returning(VisitRecord.round)
    )
    count = len(dropped.all())
    with_visits = select(VisitRecord.session).where(VisitRecord.session == LayoutRecord.session)
    session.execute(delete(LayoutRecord).where(~with_visits.exists()))
    return count


def _add_layouts(session: DbSession, session_id: UUID, layouts: Sequence[Layout]) -> None:
    records = session.scalars(select(LayoutRecord).where(LayoutRecord.session == session_id))
    stored = {record.program: record.content for record in records}
    for layout in layouts:
        known = stored.get(layout.program)
        if known is not None and Layout.model_validate_json(known) != layout:
            raise Conflict(
                f"session {session_id} has another layout of {layout.program}; a session's "
                "programs never change"
            )
    insert_many(
        session,
        LayoutRecord,
        [
            {
                "session": session_id,
                "program": layout.program,
                "content": layout.model_dump_json(),
            }
            for layout in layouts
            if layout.program not in stored
        ],
    )


def _stored(
    session: DbSession, session_id: UUID, rounds: set[int] | None = None
) -> dict[tuple[int, str], Visit]:
    """The session's visits, of all rounds or of these, by round and program."""
    query = select(VisitRecord).where(VisitRecord.session == session_id)
    if rounds is not None:
        query = query.where(VisitRecord.round.in_(rounds))
    return {
        (record.round, record.program): Visit(
            program=record.program,
            round=record.round,
            made_at=record.made_at,
            series=_SERIES.validate_json(zlib.decompress(record.series)),
        )
        for record in session.scalars(query.order_by(VisitRecord.round, VisitRecord.program))
    }
