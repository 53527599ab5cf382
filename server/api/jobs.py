"""Jobs: filed by whoever wants something measured, leased and finished by agents."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter, Depends, Response
from sqlalchemy.orm import Session as DbSession

from contract.jobs import Job, JobReport, JobState, Lease, LeaseRequest, Outcome, Renewal
from contract.problems import Problem
from server.http.access import By, needs
from server.http.dependencies import Now, reads, writes
from server.store import jobs, leases

router = APIRouter(
    tags=["fleet"], dependencies=[Depends(needs("reader"))], responses={404: {"model": Problem}}
)
AGENT = [Depends(needs("agent"))]
CONFLICT: dict[int | str, dict[str, Any]] = {409: {"model": Problem}}


@router.post(
    "/jobs", status_code=201, dependencies=AGENT, responses={200: {"model": JobReport}, **CONFLICT}
)
@writes
def file_job(new: Job, response: Response, session: DbSession, by: By, now: Now) -> JobReport:
    """File a job (201); the same one again is answered with what became of the first (200)."""
    stored, created = jobs.file_job(session, new, by, now)
    response.status_code = 201 if created else 200
    return stored


@router.get("/jobs")
@reads
def list_jobs(
    session: DbSession,
    now: Now,
    device: str | None = None,
    state: JobState | None = None,
    before: UUID | None = None,
) -> list[JobReport]:
    """The newest 100 jobs, newest first: all, or those of a device or in a state.

    `before` is the id of the last one of a page: the next page begins after it.
    """
    return jobs.jobs(session, now, device=device, state=state, before=before)


@router.get("/jobs/{job_id}")
@reads
def job(job_id: UUID, session: DbSession, now: Now) -> JobReport:
    """A job and what became of it."""
    return jobs.find_job(session, job_id, now)


@router.post("/jobs/{job_id}/cancel", dependencies=AGENT, responses=CONFLICT)
@writes
def cancel(job_id: UUID, session: DbSession, by: By, now: Now) -> JobReport:
    """Nobody is to begin it; whoever has begun loses the lease."""
    return jobs.cancel(session, job_id, by, now)


@router.post("/jobs/{job_id}/retry", dependencies=AGENT, responses=CONFLICT)
@writes
def retry(job_id: UUID, session: DbSession, by: By, now: Now) -> JobReport:
    """A dead or cancelled job waits again, with all its attempts before it."""
    return jobs.retry(session, job_id, by, now)


@router.post(
    "/leases",
    dependencies=AGENT,
    response_model=Lease,
    responses={
        204: {"description": "Nothing waits, another agent has that unit, or it is retired"},
        **CONFLICT,
    },
)
@writes
def lease(request: LeaseRequest, session: DbSession, by: By, now: Now) -> Lease | Response:
    """A job for a free unit: that of the highest priority, then the oldest."""
    return leases.lease(session, request, by, now) or Response(status_code=204)


@router.post("/jobs/{job_id}/renew", dependencies=AGENT, responses=CONFLICT)
@writes
def renew(job_id: UUID, renewal: Renewal, session: DbSession, by: By, now: Now) -> Lease:
    """Keep the lease, and tell the progress; 409 says that the lease is lost."""
    return leases.renew(session, job_id, renewal, by, now)


@router.post("/jobs/{job_id}/finish", dependencies=AGENT, responses=CONFLICT)
@writes
def finish(job_id: UUID, outcome: Outcome, session: DbSession, by: By, now: Now) -> JobReport:
    """End an attempt; told again it changes nothing. 409 says that the lease was lost before."""
    return leases.finish(session, job_id, outcome, by, now)
