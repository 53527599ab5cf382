"""The device page's map: layer by block, coloured by one of several figures of the rows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from contract.operators import Operator
from contract.spaces import SearchSpace
from contract.tables import LatencyTable, Row
from server.pages.charts import Axis, Chart, Column, Form, Scale
from server.pages.charts import Cell as Value
from server.pages.device.grid import Cell, Grid
from server.pages.formatting import counted, microseconds, percent, row_text
from server.pages.links import operator_of

Mode = Literal["latency", "p90", "noise", "age", "ns_per_mmac"]
ROW_HEIGHT_PX = 30


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """What a mode shows: its words, the column in downloads, its unit, and how cells tell it."""

    title: str
    column: str
    unit: str
    form: Form
    scale: Scale
    text: Callable[[float], str]
    explanation: str


FIGURES: Mapping[Mode | Literal["ratio"], Figure] = {
    "latency": Figure(
        title="Latency",
        column="latency_us",
        unit="µs",
        form="us",
        scale="log",
        text=microseconds,
        explanation="of the calm device: the weighted median of all samples, each over its drift",
    ),
    "p90": Figure(
        title="90th percentile",
        column="p90_us",
        unit="µs",
        form="us",
        scale="log",
        text=microseconds,
        explanation="of all samples, disturbed ones included",
    ),
    "noise": Figure(
        title="Noise",
        column="noise",
        unit="± of the latency",
        form="percent",
        scale="share",
        text=percent,
        explanation="half the 95 % interval of the latency, as a share of the latency",
    ),
    "age": Figure(
        title="Age",
        column="age_days",
        unit="days",
        form="number",
        scale="linear",
        text="{:.1f} d".format,
        explanation="since the row was measured",
    ),
    "ns_per_mmac": Figure(
        title="Time per multiply-accumulate",
        column="ns_per_mmac",
        unit="ns per million MACs",
        form="us",
        scale="log",
        text="{:,.0f}".format,
        explanation="latency over multiply-accumulates; an operator that is dear for its work "
        "stands out",
    ),
    "ratio": Figure(
        title="Latency against another table",
        column="ratio",
        unit="ratio",
        form="ratio",
        scale="log",
        text="{:.2f}".format,
        explanation="above 1 this table is slower",
    ),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class MapCell:
    """One cell as the page's own table shows it."""

    cell: Cell
    value: float | None
    text: str
    link: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class LatencyMap:
    """The figure, its cells by layer and at both ends, and the layers' cells as a chart."""

    figure: Figure
    layers: tuple[tuple[MapCell, ...], ...]
    ends: tuple[MapCell, ...]
    chart: Chart


def latency_map(
    table: LatencyTable,
    space: SearchSpace,
    grid: Grid,
    mode: Mode,
    *,
    now: datetime,
    against: LatencyTable | None = None,
) -> LatencyMap:
    """The table's figures of that mode, or its latencies as a ratio to those of another table."""
    figure = FIGURES["ratio" if against else mode]
    rows = {row.operator: row for row in table.entries}
    others = {row.operator: row.latency_us for row in against.entries} if against else None
    operators = {operator.key: operator for operator in space.operators}

    def filled(cell: Cell) -> MapCell:
        row = rows.get(cell.operator)
        link = operator_of(cell.operator, table) if cell.operator in operators else None
        if row is None:
            return MapCell(cell=cell, value=None, text=cell.text, link=link)
        value = (
            _value(mode, row, operators[cell.operator], now)
            if others is None
            else row.latency_us / others[row.operator]
            if others.get(row.operator)  # neither missing nor 0
            else None
        )
        if value is None:
            return MapCell(cell=cell, value=None, text="no other", link=link)
        text = row_text(row) if figure.column == "latency_us" else figure.text(value)
        return MapCell(cell=cell, value=value, text=text, link=link)

    layers = tuple(tuple(map(filled, layer.cells)) for layer in grid.layers)
    return LatencyMap(
        figure=figure,
        layers=layers,
        ends=tuple(map(filled, grid.ends)),
        chart=_chart(figure, grid, layers),
    )


def _value(mode: Mode, row: Row, operator: Operator, now: datetime) -> float:
    match mode:
        case "latency":
            return row.latency_us
        case "p90":
            return row.p90_us
        case "noise":
            return row.half_width
        case "age":
            return (now - row.measured_at).total_seconds() / 86_400
        case "ns_per_mmac":
            return row.latency_us * 1000 / (operator.macs() / 1e6)


def _chart(figure: Figure, grid: Grid, layers: tuple[tuple[MapCell, ...], ...]) -> Chart:
    measured = {cell.cell.operator for cells in layers for cell in cells if cell.value is not None}
    rows: list[tuple[Value, ...]] = []
    links: list[str | None] = []
    for layer, cells in zip(grid.layers, layers, strict=True):
        for each in cells:
            state = each.cell.state
            missing = "missing" if state == "measured" and each.value is None else state
            about = "\n".join((each.cell.operator, *each.cell.about))
            rows.append(
                (
                    f"{layer.shape}  {layer.number:>2}",
                    each.cell.block,
                    each.cell.operator,
                    each.value,
                    each.text,
                    missing,
                    about,
                )
            )
            links.append(each.link)
    return Chart(
        id="map",
        kind="heatmap",
        title=f"{figure.title} by layer and block",
        counted=f"{figure.unit} · {counted(len(measured), 'operator')}",
        columns=(
            Column("layer", "layer"),
            Column("block", "block"),
            Column("operator", "operator", "key"),
            Column(figure.column, f"{figure.title}, {figure.unit}", figure.form),
            Column("text", "text"),
            Column("state", "state"),
            Column("about", "about"),
        ),
        rows=rows,
        x=Axis(column="block", title="block"),
        y=Axis(column="layer", title="layer"),
        z=Axis(column=figure.column, title=figure.unit, scale=figure.scale),
        texts="text",
        states="state",
        labels="about",
        links=links,
        midpoint=1.0 if figure.form == "ratio" else None,
        height=len(grid.layers) * ROW_HEIGHT_PX + 60,
    )
