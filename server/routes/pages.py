"""The dashboard, from the same store functions as the API. All state is in the URL."""

from typing import Literal
from uuid import UUID

from fastapi import Request, Response
from sqlalchemy.orm import Session as DbSession

from contract.sessions import Origin
from server.clock import Now
from server.database import reads
from server.errors import unknown
from server.history_view import Direction, Past, calm_chart, regressions, steps_chart
from server.latency_map import Mode
from server.operator_view import operator_view
from server.overview import cards
from server.rendering import page_router, render
from server.store import jobs
from server.views import device_view

NEWEST_REGRESSIONS = 5  # on the overview

router = page_router()


@router.get("/")
@reads
def overview(request: Request, session: DbSession, now: Now) -> Response:
    """Every device, how complete and how good its tables are, and what happens now."""
    past = Past(session, request.app.state.histories)
    return render(
        request,
        "overview.html",
        cards=cards(session),
        jobs=jobs.jobs(session, now, state="leased"),
        regressions=regressions(past.everything(), NEWEST_REGRESSIONS),
    )


@router.get("/devices/{device}")
@reads
def device_page(
    request: Request,
    device: str,
    session: DbSession,
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
        runtime=runtime,
        space=space,
        origin=origin or None,
        mode=mode,
        against=against,
    )
    charts = view.chosen.charts if view.chosen else ()
    return render(request, "device.html", charts=charts, view=view, mode=mode, against=against)


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
    return render(request, "operator.html", charts=view.charts, view=view)


@router.get("/history")
@reads
def history(
    request: Request, session: DbSession, table: str = "", change: Direction = "slower"
) -> Response:
    """Steps of latencies, and how calm the sessions were: of all tables or of one."""
    past = Past(session, request.app.state.histories)
    if table and table not in past.tables:
        raise unknown("table (DEVICE/RUNTIME/ORIGIN)", table, list(past.tables))
    histories = [past.of(*past.tables[table])] if table else past.everything()
    return render(
        request,
        "history.html",
        charts=[steps_chart(histories, change), calm_chart(histories)],
        tables=past.tables,
        table=table,
        change=change,
    )
