"""Which tables there are, and those that addresses name."""

from collections.abc import Iterable

from sqlalchemy import func, select
from sqlalchemy.orm import Session as DbSession

from contract.errors import PhonebookError
from contract.table_keys import TableAddress, TableKey
from contract.tables import LatencyTable
from server.database.records import RowRecord
from server.errors import NotFound, Unprocessable, unknown
from server.store.devices import check_name
from server.store.lookup import ask, read
from server.store.spaces import known_spaces


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


def parse_address(text: str) -> TableAddress:
    """What a table's address says.

    Raises:
        NotFound: no such origin, or no address.
    """
    try:
        return TableAddress.parse(text)
    except PhonebookError as error:
        raise NotFound(str(error)) from error


def read_at(session: DbSession, address: TableAddress, *, space: str) -> LatencyTable:
    """The rows of a space in the table with that address, as it is or as it once was.

    Raises:
        NotFound: no such device, space, table or snapshot.
        Unprocessable: the address tells neither a runtime nor a snapshot, not a runtime's key, or
            the snapshot is of another space.
    """
    device, runtime, snapshot, origin = address
    if runtime is None and snapshot is None:
        raise Unprocessable(
            f"{str(address)!r} is no table; one looks like DEVICE@RUNTIME or DEVICE@sha256:..."
        )
    asked = ask(
        session,
        device,
        runtime=runtime,
        space=space,
        origin=origin or "measured",
        snapshot=snapshot,
    )
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
