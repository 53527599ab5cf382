"""What the device page shows, gathered from the store."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import get_args
from urllib.parse import urlencode

from sqlalchemy.orm import Session as DbSession

from contract.estimates import Grade
from contract.sessions import Origin, Session
from contract.spaces import SearchSpace
from contract.table_keys import ORIGINS, TableKey
from contract.tables import Device, LatencyTable, RuntimeSummary
from contract.times import age
from server.pages.charts import Chart
from server.pages.device.charts import dearest_chart, stages_chart, work_chart
from server.pages.device.grid import Grid, grid
from server.pages.device.latency_map import LatencyMap, Mode, latency_map
from server.pages.formatting import counted, table_title
from server.store.devices import device, retired_devices
from server.store.lookup import ask, find_summary, read
from server.store.measurements import find_session
from server.store.notes import SessionNote, session_notes
from server.store.row_counts import row_counts
from server.store.snapshots import snapshots
from server.store.spaces import known_spaces
from server.store.table_keys import parse_address, read_at


@dataclass(frozen=True, kw_only=True, slots=True)
class TableView:
    """One table of a space, laid out, with the session that measured its newest row.

    `others` are the tables to compare with, as (address, words).
    """

    summary: RuntimeSummary
    table: LatencyTable
    space: SearchSpace
    grid: Grid
    map: LatencyMap
    newest_session: Session | None
    sessions: int
    other_spaces: tuple[str, ...]  # not profiled, though some rows may be shared
    others: tuple[tuple[str, str], ...]
    against: str  # one of them, or empty

    @property
    def grades(self) -> dict[Grade, int]:
        """How many rows have each grade."""
        counts = Counter(row.grade for row in self.table.entries)
        return {grade: counts[grade] for grade in get_args(Grade)}

    @property
    def charts(self) -> list[Chart]:
        """Every chart of the page."""
        table, space = self.table, self.space
        work, dearest = work_chart(table, space), dearest_chart(table)
        return [self.map.chart, work, dearest, stages_chart(table, space)]

    def url(self, *, format: str) -> str:
        """Where the same numbers are in that format."""
        query = {"runtime": self.summary.key, "space": self.table.space, "format": format}
        if self.table.origin != "measured":
            query["origin"] = self.table.origin
        return f"/lut/{self.table.device}?{urlencode(query)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceView:
    """A device and the table that was chosen; None if it has no rows of the chosen origin.

    `origins` are those of which it has rows. `retired_at` is None while it takes jobs; `notes` are
    those on the sessions whose rows the chosen table has, oldest first.
    """

    device: Device
    retired_at: datetime | None
    origin: Origin
    origins: tuple[Origin, ...]
    chosen: TableView | None
    notes: tuple[SessionNote, ...] = ()

    @property
    def default(self) -> RuntimeSummary | None:
        """The table that is served where no runtime is asked for."""
        return next((each for each in self.device.runtimes if each.is_default), None)


def device_view(
    session: DbSession,
    name: str,
    now: datetime,
    *,
    runtime: str = "",
    space: str = "",
    origin: Origin | None = None,
    mode: Mode = "latency",
    against: str = "",
) -> DeviceView:
    """The page of a device. An empty runtime, space or origin stands for the usual one.

    Raises:
        NotFound: no such device or space, or nothing was measured under that runtime; or there
            is no table `against` to compare with.
        Unprocessable: not a runtime's key.
    """
    everything = row_counts(session)
    origins = tuple(
        each for each in ORIGINS if any((n, o) == (name, each) for n, _, o in everything)
    )
    kind = origin or (origins[0] if origins else "measured")
    found = device(session, name, origin=kind)
    retired_at = retired_devices(session).get(found.name)
    if not found.runtimes:
        return DeviceView(
            device=found, retired_at=retired_at, origin=kind, origins=origins, chosen=None
        )
    summary = find_summary(found, runtime)
    known = known_spaces(session)
    wanted = known.find(space or _usual_space(summary))
    other = parse_address(against) if against else None
    table = read(session, ask(session, name, runtime=summary.key, space=wanted.name, origin=kind))
    newest = max(table.entries, key=lambda row: row.measured_at, default=None)
    profiled = {completeness.space for completeness in summary.spaces}
    laid_out = grid(table, wanted)
    return DeviceView(
        device=found,
        retired_at=retired_at,
        origin=kind,
        origins=origins,
        chosen=TableView(
            summary=summary,
            table=table,
            space=wanted,
            grid=laid_out,
            map=latency_map(
                table,
                wanted,
                laid_out,
                mode,
                now=now,
                against=read_at(session, other, space=wanted.name) if other else None,
            ),
            newest_session=find_session(session, newest.session) if newest else None,
            sessions=len({row.session for row in table.entries}),
            other_spaces=tuple(each for each in known.names if each not in profiled),
            others=_others(session, table, everything, now),
            against="" if other is None else str(other),
        ),
        notes=session_notes(session, {row.session for row in table.entries}),
    )


def _usual_space(summary: RuntimeSummary) -> str:
    """The most complete of the spaces that were profiled."""
    return max(summary.spaces, key=lambda found: found.rows / found.total).space


def _others(
    session: DbSession, table: LatencyTable, everything: Iterable[TableKey], now: datetime
) -> tuple[tuple[str, str], ...]:
    """Other tables, and this one as it was: what it may be compared with."""
    tables = [(key.address, table_title(key)) for key in sorted(everything) if key != table.key]
    past = [
        (
            table.key.as_of(each.snapshot),
            f"this table {age(each.made_at, now)}, {counted(each.rows, 'row')}",
        )
        for each in snapshots(
            session,
            table.device,
            runtime=table.runtime.key,
            space=table.space,
            origin=table.origin,
        )
        if each.snapshot != table.snapshot
    ]
    return (*tables, *past)
