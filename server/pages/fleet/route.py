"""`/fleet`: agents, units and the queue, live; `/queue`, its old address."""

from typing import Literal
from uuid import UUID

from fastapi import Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy.orm import Session as DbSession

from contract.jobs import JobState
from server.http.dependencies import Now, reads
from server.http.sub_path import from_outside
from server.pages.fleet.events import Listeners
from server.pages.fleet.view import WorkKind, fleet_view
from server.pages.rendering import page_router, render

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
    view = fleet_view(
        session,
        now,
        state=state or None,
        device=device or None,
        kind=kind or None,
        before=before,
        with_away=away,
    )
    return render(
        request,
        "fleet/fleet.html",
        view=view,
        shows_away=away,
        before=before,
        base=str(request.base_url).rstrip("/"),
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
    return RedirectResponse(from_outside(request, f"/fleet{query}"))
