"""Long listings in pages: newest first, each page after the last entry of the one before."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from server.database.records import JobRecord, SearchRecord, SessionRecord
from server.errors import NotFound

Listed = type[JobRecord] | type[SessionRecord] | type[SearchRecord]


def later_than(
    session: Session,
    record: Listed,
    moment: InstrumentedAttribute[datetime],
    last: UUID,
    kind: str,
) -> ColumnElement[bool]:
    """What comes after the entry `last` in a listing by `moment`, newest first, then by id.

    Raises:
        NotFound: no such entry.
    """
    at = session.scalar(select(moment).where(record.id == last))
    if at is None:
        raise NotFound(f"no {kind} {last} to go on from; leave `before` out to begin anew")
    return or_(moment < at, and_(moment == at, record.id > last))
