"""Jobs: filed once, whoever repeats the post; read, cancelled and tried anew.

A lease that ran out is taken back when somebody next asks for work. Until then every reader is
told how the job stands (`standing`), so the answer never depends on who has asked.
"""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, get_args
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, and_, case, func, select
from sqlalchemy.orm import Session as DbSession

from contract import commands
from contract.errors import PhonebookError
from contract.estimates import Estimate
from contract.footprint import Footprint
from contract.jobs import Job, JobReport, JobState, MeasureNetwork, Progress, Work
from contract.levels import AtLevel
from contract.networks import network
from contract.runtime import Runtime
from contract.times import stamp
from server.database.records import AgentRecord, DeviceRecord, JobRecord
from server.database.upserts import insert_once
from server.errors import Conflict, NotFound, Unprocessable
from server.roles import Caller
from server.store.deeds import note
from server.store.devices import device_to_write, find_device
from server.store.owners import must_own
from server.store.paging import later_than
from server.store.spaces import known_spaces

MOST_JOBS = 100  # in one listing

_WORK: TypeAdapter[Work] = TypeAdapter(Work)


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """What changes of a job when its lease runs out."""

    state: JobState
    changed_at: datetime
    expires_at: datetime | None
    reason: str | None


def file_job(session: DbSession, new: Job, by: Caller, now: datetime) -> tuple[JobReport, bool]:
    """Store a job that waits; True if it was not stored before.

    Raises:
        NotFound: no such device or space.
        Conflict: the id belongs to another job, or the device is retired.
        Unprocessable: the blocks to measure are no network of the space, or no agent can measure
            under the runtime.
    """
    _check_work(session, new)
    device = device_to_write(session, new.device)
    new = new.evolve(device=device.name)
    if session.get(JobRecord, new.id) is None:
        _must_take_jobs(device)
    created = insert_once(
        session,
        JobRecord,
        {
            "id": new.id,
            "device": new.device,
            "runtime": new.runtime.key,
            "work": new.work.model_dump(mode="json"),
            "priority": new.priority,
            "most_attempts": new.most_attempts,
            "state": "waiting",
            "attempts": 0,
            "forgiven": 0,
            "filed_at": now,
            "changed_at": now,
            "made_by": by.name,
        },
    )
    stored = find_job(session, new.id, now)
    if stored.job != new:
        raise Conflict(f"job {new.id} is stored with other content; give this one a new id")
    if created:
        note(session, by, "filed the job", new.id, now)
    return stored, created


def jobs(
    session: DbSession,
    now: datetime,
    *,
    device: str | None = None,
    state: JobState | None = None,
    kind: str | None = None,
    before: UUID | None = None,
) -> list[JobReport]:
    """The newest jobs, at most 100, newest first; `kind` is that of their work.

    With `before`, the id of a job: of those that come after it in this order.

    Raises:
        NotFound: no such device, or no such job.
    """
    query = select(JobRecord).order_by(JobRecord.filed_at.desc(), JobRecord.id).limit(MOST_JOBS)
    if device is not None:
        find_device(session, device)
        query = query.where(JobRecord.device == device)
    if state is not None:
        query = query.where(state_at(now) == state)
    if before is not None:
        query = query.where(later_than(session, JobRecord, JobRecord.filed_at, before, "job"))
    if kind is not None:
        query = query.where(JobRecord.work["kind"].as_string() == kind)
    return [report(session, record, now) for record in session.scalars(query)]


def counts(session: DbSession, now: datetime) -> dict[JobState, int]:
    """How many jobs stand in each state; states without any left out."""
    state = state_at(now)
    found = session.execute(select(state, func.count()).group_by(state))
    by_name = {name: count for name, count in found}
    return {name: by_name[name] for name in get_args(JobState) if name in by_name}


def find_job(session: DbSession, job_id: UUID, now: datetime) -> JobReport:
    """A job and what became of it.

    Raises:
        NotFound: no such job.
    """
    record = session.get(JobRecord, job_id)
    if record is None:
        raise _no_job(job_id)
    return report(session, record, now)


def cancel(session: DbSession, job_id: UUID, by: Caller, now: datetime) -> JobReport:
    """Nobody begins it any more, and whoever has begun loses the lease.

    The unit stays held until its agent offers it again or the lease would have ended: till then
    the agent may still be at it.

    Raises:
        NotFound: no such job.
        Conflict: it has ended.
        Forbidden: another token filed it.
    """
    record = lock_job(session, job_id, now)
    must_own(by, record.made_by, f"job {job_id}")
    if record.state in ("done", "dead"):
        raise Conflict(f"job {job_id} is {record.state}: there is nothing to cancel")
    if record.state != "cancelled":
        _cancel(session, record, by, now)
    return report(session, record, now)


def cancel_all(session: DbSession, device: str, why: str, by: Caller, now: datetime) -> int:
    """Cancel every job of the device that has not ended: how many."""
    found = session.scalars(
        select(JobRecord)
        .where(JobRecord.device == device, JobRecord.state.in_(("waiting", "leased")))
        .order_by(JobRecord.id)
        .with_for_update()
    ).all()
    for record in found:
        settle(session, record, now)
    open_ones = [record for record in found if record.state in ("waiting", "leased")]
    for record in open_ones:
        _cancel(session, record, by, now, detail=why)
    return len(open_ones)


