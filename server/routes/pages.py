"""The dashboard, from the same store functions as the API. All state is in the URL."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse
from fastapi.routing import APIRoute
from fastapi.templating import Jinja2Templates

from server import words
from server.access import needs
from server.clock import Now
from server.db import ReadSession
from server.errors import Refusal
from server.routes.assets import PLOTLY_PATH
from server.store import agents, devices, jobs
from server.views import device_view

TEMPLATES = Jinja2Templates(Path(__file__).parent.parent / "templates")
TEMPLATES.env.filters |= {
    "runtime_words": words.runtime_words,
    "conditions_words": words.conditions_words,
    "percent": words.percent,
    "signed_percent": words.signed_percent,
    "gibibytes": words.gibibytes,
    "age": words.age,
    "work_words": words.work_words,
    "state_words": words.state_words,
}
TEMPLATES.env.globals["plotly_path"] = PLOTLY_PATH


class PageRoute(APIRoute):
    """A route whose refusals are pages too."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()

        async def answer_or_explain(request: Request) -> Response:
            try:
                return await answer(request)
            except Refusal as refusal:
                return TEMPLATES.TemplateResponse(
                    request,
                    "refusal.html",
                    {"refusal": refusal},
                    refusal.status,
                    refusal.headers,
                )

        return answer_or_explain


router = APIRouter(
    route_class=PageRoute,
    default_response_class=HTMLResponse,
    include_in_schema=False,
    dependencies=[Depends(needs("reader"))],
)


@router.get("/")
def overview(request: Request, session: ReadSession) -> Response:
    """Every device and how complete its tables are."""
    return TEMPLATES.TemplateResponse(
        request, "overview.html", {"devices": devices.devices(session)}
    )


@router.get("/devices/{device}")
def device_page(
    request: Request, device: str, session: ReadSession, runtime: str = "", space: str = ""
) -> Response:
    """One table of one device: of the given runtime and space, or of the usual ones."""
    view = device_view(session, device, runtime=runtime, space=space)
    return TEMPLATES.TemplateResponse(request, "device.html", {"view": view})


@router.get("/queue")
def queue(request: Request, session: ReadSession, now: Now) -> Response:
    """The newest jobs, and the agents that may take them."""
    everyone = agents.agents(session)
    context = {
        "jobs": jobs.jobs(session, now),
        "agents": everyone,
        "hosts": {agent.id: agent.description.host for agent in everyone},
    }
    return TEMPLATES.TemplateResponse(request, "queue.html", context)
