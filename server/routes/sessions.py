"""What agents post: sessions and their timings. A repeated post is answered with the first."""

from uuid import UUID

from fastapi import APIRouter, Response

from contract.timings import Problem, Session, StoredTiming, Timing
from server.db import WriteSession
from server.store import measurements

router = APIRouter(
    tags=["measuring"], responses={404: {"model": Problem}, 409: {"model": Problem}}
)


@router.post("/sessions", status_code=201, responses={200: {"model": Session}})
def add_session(new: Session, response: Response, session: WriteSession) -> Session:
    """Store a session (201); the same one again is answered with the first (200)."""
    stored, created = measurements.add_session(session, new)
    response.status_code = 201 if created else 200
    return stored


@router.post(
    "/sessions/{session_id}/timings",
    status_code=201,
    responses={200: {"model": StoredTiming}},
)
def add_timing(
    session_id: UUID, new: Timing, response: Response, session: WriteSession
) -> StoredTiming:
    """Store a timing (201); the same one again is answered with the first (200)."""
    stored, created = measurements.add_timing(session, session_id, new)
    response.status_code = 201 if created else 200
    return stored
