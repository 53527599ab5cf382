"""`/devices/{device}`: one table of one device."""

from typing import Literal

from fastapi import Request, Response
from sqlalchemy.orm import Session as DbSession

from contract.sessions import Origin
from server.http.dependencies import Now, reads
from server.pages.device.latency_map import Mode
from server.pages.device.view import device_view
from server.pages.rendering import page_router, render

router = page_router()


@router.get("/devices/{device}")
@reads
def device_page(
    request: Request,
    device: str,
    session: DbSession,
    now: Now,
    runtime: str = "",
    space: str = "",
    origin: Origin | Literal[""] = "",
    mode: Mode = "latency",
    against: str = "",
) -> Response:
    """One table of one device: of the given runtime and space, or of the usual ones."""
    view = device_view(
        session,
        device,
        now,
        runtime=runtime,
        space=space,
        origin=origin or None,
        mode=mode,
        against=against,
    )
    charts = view.chosen.charts if view.chosen else ()
    return render(request, "device/device.html", charts=charts, view=view, mode=mode)
