"""Sessions that count for nothing: withdrawn and brought back, with who did it and why.

Nothing is deleted. Rows, history and snapshots become what they would be had the session never
been posted; tables that were served with it stay what they were, under the snapshots of then.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session as DbSession

from contract.deeds import What
from contract.tables import SessionReport
from server.roles import Caller
from server.store.current_rows import settle
from server.store.deeds import note
from server.store.devices import count_change
from server.store.measurements import record_of, session_report


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
        settle(session, record, revision, now)
    return session_report(session, session_id)
