"""Visits: what a session measured, as the runner reported it; posted beside its timings, read."""

from uuid import UUID

from fastapi import APIRouter, Depends, Response
from sqlalchemy.orm import Session as DbSession

from contract.problems import Problem
from contract.visits import SessionVisits, VisitBatch, VisitReceipt
from server.http.access import By, needs
from server.http.dependencies import Now, reads, writes
from server.store import visits

router = APIRouter(
    tags=["measuring"],
    responses={404: {"model": Problem}},
    dependencies=[Depends(needs("reader"))],
)


@router.post(
    "/sessions/{session_id}/visits",
    status_code=201,
    responses={200: {"model": VisitReceipt}, 409: {"model": Problem}},
    dependencies=[Depends(needs("agent"))],
)
@writes
def add_visits(
    session_id: UUID, batch: VisitBatch, response: Response, session: DbSession, by: By, now: Now
) -> VisitReceipt:
    """Store visits, all or none (201). The same ones again change nothing (200)."""
    receipt = visits.add_visits(session, session_id, batch, by, now)
    response.status_code = 201 if receipt.stored else 200
    return receipt


@router.get("/sessions/{session_id}/visits")
@reads
def read_visits(session_id: UUID, session: DbSession) -> SessionVisits:
    """All that the session measured, uncorrected, while it is kept."""
    return visits.visits_of(session, session_id)
