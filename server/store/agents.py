"""Agents and the units that each of them has."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, exists, func, select, tuple_, update
from sqlalchemy.orm import Session as DbSession

from contract.jobs import LEASE, AgentDescription, AgentReport, LostUnit, UnitDescription
from contract.problems import RENAMED
from contract.times import stamp
from server.database.records import AgentRecord, FormerNameRecord, JobRecord, UnitRecord
from server.database.upserts import insert_once, insert_or_set
from server.errors import Conflict, NotFound
from server.roles import Caller
from server.store.deeds import note
from server.store.owners import must_own

MOST_AGENTS = 500  # in one listing


def announce(
    session: DbSession,
    agent_id: UUID,
    description: AgentDescription,
    by: Caller,
    now: datetime,
) -> tuple[AgentReport, bool]:
    """Store or refresh an agent and its units; True if the agent is new.

    A unit belongs to the agent that announced it last, unless it is `withheld`; one that it
    no longer has stays with it as lost. Its device need not be registered yet.

    Raises:
        Forbidden: the agent is another token's.
        Conflict: a unit is of a device that has another name now.
    """
    values = {"host": description.host, "version": description.version, "seen_at": now}
    created = insert_once(session, AgentRecord, {"id": agent_id, "made_by": by.name, **values})
    if created:
        note(session, by, "announced the agent", agent_id, now, detail=description.host)
    told = set(description.units)
    must_be_present(session, {unit.device for unit in told})
    if set(_units(session, [agent_id])[agent_id]) != told:
        _move_units(session, agent_id, told, by, now)  # first, since it locks every agent
    record = note_heartbeat(session, agent_id, by, now)
    record.host, record.version = description.host, description.version
    return _reports(session, [record])[0], created


def must_be_present(session: DbSession, devices: Collection[str]) -> None:
    """Refuse names that devices have no longer: jobs are under the present ones.

    Raises:
        Conflict: there is one; the message tells what to start the agent with.
    """
    former = session.scalars(
        select(FormerNameRecord).where(FormerNameRecord.name.in_(devices)).limit(1)
    ).one_or_none()
    if former is not None:
        raise Conflict(
            f"device {former.name} is called {former.device} now, since {stamp(former.until)}; "
            f"start the agent again with `--name {former.device}`",
            near=[former.device],
            type=RENAMED,
        )


def agents(session: DbSession, *, heard_since: datetime | None = None) -> list[AgentReport]:
    """The 500 agents that were heard of last, or of these the ones heard of since, by host."""
    query = select(AgentRecord).order_by(AgentRecord.seen_at.desc(), AgentRecord.id)
    if heard_since is not None:
        query = query.where(AgentRecord.seen_at > heard_since)
    records = session.scalars(query.limit(MOST_AGENTS)).all()
    return _reports(session, sorted(records, key=lambda record: record.host))


def hosts(session: DbSession, ids: Sequence[UUID]) -> dict[UUID, str]:
    """The host of each of these agents."""
    found = session.execute(
        select(AgentRecord.id, AgentRecord.host).where(AgentRecord.id.in_(ids))
    )
    return {id: host for id, host in found}


def count_away(session: DbSession, heard_since: datetime) -> int:
    """How many agents were not heard of since."""
    return session.scalar(select(func.count()).where(AgentRecord.seen_at <= heard_since)) or 0


def forget_away(session: DbSession, heard_since: datetime) -> tuple[int, int]:
    """Forget the agents that were not heard of since, and their units: how many of each.

    An agent that a job names stays, without its units. Retired units stay, and so their agents.
    """
    away = select(AgentRecord.id).where(AgentRecord.seen_at <= heard_since)
    units = session.execute(
        delete(UnitRecord)
        .where(UnitRecord.agent.in_(away), UnitRecord.retired_at.is_(None))
        .returning(UnitRecord.serial)
    ).all()
    named = exists().where(JobRecord.agent == AgentRecord.id)
    has_retired = exists().where(UnitRecord.agent == AgentRecord.id)
    gone = session.execute(
        delete(AgentRecord)
        .where(AgentRecord.seen_at <= heard_since, ~named, ~has_retired)
        .returning(AgentRecord.id)
    ).all()
    return len(gone), len(units)


def note_heartbeat(session: DbSession, agent_id: UUID, by: Caller, now: datetime) -> AgentRecord:
    """Note that the agent lives. One that is nobody's belongs to the token that speaks for it.

    Raises:
        NotFound: it never announced itself.
        Forbidden: it is another token's.
    """
    record = session.get(AgentRecord, agent_id, with_for_update=True)
    if record is None:
        raise NotFound(f"no agent {agent_id}; announce it with `PUT /agents/{agent_id}` first")
    must_own(by, record.made_by, f"agent {agent_id}")
    if by.role == "agent":
        record.made_by = record.made_by or by.name
    record.seen_at = now
    session.flush()
    return record


def withheld(
    session: DbSession,
    units: Collection[UnitDescription],
    agent_id: UUID,
    by: Caller,
    now: datetime,
) -> set[UnitDescription]:
    """Those of the units that `agent_id` cannot take: another token's agent has them and lives."""
    found = session.execute(
        select(UnitRecord.device, UnitRecord.serial, AgentRecord.made_by)
        .join(AgentRecord, AgentRecord.id == UnitRecord.agent)
        .where(
            tuple_(UnitRecord.device, UnitRecord.serial).in_(_keys(units)),
            UnitRecord.lost_at.is_(None),
            AgentRecord.id != agent_id,
            AgentRecord.seen_at > now - LEASE,
        )
    )
    return {
        UnitDescription(device=device, serial=serial)
        for device, serial, made_by in found
        if not by.may_change(made_by)
    }


