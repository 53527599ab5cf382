"""`/networks`: published, found and measured networks, predicted by each table and measured."""

from uuid import UUID

from fastapi import Request, Response
from sqlalchemy.orm import Session as DbSession

from server.http.dependencies import reads
from server.pages.networks.view import OWN, networks_view
from server.pages.rendering import page_router, render

router = page_router()


@router.get("/networks")
@reads
def networks_page(
    request: Request,
    session: DbSession,
    network: str = "",
    table: str = "",
    device: str = "",
    space: str = "",
    audit: UUID | None = None,
) -> Response:
    """All networks; one of them layer by layer in a table; and an audit's calibration."""
    view = networks_view(
        session, network=network, table=table, device=device, space=space, audit=audit
    )
    return render(
        request, "networks/networks.html", charts=view.charts, view=view, device=device, own=OWN
    )
