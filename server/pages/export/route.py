"""`/export`: a table in every form, as it is and as it was."""

from fastapi import Request, Response
from sqlalchemy.orm import Session as DbSession

from server.http.dependencies import reads
from server.pages.export.view import export_view
from server.pages.rendering import page_router, render

router = page_router()


@router.get("/export")
@reads
def export_page(
    request: Request, session: DbSession, table: str = "", space: str = ""
) -> Response:
    """One table: its addresses in each form, and what each session left of it."""
    return render(
        request,
        "export/export.html",
        view=export_view(session, table, space),
        base=str(request.base_url).rstrip("/"),
    )
