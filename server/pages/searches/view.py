"""What the page of searches shows, gathered from the store."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.orm import Session as DbSession

from contract.searches import SearchReport, SearchState, SearchSummary
from server.errors import unknown
from server.pages.charts import Chart
from server.pages.searches.charts import compared_charts, cross_chart, front_chart
from server.pages.searches.comparable import Group, Terms, groups_of
from server.store.devices import check_name
from server.store.searches import find_search, searches


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchesView:
    """The runs, those that are ticked side by side, the front, and the matrix of devices.

    Attributes:
        known: how many runs there are, listed or not.
        offered: how many runs have each terms, one of which are `terms`.
        matrices: the commands that searched for several targets, one of which is `matrix`.
    """

    charts: list[Chart]
    searches: list[SearchSummary]
    known: int
    device_options: list[tuple[str, str]]
    compared: list[SearchReport]
    offered: Mapping[Terms, int]
    terms: Terms | None
    matrices: list[Group]
    matrix: Group | None


def searches_view(
    session: DbSession,
    *,
    device: str,
    state: SearchState | None,
    ticked: Sequence[UUID],
    terms: str,
    group: UUID | None,
) -> SearchesView:
    """All runs, or those for a device or in a state; what is empty was not chosen.

    Raises:
        NotFound: no such run, terms or group.
    """
    if device:
        check_name(session, device)
    everything = searches(session)
    listed = [
        search
        for search in everything
        if (not device or search.plan.device == device) and state in (None, search.state)
    ]
    reports = [find_search(session, each) for each in ticked]
    offered = Counter(Terms.of(search) for search in everything if search.result is not None)
    of = _terms(offered, terms)
    matrices = groups_of(everything)
    matrix = _group(matrices, group)
    return SearchesView(
        charts=_charts(everything, reports, of, matrix),
        searches=listed,
        known=len(everything),
        device_options=[(name, name) for name in sorted({x.plan.device for x in everything})],
        compared=reports,
        offered=offered,
        terms=of,
        matrices=matrices,
        matrix=matrix,
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
