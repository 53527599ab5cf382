"""The log of who did what, written in the transaction that does it."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.orm import Session as DbSession

from contract.deeds import Deed, What
from server.database.records import DeedRecord, FormerNameRecord
from server.roles import Caller

MOST_DEEDS = 100  # in one listing


def note(
    session: DbSession,
    by: Caller,
    what: What,
    subject: UUID | str,
    now: datetime,
    *,
    detail: str | None = None,
) -> None:
    """Keep that this was done."""
    session.add(DeedRecord(at=now, who=by.name, what=what, subject=str(subject), detail=detail))


def deeds(
    session: DbSession, *, subject: str | None = None, before: int | None = None
) -> list[Deed]:
    """The newest deeds, at most 100, newest first: all, or those to one thing, or those before.

    Those to a device are told by its present name, whatever it was called when they were done.
    """
    query = select(DeedRecord).order_by(DeedRecord.id.desc()).limit(MOST_DEEDS)
    if subject is not None:
        former = select(FormerNameRecord.name).where(FormerNameRecord.device == subject)
        query = query.where(or_(DeedRecord.subject == subject, DeedRecord.subject.in_(former)))
    if before is not None:
        query = query.where(DeedRecord.id < before)
    return [
        Deed(
            id=record.id,
            at=record.at,
            who=record.who,
            what=record.what,
            subject=record.subject,
            detail=record.detail,
        )
        for record in session.scalars(query)
    ]
