"""Agents and the units that each of them has."""

from collections import defaultdict
from datetime import datetime
from uuid import UUID

from sqlalchemy import or_, select, tuple_
from sqlalchemy.orm import Session as DbSession

from contract.jobs import AgentDescription, AgentReport, UnitDescription
from server.errors import NotFound
from server.store.inserting import insert_once, insert_or_set
from server.tables import AgentRecord, UnitRecord


def announce(
    session: DbSession, agent_id: UUID, description: AgentDescription, now: datetime
) -> tuple[AgentReport, bool]:
    """Store or refresh an agent and its units; True if the agent is new.

    A unit belongs to the agent that announced it last. Its device need not be registered yet.
    """
    values = {"host": description.host, "version": description.version, "seen_at": now}
    created = insert_once(session, AgentRecord, {"id": agent_id, **values})
    record = heard_from(session, agent_id, now)
    record.host, record.version = description.host, description.version
    _keep_units(session, agent_id, set(description.units))
    return _reports(session, [record])[0], created


def agents(session: DbSession) -> list[AgentReport]:
    """Every agent, by host, those heard of last first."""
    records = session.scalars(
        select(AgentRecord).order_by(AgentRecord.host, AgentRecord.seen_at.desc(), AgentRecord.id)
    )
    return _reports(session, list(records))


def heard_from(session: DbSession, agent_id: UUID, now: datetime) -> AgentRecord:
    """Note that the agent lives.

    Raises:
        NotFound: it never announced itself.
    """
    record = session.get(AgentRecord, agent_id, with_for_update=True)
    if record is None:
        raise NotFound(f"no agent {agent_id}; announce it with `PUT /agents/{agent_id}` first")
    record.seen_at = now
    session.flush()
    return record


def _keep_units(session: DbSession, agent_id: UUID, units: set[UnitDescription]) -> None:
    """The agent has exactly these. All rows are taken in one order, so that nobody deadlocks."""
    keys = sorted((unit.device, unit.serial) for unit in units)
    stored = session.scalars(
        select(UnitRecord)
        .where(
            or_(
                UnitRecord.agent == agent_id,
                tuple_(UnitRecord.device, UnitRecord.serial).in_(keys),
            )
        )
        .order_by(UnitRecord.device, UnitRecord.serial)
        .with_for_update()
    )
    for record in stored:
        if (record.device, record.serial) not in keys:
            session.delete(record)
    session.flush()
    for device, serial in keys:
        insert_or_set(
            session,
            UnitRecord,
            {"device": device, "serial": serial, "agent": agent_id},
            field="agent",
        )


def _reports(session: DbSession, records: list[AgentRecord]) -> list[AgentReport]:
    units: dict[UUID, list[UnitDescription]] = defaultdict(list)
    ids = [record.id for record in records]
    for agent, device, serial in session.execute(
        select(UnitRecord.agent, UnitRecord.device, UnitRecord.serial)
        .where(UnitRecord.agent.in_(ids))
        .order_by(UnitRecord.device, UnitRecord.serial)
    ):
        units[agent].append(UnitDescription(device=device, serial=serial))
    return [
        AgentReport(
            id=record.id,
            description=AgentDescription(
                host=record.host, version=record.version, units=tuple(units[record.id])
            ),
            seen_at=record.seen_at,
        )
        for record in records
    ]
