"""`/searches` for browsers: runs, listed and compared."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import Query, Request, Response
from sqlalchemy.orm import Session as DbSession

from contract.searches import SearchState
from server.http.dependencies import reads
from server.pages.rendering import SharedPageRoute, page_router, render
from server.pages.searches.view import searches_view

MOST_COMPARED = 9  # as many colours as there are

router = page_router(SharedPageRoute)


@router.get("/searches")
@reads
def searches_page(
    request: Request,
    session: DbSession,
    device: str = "",
    state: SearchState | Literal[""] = "",
    run: Annotated[list[UUID], Query(max_length=MOST_COMPARED)] = [],  # noqa: B006 - FastAPI copies it
    terms: str = "",
    group: UUID | None = None,
) -> Response:
    """The runs, those that are ticked side by side, the front, and the matrix of devices."""
    view = searches_view(
        session, device=device, state=state or None, ticked=run, terms=terms, group=group
    )
    return render(
        request,
        "searches/searches.html",
        charts=view.charts,
        view=view,
        device=device,
        chosen_state=state,
        ticked=set(run),
    )
