"""What the page of one search shows, gathered from the store."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.orm import Session as DbSession

from contract.searches import SearchEpoch, SearchReport
from server.errors import NotFound
from server.pages.charts import Chart
from server.pages.search.charts import epoch_charts, layers_chart, theta_chart
from server.store.searches import find_search
from server.store.spaces import known_spaces


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchView:
    """A run, and the epoch whose theta is shown; None while it has told of none."""

    search: SearchReport
    epoch: SearchEpoch | None
    charts: list[Chart]


def search_view(session: DbSession, search_id: UUID, epoch: int | None) -> SearchView:
    """The run with its theta after that epoch, or after the last one.

    Raises:
        NotFound: no such search, or it has not told of that epoch.
    """
    search = find_search(session, search_id)
    plan, found = search.run.plan, search.run.result
    charts = epoch_charts(search)
    chosen = _epoch(search, epoch)
    if chosen is not None:
        charts.append(theta_chart(known_spaces(session).find(plan.space), chosen))
    if found is not None:
        charts.append(layers_chart(plan, found))
    return SearchView(search=search, epoch=chosen, charts=charts)


def _epoch(search: SearchReport, number: int | None) -> SearchEpoch | None:
    epochs = search.epochs
    if not epochs:
        return None
    if number is None:
        return epochs[-1]
    found = next((each for each in epochs if each.epoch == number), None)
    if found is None:
        raise NotFound(
            f"search {search.id} has told of the epochs {epochs[0].epoch} to "
            f"{epochs[-1].epoch}, and not of {number}"
        )
    return found
