"""Which tables there are, and how addresses name them."""

from collections.abc import Iterable
from typing import NamedTuple, get_args

from sqlalchemy import func, select
from sqlalchemy.orm import Session as DbSession

from contract.sessions import Origin
from contract.tables import LatencyTable
from server.database.records import RowRecord
from server.errors import Unprocessable, unknown
from server.store.devices import check_name
from server.store.lookup import ask, read
from server.store.spaces import known_spaces

SNAPSHOT = "sha256:"


class TableKey(NamedTuple):
    """One table: a device's, under the runtime with that key, of one origin."""

    device: str
    runtime: str
    origin: Origin

    @property
    def address(self) -> str:
        """As addresses name it: `DEVICE@RUNTIME`, and `DEVICE@RUNTIME@ORIGIN` if not measured."""
        origin = "" if self.origin == "measured" else f"@{self.origin}"
        return f"{self.device}@{self.runtime}{origin}"

    @property
    def device_and_origin(self) -> str:
        """The device, with a word for rows that were not measured on it."""
        return self.device if self.origin == "measured" else f"{self.device} ({self.origin})"


def rows_by_table(session: DbSession) -> dict[TableKey, int]:
    """How many rows each table has, by device and runtime; tables without any left out."""
    columns = (RowRecord.device, RowRecord.runtime, RowRecord.origin)
    found = session.execute(select(*columns, func.count()).group_by(*columns).order_by(*columns))
    return {TableKey(device, runtime, origin): rows for device, runtime, origin, rows in found}


def find_table(session: DbSession, tables: Iterable[TableKey], address: str) -> TableKey:
    """The one of these tables with that address.

    Raises:
        Renamed: its device is called otherwise now.
        NotFound: there is none; the message names near ones.
    """
    by_address = {table.address: table for table in tables}
    if address not in by_address:
        check_name(session, address.partition("@")[0])
        raise unknown("table", address, list(by_address))
    return by_address[address]


def read_at(session: DbSession, address: str, *, space: str) -> LatencyTable:
    """The rows of a space in the table with that address, or in `DEVICE@SNAPSHOT` as it once was.

    Raises:
        NotFound: no such device, space, table or snapshot.
        Unprocessable: not in that form, or the snapshot is of another space.
    """
    device, at, rest = address.partition("@")
    if not at:
        raise Unprocessable(f"{address!r} is no table; one looks like DEVICE@RUNTIME")
    given, _, word = rest.partition("@")
    origin = next((known for known in get_args(Origin) if known == (word or "measured")), None)
    if origin is None:
        raise unknown("origin", word, list(get_args(Origin)))
    if given.startswith(SNAPSHOT):
        asked = ask(session, device, space=space, origin=origin, snapshot=given)
    else:
        asked = ask(session, device, runtime=given, space=space, origin=origin)
    return read(session, asked)


def common_spaces(session: DbSession, tables: Iterable[TableKey]) -> dict[str, int]:
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
    spaces = known_spaces(session)
    counts = {name: sum(key in common for key in spaces.keys(name)) for name in spaces.names}
    known = [name for name in spaces.names if counts[name]]
    known.sort(key=lambda name: (-counts[name] / len(spaces.keys(name)), -counts[name]))
    return {name: counts[name] for name in known}
