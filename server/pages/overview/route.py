"""`/`: every device, how complete and how good its tables are, and what happens now."""

from fastapi import Request, Response
from sqlalchemy.orm import Session as DbSession

from server.http.dependencies import Now, reads
from server.pages.overview.view import overview
from server.pages.rendering import page_router, render

router = page_router()


@router.get("/")
@reads
def overview_page(request: Request, session: DbSession, now: Now) -> Response:
    """Every device, how complete and how good its tables are, and what happens now."""
    shown = overview(session, request.app.state.histories, now)
    return render(
        request,
        "overview/overview.html",
        cards=shown.cards,
        retired=shown.retired,
        jobs=shown.jobs,
        regressions=shown.regressions,
    )
