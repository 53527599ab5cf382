"""`/networks`: published, found and measured networks, predicted by each table and measured."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from fastapi import Request, Response
from sqlalchemy.orm import Session as DbSession

from contract.spaces import DEFAULT_SPACE, SPACE_NAMES
from server.charts import Chart
from server.database import reads
from server.errors import unknown
from server.network_view import (
    InTable,
    Known,
    calibration_chart,
    compared_chart,
    known_networks,
    layers_chart,
)
from server.rendering import page_router, render
from server.store import networks
from server.store.audits import find_audit
from server.store.choices import TableChoice, chosen
from server.store.networks import TableKey
from server.store.searches import searches
from server.store.spaces import find_space, operator_keys

OWN = "own"  # each published network in the space that it was published for
MOST_FOUND = 50  # of searches, in the table; each has its own page

router = page_router()


@router.get("/networks")
@reads
def networks_page(
    request: Request,
    session: DbSession,
    network: str = "",
    table: str = "",
    device: str = "",
    space: str = "",
    audit: UUID | None = None,
) -> Response:
    """All networks; one of them layer by layer in a table; and an audit's calibration."""
    tables = networks.latencies_us(session)
    spaces = _spaces(tables)
    into = None if space == OWN else find_space(space or _usual(spaces))
    known = known_networks(
        into, searches(session, most=MOST_FOUND), networks.measured_networks(session)
    )
    devices = sorted({key[0] for key in tables})
    if device and device not in devices:
        raise unknown("device with rows", device, devices)
    placed = [
        (each, where)
        for each in known.values()
        for where in each.place(tables)
        if (not device or where.key[0] == device) and each.only in (None, where.key)
    ]
    audits = networks.audits(session)
    charts: list[Chart] = []
    compared = compared_chart(placed)
    if compared is not None:
        charts.append(compared)
    one = _one(known, network)
    places = one.place(tables) if one else []
    options = [TableChoice(*where.key) for where in places if where.key in tables]
    of = _table(options, places, table)
    if one is not None and of is not None:
        key = (of.device, of.runtime, of.origin)
        charts.append(layers_chart(one, key, tables[key]))
    report = find_audit(session, audit or audits[0].id) if audit or audits else None
    if report is not None:
        charts.append(calibration_chart(report))
    return render(
        request,
        "networks.html",
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
        device=device,
        into=into,
        own=OWN,
        spaces=spaces,
        device_options=[(name, name) for name in devices],
    )


def _spaces(tables: Mapping[TableKey, Mapping[str, float]]) -> dict[str, int]:
    """The most operators of each space that any table has; spaces without any left out."""
    most = {
        name: max(sum(key in rows for key in operator_keys(name)) for rows in tables.values())
        for name in SPACE_NAMES
        if tables
    }
    return {name: count for name, count in most.items() if count}


def _usual(spaces: Mapping[str, int]) -> str:
    """The space that some table comes nearest to having whole."""
    return max(
        spaces,
        key=lambda name: (spaces[name] / len(operator_keys(name)), spaces[name]),
        default=DEFAULT_SPACE,
    )


def _one(known: dict[str, Known], id: str) -> Known | None:
    if not id:
        return None
    if id not in known:
        raise unknown("network", id, list(known))
    return known[id]


def _table(
    options: Sequence[TableChoice], places: Sequence[InTable], key: str
) -> TableChoice | None:
    """The table with that key, or the first that has all of the network's rows."""
    if key:
        return chosen(options, key)
    whole = {where.key for where in places if not where.missing}
    ready = [each for each in options if (each.device, each.runtime, each.origin) in whole]
    return next(iter([*ready, *options]), None)
