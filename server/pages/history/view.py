"""What the history page shows, gathered from the store."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.orm import Session as DbSession

from contract.runtime import Runtime
from contract.sessions import Origin
from server.errors import unknown
from server.pages.charts import Chart
from server.pages.history.charts import Direction, calm_chart, steps_chart
from server.store.devices import check_name
from server.store.history import Histories
from server.store.notes import note_texts
from server.store.table_histories import TableHistories


@dataclass(frozen=True, kw_only=True, slots=True)
class HistoryView:
    """The tables that there are, and the charts of all of them or of the chosen one."""

    tables: Mapping[str, tuple[str, Runtime, Origin]]
    charts: list[Chart]


def history_view(
    session: DbSession, histories: Histories, table: str, direction: Direction
) -> HistoryView:
    """The steps in that direction and the sessions: of every table, or of the one so named.

    Raises:
        NotFound: no such table.
    """
    past = TableHistories(session, histories)
    if table and table not in past.tables:
        check_name(session, table.partition("@")[0])
        raise unknown("table", table, list(past.tables))
    shown = [past.of(*past.tables[table])] if table else past.everything()
    return HistoryView(
        tables=past.tables,
        charts=[steps_chart(shown, direction), calm_chart(shown, note_texts(session))],
    )
