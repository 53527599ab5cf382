"""The dashboard, from the same store functions as the API. All state is in the URL."""

from fastapi import Request, Response

from server.clock import Now
from server.db import ReadSession
from server.rendering import page_router, render
from server.store import agents, devices, jobs
from server.views import device_view, latency_map

router = page_router()


@router.get("/")
def overview(request: Request, session: ReadSession) -> Response:
    """Every device and how complete its tables are."""
    return render(request, "overview.html", devices=devices.devices(session))


@router.get("/devices/{device}")
def device_page(
    request: Request, device: str, session: ReadSession, runtime: str = "", space: str = ""
) -> Response:
    """One table of one device: of the given runtime and space, or of the usual ones."""
    view = device_view(session, device, runtime=runtime, space=space)
    charts = [latency_map(view.chosen.grid)] if view.chosen else []
    return render(request, "device.html", charts=charts, view=view)


@router.get("/queue")
def queue(request: Request, session: ReadSession, now: Now) -> Response:
    """The newest jobs, and the agents that may take them."""
    everyone = agents.agents(session)
    return render(
        request,
        "queue.html",
        jobs=jobs.jobs(session, now),
        agents=everyone,
        hosts={agent.id: agent.description.host for agent in everyone},
    )