def retry(session: DbSession, job_id: UUID, by: Caller, now: datetime) -> JobReport:
    """A dead or cancelled job waits again, its attempts counted anew. One that waits goes on.

    Raises:
        NotFound: no such job.
        Conflict: it is being worked on, or done, or its device is retired.
        Forbidden: another token filed it.
    """
    record = lock_job(session, job_id, now)
    must_own(by, record.made_by, f"job {job_id}")
    if record.state == "leased":
        raise Conflict(f"job {job_id} is being worked on; wait for its end, or cancel it first")
    if record.state == "done":
        raise Conflict(f"job {job_id} is done; file a new one to have it done again")
    _must_take_jobs(device_to_write(session, record.device))
    if record.state != "waiting":
        record.state, record.changed_at = "waiting", now
        record.forgiven = record.attempts
        note(session, by, "retried the job", job_id, now)
    return report(session, record, now)


def lock_job(session: DbSession, job_id: UUID, now: datetime) -> JobRecord:
    """The job's record as it stands; nobody else changes it before the transaction ends.

    Raises:
        NotFound: no such job.
    """
    record = session.get(JobRecord, job_id, with_for_update=True)
    if record is None:
        raise _no_job(job_id)
    settle(session, record, now)
    return record


def settle(session: DbSession, record: JobRecord, now: datetime) -> None:
    """Store how the job stands."""
    for field, value in asdict(standing(session, record, now)).items():
        setattr(record, field, value)


def standing(session: DbSession, record: JobRecord, now: datetime) -> Standing:
    """How a job stands, whether or not a lease that ran out has been taken back."""
    state, changed_at, expires_at = record.state, record.changed_at, record.expires_at
    reason = record.reason
    if expires_at is not None and expires_at <= now:
        if state == "leased":
            spent = record.attempts - record.forgiven >= record.most_attempts
            state, changed_at = "dead" if spent else "waiting", expires_at
            reason = _silence(session, record)
        expires_at = None
    return Standing(state=state, changed_at=changed_at, expires_at=expires_at, reason=reason)


def report(session: DbSession, record: JobRecord, now: datetime) -> JobReport:
    """The job and what became of it."""
    stands = standing(session, record, now)
    return JobReport(
        job=job_of(record),
        state=stands.state,
        attempts=record.attempts,
        filed_at=record.filed_at,
        changed_at=stands.changed_at,
        agent=record.agent,
        unit=record.unit,
        expires_at=stands.expires_at if stands.state == "leased" else None,
        progress=Progress.model_validate(record.progress) if record.progress else None,
        reason=stands.reason,
        estimate=Estimate.model_validate(record.estimate) if record.estimate else None,
        footprint=footprint_of(record),
        at_level=at_level_of(record),
    )


def footprint_of(record: JobRecord) -> Footprint | None:
    """Of a network that the job has had measured; agents of versions before did not tell it."""
    told = _told(record, "footprint")
    return Footprint.model_validate(told) if told else None


def at_level_of(record: JobRecord) -> AtLevel | None:
    """The latency of such a network at its table's level, where it was measured beside others."""
    told = _told(record, "at_level")
    return AtLevel.model_validate(told) if told else None


def _told(record: JobRecord, what: str) -> Any:
    return record.outcome.get(what) if record.state == "done" and record.outcome else None


def job_of(record: JobRecord) -> Job:
    """The job as it was filed."""
    return Job(
        id=record.id,
        device=record.device,
        runtime=Runtime.parse(record.runtime),
        work=_WORK.validate_python(record.work),
        priority=record.priority,
        most_attempts=record.most_attempts,
    )


def _cancel(
    session: DbSession, record: JobRecord, by: Caller, now: datetime, *, detail: str | None = None
) -> None:
    record.state, record.changed_at = "cancelled", now
    note(session, by, "cancelled the job", record.id, now, detail=detail)


def _must_take_jobs(device: DeviceRecord) -> None:
    if device.retired_at is not None:
        raise Conflict(
            f"device {device.name} was retired on {stamp(device.retired_at)} and takes no jobs; "
            f"`{commands.bring_back_device(device.name)}` at the server changes that"
        )


def _check_work(session: DbSession, new: Job) -> None:
    work = new.work
    if new.runtime.backend == "foreign":
        raise Unprocessable(
            f"no agent measures under {new.runtime.key}: a foreign runtime is another program's; "
            "file the job under one of the device's own (`GET /devices` lists them)"
        )
    space = known_spaces(session).find(work.space)
    if isinstance(work, MeasureNetwork):
        try:
            network(work.blocks, space=space, name="to measure")
        except PhonebookError as error:
            raise Unprocessable(str(error)) from error


def _no_job(job_id: UUID) -> NotFound:
    return NotFound(f"no job {job_id}; `GET /jobs` lists the newest")


def state_at(now: datetime) -> ColumnElement[str]:
    """The state of `standing`, for a query."""
    lapsed = and_(JobRecord.state == "leased", JobRecord.expires_at <= now)
    spent = JobRecord.attempts - JobRecord.forgiven >= JobRecord.most_attempts
    return case((and_(lapsed, spent), "dead"), (lapsed, "waiting"), else_=JobRecord.state)


def _silence(session: DbSession, record: JobRecord) -> str:
    agent = session.get(AgentRecord, record.agent)
    host = agent.host if agent else "an unknown host"
    return (
        f"attempt {record.attempts}: agent {record.agent} on {host} with unit {record.unit} was "
        "not heard of until its lease ended"
    )
