"""`/searches/{search_id}` for browsers: one run."""

from uuid import UUID

from fastapi import Request, Response
from sqlalchemy.orm import Session as DbSession

from server.http.dependencies import reads
from server.pages.formatting import search_title
from server.pages.links import table_url
from server.pages.rendering import SharedPageRoute, page_router, render
from server.pages.search.view import search_view

router = page_router(SharedPageRoute)


@router.get("/searches/{search_id}")
@reads
def search_page(
    request: Request, search_id: UUID, session: DbSession, epoch: int | None = None
) -> Response:
    """One run: theta after an epoch, what it met, and what it found."""
    view = search_view(session, search_id, epoch)
    plan = view.search.run.plan
    return render(
        request,
        "search/search.html",
        charts=view.charts,
        search=view.search,
        plan=plan,
        found=view.search.run.result,
        epoch=view.epoch,
        title=search_title(view.search),
        table_url=table_url(plan.device, plan.runtime.key, space=plan.space, origin=plan.origin),
    )
