"""What people wrote down about sessions: kept for good, with who did and when."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session as DbSession

from contract.notes import Note
from server.database.records import NoteRecord, SessionRecord
from server.roles import Caller
from server.store.deeds import note
from server.store.measurements import record_of


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionNote:
    """A note, and the session that it is on."""

    session: UUID
    started_at: datetime
    note: Note


def annotate(
    session: DbSession, session_id: UUID, text: str, by: Caller, now: datetime
) -> list[Note]:
    """Write that down about the session, unless it is written down already; all of its notes.

    Raises:
        NotFound: no such session.
    """
    if text not in [each.text for each in notes(session, session_id)]:
        session.add(NoteRecord(session=session_id, at=now, who=by.name, text=text))
        note(session, by, "annotated the session", session_id, now, detail=text)
    return notes(session, session_id)


def notes(session: DbSession, session_id: UUID) -> list[Note]:
    """What was written down about the session, oldest first.

    Raises:
        NotFound: no such session.
    """
    record_of(session, session_id)
    found = select(NoteRecord).where(NoteRecord.session == session_id).order_by(NoteRecord.id)
    return list(map(_note, session.scalars(found)))


def session_notes(session: DbSession, ids: Collection[UUID]) -> tuple[SessionNote, ...]:
    """The notes on these sessions, oldest first."""
    found = session.execute(
        select(NoteRecord, SessionRecord.started_at)
        .join(SessionRecord, SessionRecord.id == NoteRecord.session)
        .where(NoteRecord.session.in_(ids))
        .order_by(NoteRecord.id)
    )
    return tuple(
        SessionNote(session=record.session, started_at=started_at, note=_note(record))
        for record, started_at in found
    )


def note_texts(session: DbSession) -> dict[UUID, str]:
    """What was written down about each session that has notes, oldest first."""
    found: dict[UUID, list[str]] = defaultdict(list)
    for record in session.scalars(select(NoteRecord).order_by(NoteRecord.id)):
        found[record.session].append(record.text)
    return {id: "; ".join(texts) for id, texts in found.items()}


def _note(record: NoteRecord) -> Note:
    return Note(at=record.at, who=record.who, text=record.text)
