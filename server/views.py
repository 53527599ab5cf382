"""What the device page shows, gathered from the store."""

from collections import Counter
from dataclasses import dataclass
from typing import get_args
from urllib.parse import urlencode

from sqlalchemy.orm import Session as DbSession

from contract.estimates import Grade
from contract.spaces import SPACE_NAMES
from contract.tables import Device, LatencyTable, RuntimeSummary
from contract.timings import Session
from server.charts import Axis, Chart, Column
from server.errors import unknown
from server.grid import Grid, grid
from server.store.devices import device
from server.store.lookup import ask, parse_runtime, read
from server.store.measurements import find_session
from server.store.spaces import find_space
from server.words import counted


@dataclass(frozen=True, kw_only=True, slots=True)
class TableView:
    """One table of a space, laid out, with the session that measured its newest row."""

    summary: RuntimeSummary
    table: LatencyTable
    grid: Grid
    newest_session: Session | None
    sessions: int
    other_spaces: tuple[str, ...]  # not profiled, though some rows may be shared

    @property
    def grades(self) -> dict[Grade, int]:
        """How many rows have each grade."""
        counts = Counter(row.grade for row in self.table.entries)
        return {grade: counts[grade] for grade in get_args(Grade)}

    def url(self, *, format: str) -> str:
        """Where the same numbers are in that format."""
        query = {"runtime": self.summary.key, "space": self.table.space, "format": format}
        return f"/lut/{self.table.device}?{urlencode(query)}"


def latency_map(grid: Grid) -> Chart:
    """The grid's cells as a heatmap."""
    measured = sum(cell.latency_us is not None for layer in grid.layers for cell in layer.cells)
    return Chart(
        id="map",
        kind="heatmap",
        title="Latency by layer and block",
        counted=counted(measured, "measured cell"),
        columns=(
            Column("layer", "layer"),
            Column("block", "block"),
            Column("operator", "operator"),
            Column("latency_us", "latency, µs", "us"),
            Column("text", "text"),
            Column("state", "state"),
        ),
        rows=[
            (
                f"{layer.shape}  {layer.number}",
                cell.block,
                cell.operator,
                cell.latency_us,
                cell.text,
                cell.state,
            )
            for layer in grid.layers
            for cell in layer.cells
        ],
        x=Axis(column="block", title="block"),
        y=Axis(column="layer", title="layer"),
        z=Axis(column="latency_us", title="µs", scale="log"),
        texts="text",
        states="state",
        labels="operator",
        height=len(grid.layers) * 30 + 60,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceView:
    """A device and the table that was chosen; None if nothing was measured on it."""

    device: Device
    chosen: TableView | None


def device_view(session: DbSession, name: str, *, runtime: str, space: str) -> DeviceView:
    """The page of a device. An empty runtime or space stands for the usual one.

    Raises:
        NotFound: no such device or space, or nothing was measured under that runtime.
        Unprocessable: not a runtime's key.
    """
    found = device(session, name)
    if not found.runtimes:
        return DeviceView(device=found, chosen=None)
    summary = _summary(found, runtime)
    wanted = find_space(space or _usual_space(summary))
    table = read(session, ask(session, name, runtime=summary.key, space=wanted.name))
    newest = max(table.entries, key=lambda row: row.measured_at, default=None)
    profiled = {completeness.space for completeness in summary.spaces}
    return DeviceView(
        device=found,
        chosen=TableView(
            summary=summary,
            table=table,
            grid=grid(table, wanted),
            newest_session=find_session(session, newest.session) if newest else None,
            sessions=len({row.session for row in table.entries}),
            other_spaces=tuple(name for name in SPACE_NAMES if name not in profiled),
        ),
    )


def _summary(found: Device, runtime: str) -> RuntimeSummary:
    if not runtime:
        return next(summary for summary in found.runtimes if summary.is_default)
    key = parse_runtime(runtime).key
    by_key = {summary.key: summary for summary in found.runtimes}
    if key not in by_key:
        raise unknown(f"table of {found.name} under runtime", key, list(by_key))
    return by_key[key]


def _usual_space(summary: RuntimeSummary) -> str:
    """The most complete of the spaces that were profiled."""
    return max(summary.spaces, key=lambda found: found.rows / found.total).space
