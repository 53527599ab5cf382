"""Leases: who works on which job with which unit, and how that ends.

A lease is the job's own row while `expires_at` is set: so a job has one at most, and a unique
index sees to it that a unit is held by one job at most. An attempt's number is never given twice.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.orm import Session as DbSession

from contract.jobs import (
    LEASE,
    JobReport,
    Lease,
    LeaseRequest,
    Outcome,
    Renewal,
    UnitDescription,
)
from server.database.records import JobRecord, UnitRecord
from server.database.upserts import insert_or_set
from server.errors import Conflict, Unprocessable
from server.roles import Caller
from server.store.agents import must_be_present, note_heartbeat, withheld
from server.store.jobs import job_of, lock_job, report, settle


def lease(session: DbSession, request: LeaseRequest, by: Caller, now: datetime) -> Lease | None:
    """The waiting job of highest priority, then the oldest, for a free unit; None without one.

    An agent that holds the unit already gets its own lease again, with the same attempt and the
    same end: it was restarted, or lost the answer. Whoever else asks for that unit gets none, and
    so does who asks for one that is `withheld` or retired.

    Raises:
        NotFound: the agent never announced itself.
        Forbidden: it is another token's.
        Conflict: the device has another name now.
    """
    note_heartbeat(session, request.agent, by, now)
    must_be_present(session, [request.device])
    unit = {
        "device": request.device,
        "serial": request.unit,
        "agent": request.agent,
        "lost_at": None,
    }
    insert_or_set(session, UnitRecord, unit, fields=["serial"])  # one at a time asks for a unit
    asked = UnitDescription(device=request.device, serial=request.unit)
    if withheld(session, [asked], request.agent, by, now):
        return None
    _take_back(session, request.device, now)
    holder = session.scalars(
        select(JobRecord).where(
            JobRecord.device == request.device,
            JobRecord.unit == request.unit,
            JobRecord.expires_at.is_not(None),
        )
    ).one_or_none()
    if holder is not None:
        another_takes_it_back = holder.expires_at is not None and holder.expires_at <= now
        if holder.agent != request.agent or another_takes_it_back:
            return None
        if holder.state == "leased":
            return _lease(holder)
        holder.expires_at = None  # cancelled, and its agent offers the unit again
    if session.get_one(UnitRecord, (request.device, request.unit)).retired_at is not None:
        return None
    record = session.scalars(
        select(JobRecord)
        .where(
            JobRecord.device == request.device,
            JobRecord.state == "waiting",
            JobRecord.expires_at.is_(None),
        )
        .order_by(JobRecord.priority.desc(), JobRecord.filed_at, JobRecord.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).one_or_none()
    if record is None:
        return None
    insert_or_set(session, UnitRecord, unit, fields=["agent", "lost_at"])
    record.state, record.changed_at = "leased", now
    record.attempts += 1
    record.agent, record.unit = request.agent, request.unit
    record.expires_at = now + LEASE
    record.progress = None
    return _lease(record)


def renew(session: DbSession, job_id: UUID, renewal: Renewal, by: Caller, now: datetime) -> Lease:
    """Let the lease last a while from now.

    Raises:
        NotFound: no such job.
        Conflict: the lease is lost.
        Forbidden: the agent is another token's.
    """
    record = _held(session, job_id, renewal, by, now)
    record.expires_at = now + LEASE
    if renewal.progress is not None:
        record.progress = renewal.progress.model_dump()
    return _lease(record)


def finish(
    session: DbSession, job_id: UUID, outcome: Outcome, by: Caller, now: datetime
) -> JobReport:
    """End the attempt. The same outcome again changes nothing.

    Raises:
        NotFound: no such job.
        Conflict: the lease is lost.
        Forbidden: the agent is another token's.
        Unprocessable: a network was measured, and its estimate is not told.
    """
    told = outcome.model_dump(mode="json")
    record = lock_job(session, job_id, now)
    if record.outcome == told:
        return report(session, record, now)
    record = _held(session, job_id, outcome, by, now)
    if outcome.done and outcome.estimate is None and job_of(record).work.kind == "measure":
        raise Unprocessable(
            f"job {job_id} measures a network; an outcome that is done needs its estimate"
        )
    record.outcome = told
    record.expires_at, record.changed_at = None, now
    if outcome.done:
        record.state, record.estimate = "done", told["estimate"]
    else:
        if not outcome.counts:
            record.forgiven += 1
        spent = record.attempts - record.forgiven >= record.most_attempts
        record.state = "waiting" if outcome.again and not spent else "dead"
        record.reason = outcome.reason
    return report(session, record, now)


def _take_back(session: DbSession, device: str, now: datetime) -> None:
    """End the device's leases that ran out. Rows that another request is at are left to it.

    No lease lasts longer than one that begins now, even where the clock was set back since.
    """
    lapsed = session.scalars(
        select(JobRecord)
        .where(
            JobRecord.device == device,
            or_(JobRecord.expires_at <= now, JobRecord.expires_at > now + LEASE),
        )
        .with_for_update(skip_locked=True)
    )
    for record in lapsed:
        settle(session, record, now)
        if record.expires_at is not None:
            record.expires_at = min(record.expires_at, now + LEASE)


def _held(
    session: DbSession, job_id: UUID, claim: Renewal | Outcome, by: Caller, now: datetime
) -> JobRecord:
    """The job's record, if that attempt of that agent has the lease.

    Raises:
        NotFound: no such job.
        Conflict: it has not.
        Forbidden: the agent is another token's.
    """
    record = lock_job(session, job_id, now)
    mine = (record.agent, record.attempts) == (claim.agent, claim.attempt)
    if record.state == "leased" and mine:
        note_heartbeat(session, claim.agent, by, now)
        return record
    if record.state == "leased":
        why = f"attempt {record.attempts} of agent {record.agent} works on it"
    else:
        why = f"it is {record.state}"
    raise Conflict(
        f"job {job_id}: attempt {claim.attempt} of agent {claim.agent} has no lease, since {why}; "
        "leave it and ask for other work"
    )


def _lease(record: JobRecord) -> Lease:
    return Lease.model_validate(
        {
            "job": job_of(record),
            "unit": record.unit,
            "attempt": record.attempts,
            "expires_at": record.expires_at,
        }
    )
