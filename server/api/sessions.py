"""Sessions and their timings: posted by agents, a repeated post answered with the first; read."""

from uuid import UUID

from fastapi import APIRouter, Depends, Response
from sqlalchemy.orm import Session as DbSession

from contract.deeds import Reason
from contract.notes import NewNote, Note
from contract.problems import Problem
from contract.sessions import Session
from contract.tables import SessionReport
from contract.timings import BatchReport, StoredTiming, Timing, TimingBatch, TimingOutcome
from server.api.intake import take_in
from server.errors import Refusal, Unprocessable
from server.http.access import By, needs
from server.http.dependencies import Now, TheDatabase, reads, writes
from server.store import measurements, notes, withdrawals

router = APIRouter(
    tags=["measuring"],
    responses={404: {"model": Problem}},
    dependencies=[Depends(needs("reader"))],
)


@router.get("/sessions")
@reads
def list_sessions(device: str, session: DbSession, before: UUID | None = None) -> list[Session]:
    """The newest 100 sessions of a device, newest first.

    `before` is the id of the last one of a page: the next page begins after it.
    """
    return measurements.sessions(session, device, before=before)


@router.get("/sessions/{session_id}")
@reads
def session_report(session_id: UUID, session: DbSession) -> SessionReport:
    """A session with the figures of what it measured."""
    return measurements.session_report(session, session_id)


@router.post(
    "/sessions",
    status_code=201,
    responses={200: {"model": Session}, 409: {"model": Problem}},
    dependencies=[Depends(needs("agent"))],
)
@writes
def add_session(new: Session, response: Response, session: DbSession, by: By, now: Now) -> Session:
    """Store a session (201); the same one again is answered with the first (200)."""
    if new.origin == "imported":
        raise Unprocessable("imported timings come whole, in one POST to /imports")
    stored, created = measurements.add_session(session, new, by, now)
    response.status_code = 201 if created else 200
    return stored


@router.post(
    "/sessions/{session_id}/timings",
    status_code=201,
    responses={200: {"model": StoredTiming}, 409: {"model": Problem}},
    dependencies=[Depends(needs("agent"))],
)
async def add_timing(
    session_id: UUID, new: Timing, response: Response, database: TheDatabase, by: By, now: Now
) -> StoredTiming:
    """Store a timing (201); the same one again is answered with the first (200)."""
    outcome = (await take_in(database, session_id, [new], by, now))[new.id]
    if isinstance(outcome.answer, Refusal):
        raise outcome.answer
    response.status_code = 201 if outcome.is_new else 200
    return outcome.answer


@router.post("/sessions/{session_id}/timings/batch", dependencies=[Depends(needs("agent"))])
async def add_timings(
    session_id: UUID, batch: TimingBatch, database: TheDatabase, by: By, now: Now
) -> BatchReport:
    """Store timings of a session at once, each by itself: one that is refused keeps none back."""
    outcomes = await take_in(database, session_id, batch.timings, by, now)
    answers = [outcomes[new.id].answer for new in batch.timings]
    return BatchReport(
        outcomes=tuple(
            TimingOutcome(
                id=new.id, refused=answer.document() if isinstance(answer, Refusal) else None
            )
            for new, answer in zip(batch.timings, answers, strict=True)
        )
    )


@router.get("/sessions/{session_id}/notes")
@reads
def list_notes(session_id: UUID, session: DbSession) -> list[Note]:
    """What people wrote down about a session, oldest first."""
    return notes.notes(session, session_id)


@router.post("/sessions/{session_id}/notes", dependencies=[Depends(needs("agent"))])
@writes
def annotate(session_id: UUID, new: NewNote, session: DbSession, by: By, now: Now) -> list[Note]:
    """Write something down about a session, once; answered with all of its notes."""
    return notes.annotate(session, session_id, new.text, by, now)


ADMIN = [Depends(needs("admin"))]


@router.post("/sessions/{session_id}/withdraw", dependencies=ADMIN)
@writes
def withdraw(session_id: UUID, why: Reason, session: DbSession, by: By, now: Now) -> SessionReport:
    """Let a session count for nothing: rows become what they were without it."""
    return withdrawals.withdraw(session, session_id, why.reason, by, now)


@router.post("/sessions/{session_id}/bring-back", dependencies=ADMIN)
@writes
def bring_back(
    session_id: UUID, why: Reason, session: DbSession, by: By, now: Now
) -> SessionReport:
    """Let a withdrawn session count again."""
    return withdrawals.bring_back(session, session_id, why.reason, by, now)
