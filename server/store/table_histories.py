"""The histories of every table at one moment, and what got slower lately."""

from collections.abc import Sequence

from sqlalchemy.orm import Session as DbSession

from contract.runtime import Runtime
from contract.sessions import Origin
from contract.table_keys import TableKey
from server.store.history import Histories, History, Step, tables


class TableHistories:
    """The histories of all tables, as they are at the session's moment.

    `tables` are by their addresses.
    """

    def __init__(self, session: DbSession, histories: Histories) -> None:
        self._session = session
        self._histories = histories
        self.tables = {
            TableKey(device, runtime.key, origin).address: (device, runtime, origin)
            for device, runtime, origin in tables(session)
        }

    def of(self, device: str, runtime: Runtime, origin: Origin) -> History:
        """One table's history."""
        return self._histories.of(self._session, device, runtime, origin)

    def everything(self) -> list[History]:
        """Every table's history."""
        return [self.of(*table) for table in self.tables.values()]


def newest_regressions(histories: Sequence[History], most: int) -> list[Step]:
    """The newest steps to a slower level."""
    steps = [step for each in histories for step in each.steps if step.ratio > 1]
    return sorted(steps, key=lambda step: step.first.measured_at, reverse=True)[:most]
