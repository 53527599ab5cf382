"""`/devices/{device}/operators/{operator}`: one operator in one table."""

from uuid import UUID

from fastapi import Request, Response
from sqlalchemy.orm import Session as DbSession

from contract.sessions import Origin
from server.http.dependencies import reads
from server.pages.operator.view import operator_view
from server.pages.rendering import page_router, render

router = page_router()


@router.get("/devices/{device}/operators/{operator}")
@reads
def operator_page(
    request: Request,
    device: str,
    operator: str,
    session: DbSession,
    runtime: str = "",
    origin: Origin = "measured",
    sitting: UUID | None = None,
) -> Response:
    """One operator in one table: its samples, its past, and the same operator elsewhere."""
    view = operator_view(session, device, operator, runtime=runtime, origin=origin, wanted=sitting)
    return render(request, "operator/operator.html", charts=view.charts, view=view)
