"""What the fleet page shows, gathered from the store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args
from uuid import UUID

from sqlalchemy.orm import Session as DbSession

from contract.deeds import Deed
from contract.jobs import LEASE, AgentReport, JobReport, JobState
from server.store import agents, deeds, devices, fleet, jobs
from server.store.fleet import UnitStatus

WorkKind = Literal["profile", "audit", "measure"]
MOST_DEAD = 10  # on the page; the filter shows more
MOST_DEEDS = 20  # on the page; /deeds tells more

Options = list[tuple[str, str]]  # values in the address, and as people read them


@dataclass(frozen=True, kw_only=True, slots=True)
class FleetView:
    """Agents and their units, the jobs that were chosen, and who did what.

    Attributes:
        heard_since: agents that were heard of later are not away.
        away: how many agents were not heard of for a day.
        counts: how many jobs there are in each state.
        dead: the newest jobs that were given up.
        hosts: where the agents of the jobs are.
        digest: changes whenever the page would.
    """

    agents: Sequence[AgentReport]
    heard_since: datetime
    away: int
    units: Sequence[UnitStatus]
    deeds: Sequence[Deed]
    counts: Mapping[JobState, int]
    jobs: Sequence[JobReport]
    most_jobs: int
    dead: Sequence[JobReport]
    hosts: Mapping[UUID, str]
    digest: str
    device_options: Options
    state_options: Options
    kind_options: Options


def fleet_view(
    session: DbSession,
    now: datetime,
    *,
    state: JobState | None,
    device: str | None,
    kind: WorkKind | None,
    before: UUID | None,
    with_away: bool,
) -> FleetView:
    """The fleet now, and the newest jobs: all, or those of a state, device and kind.

    Raises:
        NotFound: no such job to go on from.
    """
    since = None if with_away else now - fleet.FOLDED_AFTER
    everyone = agents.agents(session, heard_since=since)
    found = jobs.jobs(session, now, device=device, state=state, kind=kind, before=before)
    return FleetView(
        agents=everyone,
        heard_since=now - LEASE,
        away=agents.count_away(session, now - fleet.FOLDED_AFTER),
        units=fleet.units(session, now, heard_since=since),
        deeds=deeds.deeds(session)[:MOST_DEEDS],
        counts=jobs.counts(session, now),
        jobs=found,
        most_jobs=jobs.MOST_JOBS,
        dead=jobs.jobs(session, now, state="dead")[:MOST_DEAD],
        hosts=agents.hosts(session, [job.agent for job in found if job.agent]),
        digest=fleet.digest(session, now),
        device_options=[(name, name) for name in devices.names(session)],
        state_options=[(name, name) for name in get_args(JobState)],
        kind_options=[(name, name) for name in get_args(WorkKind)],
    )
