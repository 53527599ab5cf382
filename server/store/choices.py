"""Which tables there are, as pages offer them and as addresses name them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from sqlalchemy import func, select
from sqlalchemy.orm import Session as DbSession

from contract.runtime import Runtime
from contract.sessions import Origin
from contract.spaces import SPACE_NAMES
from contract.tables import LatencyTable
from server.errors import Unprocessable, unknown
from server.store.lookup import ask, read
from server.store.spaces import operator_keys
from server.tables import RowRecord
from server.words import runtime_words

SNAPSHOT = "sha256:"


@dataclass(frozen=True, slots=True)
class TableChoice:
    """A table of a device. `key` names it in addresses: `DEVICE@RUNTIME`, `DEVICE@RUNTIME@ORIGIN`.

    Rows of the default origin leave the origin out.
    """

    device: str
    runtime: str
    origin: Origin
    rows: int = 0

    @property
    def key(self) -> str:
        origin = "" if self.origin == "measured" else f"@{self.origin}"
        return f"{self.device}@{self.runtime}{origin}"

    @property
    def title(self) -> str:
        """As people choose it."""
        return f"{self.name}: {runtime_words(Runtime.parse(self.runtime))}"

    @property
    def name(self) -> str:
        """The device, with a word for rows that were not measured on it."""
        return self.device if self.origin == "measured" else f"{self.device} ({self.origin})"


def table_choices(session: DbSession) -> tuple[TableChoice, ...]:
    """Every table that has rows, by device and runtime."""
    columns = (RowRecord.device, RowRecord.runtime, RowRecord.origin)
    found = session.execute(select(*columns, func.count()).group_by(*columns).order_by(*columns))
    return tuple(TableChoice(*row) for row in found)


def chosen(choices: Sequence[TableChoice], key: str) -> TableChoice:
    """The table with that key.

    Raises:
        NotFound: there is none; the message names near ones.
    """
    found = next((choice for choice in choices if choice.key == key), None)
    if found is None:
        raise unknown("table", key, [choice.key for choice in choices])
    return found


def table_named(session: DbSession, name: str, *, space: str) -> LatencyTable:
    """The rows of a space in the table with that key, or in `DEVICE@SNAPSHOT` as it once was.

    Raises:
        NotFound: no such device, space, table or snapshot.
        Unprocessable: not in that form, or the snapshot is of another space.
    """
    device, at, rest = name.partition("@")
    if not at:
        raise Unprocessable(f"{name!r} is no table; one looks like DEVICE@RUNTIME")
    given, _, word = rest.partition("@")
    origin = next((known for known in get_args(Origin) if known == (word or "measured")), None)
    if origin is None:
        raise unknown("origin", word, list(get_args(Origin)))
    if given.startswith(SNAPSHOT):
        asked = ask(session, device, space=space, origin=origin, snapshot=given)
    else:
        asked = ask(session, device, runtime=given, space=space, origin=origin)
    return read(session, asked)


def common_spaces(session: DbSession, tables: Sequence[TableChoice]) -> dict[str, int]:
    """How many operators of each space all of these tables have; spaces without any left out.

    The space that is most nearly complete comes first, of such the largest.
    """
    keys = [
        set(
            session.scalars(
                select(RowRecord.operator).where(
                    RowRecord.device == table.device,
                    RowRecord.runtime == table.runtime,
                    RowRecord.origin == table.origin,
                )
            )
        )
        for table in tables
    ]
    common = set.intersection(*keys) if keys else set()
    counts = {name: sum(key in common for key in operator_keys(name)) for name in SPACE_NAMES}
    known = [name for name in SPACE_NAMES if counts[name]]
    known.sort(key=lambda name: (-counts[name] / len(operator_keys(name)), -counts[name]))
    return {name: counts[name] for name in known}
