"""`/fleet`: agents, units and the queue, live; `/queue`, its old address."""

from typing import Literal, get_args
from uuid import UUID

from fastapi import Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy.orm import Session as DbSession

from contract.jobs import LEASE, JobState
from server.clock import Now
from server.database import reads
from server.events import Listeners
from server.rendering import page_router, render
from server.store import agents, deeds, devices, fleet, jobs

WorkKind = Literal["profile", "audit", "measure"]
MOST_DEAD = 10  # on the page; the filter shows more
MOST_DEEDS = 20  # on the page; /deeds tells more

router = page_router()


@router.get("/fleet")
@reads
def fleet_page(
    request: Request,
    session: DbSession,
    now: Now,
    state: JobState | Literal[""] = "",
    device: str = "",
    kind: WorkKind | Literal[""] = "",
    before: UUID | None = None,
    away: bool = False,
) -> Response:
    """Agents and their units, and the newest jobs: all, or those of a state, device and kind.

    Agents that were not heard of for a day are counted, and shown where `away` asks for them;
    `before` is the last job of the page before.
    """
    since = None if away else now - fleet.FOLDED_AFTER
    everyone = agents.agents(session, heard_since=since)
    found = jobs.jobs(
        session,
        now,
        device=device or None,
        state=state or None,
        kind=kind or None,
        before=before,
    )
    return render(
        request,
        "fleet.html",
        agents=everyone,
        heard_since=now - LEASE,
        away=agents.count_away(session, now - fleet.FOLDED_AFTER),
        shows_away=away,
        units=fleet.units(session, now, heard_since=since),
        deeds=deeds.deeds(session)[:MOST_DEEDS],
        before=before,
        counts=jobs.counts(session, now),
        jobs=found,
        most_jobs=jobs.MOST_JOBS,
        dead=jobs.jobs(session, now, state="dead")[:MOST_DEAD],
        hosts=agents.hosts(session, [job.agent for job in found if job.agent]),
        digest=fleet.digest(session, now),
        base=str(request.base_url).rstrip("/"),
        device_options=[(name, name) for name in devices.names(session)],
        state_options=[(name, name) for name in get_args(JobState)],
        kind_options=[(name, name) for name in get_args(WorkKind)],
        chosen=(state, device, kind),
    )


@router.get("/fleet/events")
async def fleet_events(request: Request) -> Response:
    """A word whenever the fleet has changed, as server-sent events."""
    listeners: Listeners = request.app.state.listeners
    return listeners.stream()


@router.get("/queue")
def queue(request: Request) -> Response:
    """Where the jobs were to be seen before."""
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"/fleet{query}")
