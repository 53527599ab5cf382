"""Agents and the units that each of them has."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select, tuple_
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
    told = set(description.units)
    if set(_units(session, [agent_id])[agent_id]) != told:
        _move_units(session, agent_id, told)
    record = heard_from(session, agent_id, now)
    record.host, record.version = description.host, description.version
    return _reports(session, [record])[0], created


def agents(session: DbSession) -> list[AgentReport]:
    """Every agent, by host, those heard of last first."""
    records = session.scalars(
        select(AgentRecord).order_by(AgentRecord.host, AgentRecord.seen_at.desc(), AgentRecord.id)
    )
    return _reports(session, records.all())


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


def _move_units(session: DbSession, agent_id: UUID, units: set[UnitDescription]) -> None:
    """The agent has exactly these from now on.

    One announcement at a time moves units, or two that take each other's would deadlock. So each
    locks all agents first; a lease locks its own agent before its unit, and so waits for neither.
    """
    session.execute(select(AgentRecord.id).order_by(AgentRecord.id).with_for_update())
    kept = sorted((unit.device, unit.serial) for unit in units)
    session.execute(
        delete(UnitRecord).where(
            UnitRecord.agent == agent_id,
            tuple_(UnitRecord.device, UnitRecord.serial).not_in(kept),
        )
    )
    for device, serial in kept:
        unit = {"device": device, "serial": serial, "agent": agent_id}
        insert_or_set(session, UnitRecord, unit, field="agent")


def _units(session: DbSession, agents: Sequence[UUID]) -> dict[UUID, list[UnitDescription]]:
    """The units of each of these agents, in order."""
    units: dict[UUID, list[UnitDescription]] = defaultdict(list)
    for agent, device, serial in session.execute(
        select(UnitRecord.agent, UnitRecord.device, UnitRecord.serial)
        .where(UnitRecord.agent.in_(agents))
        .order_by(UnitRecord.device, UnitRecord.serial)
    ):
        units[agent].append(UnitDescription(device=device, serial=serial))
    return units


def _reports(session: DbSession, records: Sequence[AgentRecord]) -> list[AgentReport]:
    units = _units(session, [record.id for record in records])
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
