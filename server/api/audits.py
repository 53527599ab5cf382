"""What audits post, and each of them in full. A repeated post is answered with the first."""

from uuid import UUID

from fastapi import APIRouter, Depends, Response
from sqlalchemy.orm import Session as DbSession

from contract.audits import Audit, AuditReport
from contract.problems import Problem
from server.http.access import By, needs
from server.http.dependencies import Now, reads, writes
from server.store import audits

router = APIRouter(
    tags=["audits"],
    responses={404: {"model": Problem}},
    dependencies=[Depends(needs("reader"))],
)


@router.post(
    "/audits",
    status_code=201,
    responses={200: {"model": AuditReport}, 409: {"model": Problem}},
    dependencies=[Depends(needs("agent"))],
)
@writes
def add_audit(new: Audit, response: Response, session: DbSession, by: By, now: Now) -> AuditReport:
    """Store an audit (201); the same one again is answered with the first (200)."""
    stored, created = audits.add_audit(session, new, by, now)
    response.status_code = 201 if created else 200
    return stored


@router.get("/audits/{audit_id}")
@reads
def audit(audit_id: UUID, session: DbSession) -> AuditReport:
    """An audit, network by network, with its figures."""
    return audits.find_audit(session, audit_id)
