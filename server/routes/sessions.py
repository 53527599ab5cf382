"""Sessions and their timings: posted by agents, a repeated post answered with the first; read."""

from uuid import UUID

from fastapi import APIRouter, Depends, Response

from contract.tables import SessionReport
from contract.timings import Problem, Session, StoredTiming, Timing
from server.access import needs
from server.db import ReadSession, WriteSession
from server.errors import Unprocessable
from server.store import measurements

router = APIRouter(
    tags=["measuring"],
    responses={404: {"model": Problem}},
    dependencies=[Depends(needs("reader"))],
)


@router.get("/sessions")
def list_sessions(device: str, session: ReadSession) -> list[Session]:
    """The newest 100 sessions of a device, newest first."""
    return measurements.sessions(session, device)


@router.get("/sessions/{session_id}")
def session_report(session_id: UUID, session: ReadSession) -> SessionReport:
    """A session with the figures of what it measured."""
    return measurements.session_report(session, session_id)


@router.post(
    "/sessions",
    status_code=201,
    responses={200: {"model": Session}, 409: {"model": Problem}},
    dependencies=[Depends(needs("agent"))],
)
def add_session(new: Session, response: Response, session: WriteSession) -> Session:
    """Store a session (201); the same one again is answered with the first (200)."""
    if new.origin == "imported":
        raise Unprocessable("imported timings come whole, in one POST to /imports")
    stored, created = measurements.add_session(session, new)
    response.status_code = 201 if created else 200
    return stored


@router.post(
    "/sessions/{session_id}/timings",
    status_code=201,
    responses={200: {"model": StoredTiming}, 409: {"model": Problem}},
    dependencies=[Depends(needs("agent"))],
)
def add_timing(
    session_id: UUID, new: Timing, response: Response, session: WriteSession
) -> StoredTiming:
    """Store a timing (201); the same one again is answered with the first (200)."""
    stored, created = measurements.add_timing(session, session_id, new)
    response.status_code = 201 if created else 200
    return stored
