"""The fleet at a glance: each unit and what it is at, and whether anything has changed."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Literal
from uuid import UUID

from sqlalchemy import func, or_, select, tuple_
from sqlalchemy.orm import Session as DbSession

from contract.devices import Conditions
from contract.jobs import LEASE
from server.database.records import AgentRecord, JobRecord, SessionRecord, UnitRecord
from server.store.agents import MOST_AGENTS
from server.store.jobs import MOST_JOBS, state_at

FOLDED_AFTER = timedelta(days=1)  # agents not heard of for so long are not on the page at once

UnitState = Literal["measuring", "free", "lost", "agent away", "retired"]


@dataclass(frozen=True, kw_only=True, slots=True)
class LastReading:
    """What a unit's newest session read last, and when."""

    conditions: Conditions
    read_at: datetime
    session: UUID


@dataclass(frozen=True, kw_only=True, slots=True)
class UnitStatus:
    """A unit, what it is at and since when that is known, and what happened to it last."""

    device: str
    serial: str
    host: str
    agent: UUID
    state: UnitState
    since: datetime | None  # it is retired or lost, or its agent was heard of last
    job: UUID | None  # it holds
    reading: LastReading | None
    error: str | None  # of the newest job that failed on it
    failed_job: UUID | None


def units(
    session: DbSession, now: datetime, *, heard_since: datetime | None = None
) -> list[UnitStatus]:
    """The units of the 500 agents that were heard of last, or of these since, by device; retired
    ones come last."""
    last = select(AgentRecord.id).order_by(AgentRecord.seen_at.desc()).limit(MOST_AGENTS)
    if heard_since is not None:
        last = last.where(AgentRecord.seen_at > heard_since)
    found = session.execute(
        select(UnitRecord, AgentRecord)
        .join(AgentRecord, AgentRecord.id == UnitRecord.agent)
        .where(AgentRecord.id.in_(last))
        .order_by(UnitRecord.retired_at.is_not(None), UnitRecord.device, UnitRecord.serial)
    ).all()
    held = {
        (device, unit): job
        for device, unit, job in session.execute(
            select(JobRecord.device, JobRecord.unit, JobRecord.id).where(
                JobRecord.expires_at > now, JobRecord.state == "leased"
            )
        )
    }
    readings, errors = _readings(session), _errors(session)
    statuses = []
    for unit, agent in found:
        key = (unit.device, unit.serial)
        heard = agent.seen_at > now - LEASE
        state, since = _state(unit, heard=heard, seen_at=agent.seen_at, held=key in held)
        failed_job, error = errors.get(key, (None, None))
        statuses.append(
            UnitStatus(
                device=unit.device,
                serial=unit.serial,
                host=agent.host,
                agent=agent.id,
                state=state,
                since=since,
                job=held.get(key),
                reading=readings.get(key),
                error=error,
                failed_job=failed_job,
            )
        )
    return statuses


def digest(session: DbSession, now: datetime) -> str:
    """A text that changes whenever the fleet's page would, ages apart."""
    listed = select(JobRecord.id).order_by(JobRecord.filed_at.desc(), JobRecord.id)
    changes = session.execute(select(func.count(), func.max(JobRecord.changed_at))).one()
    jobs = session.execute(
        select(
            JobRecord.id,
            state_at(now),
            JobRecord.attempts,
            JobRecord.changed_at,
            JobRecord.progress,
        )
        .where(or_(JobRecord.id.in_(listed.limit(MOST_JOBS)), JobRecord.state == "leased"))
        .order_by(JobRecord.id)
    ).all()
    agents = [
        (id, host, version, seen_at > now - LEASE)
        for id, host, version, seen_at in session.execute(
            select(AgentRecord.id, AgentRecord.host, AgentRecord.version, AgentRecord.seen_at)
            .where(AgentRecord.seen_at > now - FOLDED_AFTER)
            .order_by(AgentRecord.id)
        )
    ]
    its_units = session.execute(
        select(
            UnitRecord.device,
            UnitRecord.serial,
            UnitRecord.agent,
            UnitRecord.lost_at,
            UnitRecord.retired_at,
        )
        .join(AgentRecord, AgentRecord.id == UnitRecord.agent)
        .where(AgentRecord.seen_at > now - FOLDED_AFTER)
        .order_by(UnitRecord.device, UnitRecord.serial)
    ).all()
    told = repr(
        (tuple(changes), [tuple(row) for row in jobs], agents, [tuple(row) for row in its_units])
    )
    return sha256(told.encode()).hexdigest()[:16]


def _state(
    unit: UnitRecord, *, heard: bool, seen_at: datetime, held: bool
) -> tuple[UnitState, datetime | None]:
    if unit.retired_at is not None and not held:
        return "retired", unit.retired_at
    if unit.lost_at is not None:
        return "lost", unit.lost_at
    if not heard:
        return "agent away", seen_at
    return ("measuring" if held else "free"), None


def _readings(session: DbSession) -> dict[tuple[str, str], LastReading]:
    """What the newest session of each unit read last."""
    newest = (
        select(SessionRecord.device, SessionRecord.unit, func.max(SessionRecord.started_at))
        .where(SessionRecord.unit.is_not(None))
        .group_by(SessionRecord.device, SessionRecord.unit)
    )
    key = tuple_(SessionRecord.device, SessionRecord.unit, SessionRecord.started_at)
    return {
        (record.device, record.unit or ""): LastReading(
            conditions=Conditions.model_validate(record.conditions_after or record.conditions),
            read_at=record.ended_at or record.started_at,
            session=record.id,
        )
        for record in session.scalars(select(SessionRecord).where(key.in_(newest)))
    }


def _errors(session: DbSession) -> dict[tuple[str, str], tuple[UUID, str]]:
    """The newest job that failed on each unit, and why; of the newest hundred that failed."""
    found: dict[tuple[str, str], tuple[UUID, str]] = {}
    for device, unit, job, reason in session.execute(
        select(JobRecord.device, JobRecord.unit, JobRecord.id, JobRecord.reason)
        .where(JobRecord.reason.is_not(None), JobRecord.unit.is_not(None))
        .order_by(JobRecord.changed_at.desc(), JobRecord.id)
        .limit(MOST_JOBS)
    ):
        found.setdefault((device, unit or ""), (job, reason or ""))
    return found