def _keys(units: Iterable[UnitDescription]) -> list[tuple[str, str]]:
    return sorted((unit.device, unit.serial) for unit in units)


def _move_units(
    session: DbSession, agent_id: UUID, units: set[UnitDescription], by: Caller, now: datetime
) -> None:
    """The agent has these from now on, but for those withheld, and has lost what else it had.

    One announcement at a time moves units, or two that take each other's would deadlock. So each
    locks all agents first; a lease locks its own agent before its unit, and so waits for neither.
    """
    session.execute(select(AgentRecord.id).order_by(AgentRecord.id).with_for_update())
    kept = _keys(units - withheld(session, units, agent_id, by, now))
    session.execute(
        update(UnitRecord)
        .where(
            UnitRecord.agent == agent_id,
            UnitRecord.lost_at.is_(None),
            tuple_(UnitRecord.device, UnitRecord.serial).not_in(kept),
        )
        .values(lost_at=now)
    )
    for device, serial in kept:
        unit = {"device": device, "serial": serial, "agent": agent_id, "lost_at": None}
        insert_or_set(session, UnitRecord, unit, fields=["agent", "lost_at"])


def _units(session: DbSession, agents: Sequence[UUID]) -> dict[UUID, list[UnitDescription]]:
    """The units that each of these agents has, in order."""
    units: dict[UUID, list[UnitDescription]] = defaultdict(list)
    for agent, device, serial in session.execute(
        select(UnitRecord.agent, UnitRecord.device, UnitRecord.serial)
        .where(UnitRecord.agent.in_(agents), UnitRecord.lost_at.is_(None))
        .order_by(UnitRecord.device, UnitRecord.serial)
    ):
        units[agent].append(UnitDescription(device=device, serial=serial))
    return units


def _lost(session: DbSession, agents: Sequence[UUID]) -> dict[UUID, list[LostUnit]]:
    """The units that each of these agents was the last to have, in order."""
    lost: dict[UUID, list[LostUnit]] = defaultdict(list)
    for record in session.scalars(
        select(UnitRecord)
        .where(UnitRecord.agent.in_(agents), UnitRecord.lost_at.is_not(None))
        .order_by(UnitRecord.device, UnitRecord.serial)
    ):
        assert record.lost_at is not None
        lost[record.agent].append(
            LostUnit(device=record.device, serial=record.serial, lost_at=record.lost_at)
        )
    return lost


def _reports(session: DbSession, records: Sequence[AgentRecord]) -> list[AgentReport]:
    ids = [record.id for record in records]
    units, lost = _units(session, ids), _lost(session, ids)
    return [
        AgentReport(
            id=record.id,
            description=AgentDescription(
                host=record.host, version=record.version, units=tuple(units[record.id])
            ),
            seen_at=record.seen_at,
            lost=tuple(lost[record.id]),
        )
        for record in records
    ]
