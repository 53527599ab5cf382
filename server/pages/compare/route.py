"""`/compare`: two tables of a space, of two devices, runtimes or moments."""

from fastapi import Request, Response
from sqlalchemy.orm import Session as DbSession

from server.http.dependencies import reads
from server.pages.compare.view import compare_view
from server.pages.rendering import page_router, render

router = page_router()


@router.get("/compare")
@reads
def compare_page(
    request: Request, session: DbSession, a: str = "", b: str = "", space: str = ""
) -> Response:
    """Two tables of a space; without choices the first one against one of another device."""
    view = compare_view(session, a, b, space)
    return render(request, "compare/compare.html", charts=view.charts if view else (), view=view)
