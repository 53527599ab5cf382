"""`/history`: steps of latencies, and how calm the sessions were."""

from fastapi import Request, Response
from sqlalchemy.orm import Session as DbSession

from server.http.dependencies import reads
from server.pages.history.charts import Direction
from server.pages.history.view import history_view
from server.pages.rendering import page_router, render

router = page_router()


@router.get("/history")
@reads
def history_page(
    request: Request, session: DbSession, table: str = "", change: Direction = "slower"
) -> Response:
    """Steps of latencies, and how calm the sessions were: of all tables or of one."""
    view = history_view(session, request.app.state.histories, table, change)
    return render(
        request,
        "history/history.html",
        charts=view.charts,
        tables=view.tables,
        table=table,
        change=change,
    )
