"""What the page of networks shows, gathered from the store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.orm import Session as DbSession

from contract.audits import AuditReport
from contract.spaces import DEFAULT_SPACE, SearchSpace
from contract.table_keys import TableKey
from server.errors import unknown
from server.pages.charts import Chart
from server.pages.networks.charts import calibration_chart, compared_chart, layers_chart
from server.pages.networks.known_networks import InTable, KnownNetwork, known_networks
from server.store.audits import ListedAudit, find_audit, list_audits
from server.store.devices import check_name
from server.store.networks import latencies_us, measured_networks
from server.store.searches import searches
from server.store.spaces import KnownSpaces, known_spaces
from server.store.table_keys import find_table

OWN = "own"  # each published network in the space that it was published for
MOST_FOUND = 50  # of searches, in the table; each has its own page


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworksView:
    """All networks; one of them layer by layer in a table; and an audit's calibration.

    Attributes:
        placed: each network in each table that it has rows in, or was measured under.
        one: the network that was chosen, which is in `places`.
        options: the tables with rows of it, one of which is `of`.
        into: the space that published networks are put into; None: each is in its own.
        spaces: the most operators of each space that any table has.
    """

    charts: list[Chart]
    placed: list[tuple[KnownNetwork, InTable]]
    known: Mapping[str, KnownNetwork]
    has_tables: bool
    one: KnownNetwork | None
    places: list[InTable]
    options: list[TableKey]
    of: TableKey | None
    audits: list[ListedAudit]
    report: AuditReport | None
    into: SearchSpace | None
    spaces: Mapping[str, int]
    device_options: list[tuple[str, str]]


def networks_view(
    session: DbSession, *, network: str, table: str, device: str, space: str, audit: UUID | None
) -> NetworksView:
    """The networks in every table, or in those of a device; what is empty was not chosen.

    Raises:
        NotFound: no such network, table, device, space or audit.
    """
    tables = latencies_us(session)
    all_spaces = known_spaces(session)
    spaces = _spaces(tables, all_spaces)
    into = None if space == OWN else all_spaces.find(space or _usual(spaces, all_spaces))
    known = known_networks(
        all_spaces, into, searches(session, most=MOST_FOUND), measured_networks(session)
    )
    devices = sorted({key.device for key in tables})
    if device and device not in devices:
        check_name(session, device)
        raise unknown("device with rows", device, devices)
    placed = [
        (each, where)
        for each in known.values()
        for where in each.place(tables)
        if (not device or where.key.device == device) and each.only in (None, where.key)
    ]
    audits = list_audits(session)
    charts: list[Chart] = []
    compared = compared_chart(placed)
    if compared is not None:
        charts.append(compared)
    one = _one(known, network)
    places = one.place(tables) if one else []
    options = [where.key for where in places if where.key in tables]
    of = _table(session, options, places, table)
    if one is not None and of is not None:
        charts.append(layers_chart(one, of, tables[of]))
    report = find_audit(session, audit or audits[0].id) if audit or audits else None
    if report is not None:
        charts.append(calibration_chart(report))
    return NetworksView(
        charts=charts,
        placed=placed,
        known=known,
        has_tables=bool(tables),
        one=one,
        places=places,
        options=options,
        of=of,
        audits=audits,
        report=report,
        into=into,
        spaces=spaces,
        device_options=[(name, name) for name in devices],
    )


def _spaces(tables: Mapping[TableKey, Mapping[str, float]], known: KnownSpaces) -> dict[str, int]:
    """The most operators of each space that any table has; spaces without any left out."""
    most = {
        name: max(sum(key in rows for key in known.keys(name)) for rows in tables.values())
        for name in known.names
        if tables
    }
    return {name: count for name, count in most.items() if count}


def _usual(spaces: Mapping[str, int], known: KnownSpaces) -> str:
    """The space that some table comes nearest to having whole."""
    return max(
        spaces,
        key=lambda name: (spaces[name] / len(known.keys(name)), spaces[name]),
        default=DEFAULT_SPACE,
    )


def _one(known: dict[str, KnownNetwork], id: str) -> KnownNetwork | None:
    if not id:
        return None
    if id not in known:
        raise unknown("network", id, list(known))
    return known[id]


def _table(
    session: DbSession, options: Sequence[TableKey], places: Sequence[InTable], address: str
) -> TableKey | None:
    """The table with that address, or the first that has all of the network's rows."""
    if address:
        return find_table(session, options, address)
    whole = {where.key for where in places if not where.missing}
    ready = [each for each in options if each in whole]
    return next(iter([*ready, *options]), None)
