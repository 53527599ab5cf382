"""What the comparison of two tables shows, gathered from the store."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session as DbSession

from contract.spaces import DEFAULT_SPACE
from contract.table_keys import TableAddress, TableKey
from contract.tables import LatencyTable
from contract.times import stamp
from server.pages.charts import Chart
from server.pages.compare.charts import pairs_chart
from server.pages.compare.comparison import TwoTables, compare_tables
from server.store.snapshots import find_snapshot, snapshots
from server.store.spaces import known_spaces
from server.store.table_keys import common_spaces, parse_address, read_at, rows_by_table

MOST_SNAPSHOTS = 12  # of a table, in the choice


@dataclass(frozen=True, kw_only=True, slots=True)
class CompareView:
    """Two tables of a space side by side, and what else may be compared.

    Attributes:
        tables: those to choose from, as they are now.
        past: addresses of tables as they were, and what people call them.
        names: the addresses of the two.
        titles: what tells the two apart.
        spaces: how many operators of each space both have.
    """

    tables: Sequence[TableKey]
    past: Mapping[str, str]
    names: tuple[str, str]
    titles: tuple[str, str]
    spaces: Mapping[str, int]
    space: str
    comparison: TwoTables

    @property
    def charts(self) -> list[Chart]:
        """Every chart of the page."""
        found = self.comparison
        return [pairs_chart(found, names=self.titles)] if found.pairs else []


def compare_view(session: DbSession, a: str, b: str, space: str) -> CompareView | None:
    """The tables with these addresses, in that space; an empty one stands for the usual one.

    None where there is no table.

    Raises:
        NotFound: no such device, space, table or snapshot.
        Unprocessable: not an address, or the snapshot is of another space.
    """
    tables = list(rows_by_table(session))
    if not tables:
        return None
    first, second = _usual(tables)
    addresses = parse_address(a or first.address), parse_address(b or second.address)
    names = str(addresses[0]), str(addresses[1])
    tables_now = [table for table in tables if table.address in names]
    spaces = common_spaces(session, tables_now)
    wanted = space or _space_of_snapshot(session, addresses) or next(iter(spaces), DEFAULT_SPACE)
    chosen = known_spaces(session).find(wanted)
    of_a, of_b = (read_at(session, each, space=chosen.name) for each in addresses)
    comparison = compare_tables(of_a, of_b, chosen)
    return CompareView(
        tables=tables,
        past=dict([*_unlisted(addresses), *_past(session, tables_now, chosen.name)]),
        names=names,
        titles=_titles(addresses, (of_a, of_b)),
        spaces={chosen.name: len(comparison.pairs), **spaces},
        space=chosen.name,
        comparison=comparison,
    )


def _usual(tables: Sequence[TableKey]) -> tuple[TableKey, TableKey]:
    """The first table, and the first one of another device, or else the next one."""
    first = tables[0]
    others = sorted(tables[1:], key=lambda table: table.device == first.device)
    return first, (others[0] if others else first)


def _space_of_snapshot(session: DbSession, addresses: Sequence[TableAddress]) -> str | None:
    for device, _, snapshot, origin in addresses:
        if snapshot is not None:
            return find_snapshot(session, device, snapshot, origin=origin or "measured").space
    return None


def _past(session: DbSession, tables: Sequence[TableKey], space: str) -> Iterator[tuple[str, str]]:
    """The tables as sessions left them: their names in addresses, and for people."""
    for table in tables:
        found = snapshots(
            session, table.device, runtime=table.runtime, space=space, origin=table.origin
        )
        for each in found[:MOST_SNAPSHOTS]:
            title = f"{table.device_and_origin} as of {stamp(each.made_at)}, {each.rows} rows"
            yield table.as_of(each.snapshot), title


def _unlisted(addresses: Sequence[TableAddress]) -> Iterator[tuple[str, str]]:
    """Snapshots that the page's address names, which the newest ones need not hold."""
    for address in addresses:
        if address.snapshot is not None:
            yield str(address), f"{address.device} as {address.snapshot[:19]}"


def _titles(addresses: Sequence[TableAddress], tables: Sequence[LatencyTable]) -> tuple[str, str]:
    """What tells the two tables apart: the device, or the parts of the runtime, or the moment."""
    a, b = tables
    devices = [table.key.device_and_origin for table in tables]
    if devices[0] != devices[1]:
        return devices[0], devices[1]
    parts = [table.runtime.key.split("-") for table in tables]
    if parts[0] != parts[1]:
        own = [
            " ".join(part for part in mine if part not in theirs)
            for mine, theirs in (parts, reversed(parts))
        ]
        return f"{a.device} {own[0]}", f"{b.device} {own[1]}"
    if addresses[0] == addresses[1]:
        return f"{a.device} (a)", f"{b.device} (b, the same)"
    moments = [
        table.snapshot[7:15] if address.snapshot else "now"
        for address, table in zip(addresses, tables, strict=True)
    ]
    return f"{a.device} {moments[0]}", f"{b.device} {moments[1]}"
