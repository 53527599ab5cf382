"""`/searches` and `/searches/{id}` for browsers: runs, compared and one by one."""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Query, Request, Response
from sqlalchemy.orm import Session as DbSession

from contract.searches import SearchReport, SearchState, SearchSummary
from server.charts import Chart
from server.clock import Now
from server.database import reads
from server.errors import NotFound, unknown
from server.rendering import SharedPageRoute, page_router, render
from server.searching import (
    Group,
    Terms,
    compared_charts,
    cross_chart,
    front_chart,
    groups,
    layers_chart,
    named,
    run_charts,
    theta_chart,
)
from server.store.searches import find_search, searches
from server.store.spaces import find_space

MOST_COMPARED = 9  # as many colours as there are

router = page_router(SharedPageRoute)


@router.get("/searches")
@reads
def searches_page(
    request: Request,
    session: DbSession,
    now: Now,
    device: str = "",
    state: SearchState | Literal[""] = "",
    run: Annotated[list[UUID], Query(max_length=MOST_COMPARED)] = [],  # noqa: B006 - FastAPI copies it
    terms: str = "",
    group: UUID | None = None,
) -> Response:
    """The runs, those that are ticked side by side, the front, and the matrix of devices."""
    everything = searches(session)
    shown = [
        search
        for search in everything
        if (not device or search.plan.device == device) and (not state or search.state == state)
    ]
    reports = [find_search(session, each) for each in run]
    offered = Counter(Terms.of(search) for search in everything if search.result is not None)
    of = _terms(offered, terms)
    matrices = groups(everything)
    matrix = _group(matrices, group)
    return render(
        request,
        "searches.html",
        charts=_charts(everything, reports, of, matrix),
        searches=shown,
        known=len(everything),
        device_options=[(name, name) for name in sorted({x.plan.device for x in everything})],
        device=device,
        chosen_state=state,
        now=now,
        ticked=set(run),
        compared=reports,
        offered=offered,
        terms=of,
        matrices=matrices,
        matrix=matrix,
        named=named,
    )


@router.get("/searches/{search_id}")
@reads
def search_page(
    request: Request, search_id: UUID, session: DbSession, epoch: int | None = None
) -> Response:
    """One run: theta after an epoch, what it met, and what it found."""
    search = find_search(session, search_id)
    plan, found = search.run.plan, search.run.result
    charts = run_charts(search)
    chosen = None
    if search.epochs:
        by_number = {each.epoch: each for each in search.epochs}
        chosen = by_number.get(search.epochs[-1].epoch if epoch is None else epoch)
        if chosen is None:
            raise NotFound(
                f"search {search_id} has told of the epochs {search.epochs[0].epoch} to "
                f"{search.epochs[-1].epoch}, and not of {epoch}"
            )
        charts.append(theta_chart(find_space(plan.space), chosen))
    if found is not None:
        charts.append(layers_chart(plan, found))
    return render(
        request,
        "search.html",
        charts=charts,
        search=search,
        plan=plan,
        found=found,
        epoch=chosen,
        title=named(search),
    )


def _charts(
    everything: Sequence[SearchSummary],
    reports: Sequence[SearchReport],
    of: Terms | None,
    matrix: Group | None,
) -> list[Chart]:
    charts = compared_charts(reports) if any(report.epochs for report in reports) else []
    if of is not None:
        charts.append(front_chart(of, [each for each in everything if Terms.of(each) == of]))
    if matrix is not None:
        charts.append(cross_chart(matrix))
    return charts


def _terms(offered: Counter[Terms], key: str) -> Terms | None:
    """Those with that key, or those of most runs."""
    if not key:
        return offered.most_common(1)[0][0] if offered else None
    by_key = {terms.key: terms for terms in offered}
    if key not in by_key:
        raise unknown("set of comparable runs", key, list(by_key))
    return by_key[key]


def _group(offered: Sequence[Group], id: UUID | None) -> Group | None:
    """The one with that id, or the newest."""
    if id is None:
        return offered[0] if offered else None
    found = next((group for group in offered if group.id == id), None)
    if found is None:
        raise unknown("search for several devices", str(id), [str(each.id) for each in offered])
    return found
