"""Charts as data: the rows that a page draws, lists in its table, and serves as CSV and JSON.

A route makes a chart's rows once. `rendering.render` carries them to the browser, whose
`static/charts.js` draws them; the same rows are the table below the chart and its downloads.
"""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlencode

from fastapi import Response
from fastapi.responses import JSONResponse

from server.errors import unknown
from server.pages.formatting import microseconds, percent, signed_percent

Cell = str | int | float | None
Form = Literal["text", "key", "time", "us", "count", "percent", "change", "ratio", "number"]
WORDS: tuple[Form, ...] = ("text", "key", "time")
Kind = Literal["scatter", "lines", "bars", "violin", "heatmap"]
Scale = Literal["linear", "log", "date", "share"]
MOST_LISTED = 500  # rows in the table on the page; the downloads have all


@dataclass(frozen=True, slots=True)
class Column:
    """One column: `key` as in the downloads, with its unit (`latency_us`), and as people read it.

    `form` says how a value is written: a key is an identifier, a time is in
    ISO 8601 and UTC and told to the minute, us are microseconds, a change is a
    signed percentage; percent and change come from a fraction.
    """

    key: str
    title: str
    form: Form = "text"

    @property
    def style(self) -> str:
        """The class of its cells in the table."""
        return self.form if self.form in WORDS else "number"

    def text(self, value: Cell) -> str:
        """The value in the table of the page."""
        if value is None:
            return ""
        if isinstance(value, str):
            return value[:16].replace("T", " ") if self.form == "time" else value
        return _WRITE[self.form](value)


_WRITE: Mapping[Form, Callable[[float], str]] = {
    "text": str,
    "key": str,
    "time": str,
    "us": microseconds,
    "count": "{:,.0f}".format,
    "percent": percent,
    "change": signed_percent,
    "ratio": "{:.3f}".format,
    "number": "{:,.4g}".format,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Axis:
    """What lies along an axis: a column's key, a title that names the unit, and the scale.

    A share goes from 0 to 100 %.
    """

    column: str
    title: str
    scale: Scale = "linear"


@dataclass(frozen=True, kw_only=True, slots=True)
class Guide:
    """A line to compare with, such as y = x: its points, in the order of the axes."""

    name: str
    x: Sequence[float | str]
    y: Sequence[float | str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Chart:
    """Rows and how they are drawn.

    Attributes:
        id: its name in the page and in `?chart=`.
        counted: how much it shows, `413 operators, 1 session`.
        series: the column that tells series apart, by colour and mark; none: all are one.
        labels: the column that names a point when it is pointed at.
        low: with `high`, the columns of an interval around y.
        z: of a heatmap, the coloured value; its `texts` are written on the cells, and a cell
            without a value has its state in `states`.
        links: where each row leads, in their order; the table's labels and the points do.
        midpoint: of a heatmap, the value of neither colour, as 1 of a ratio.
    """

    id: str
    kind: Kind
    title: str
    counted: str
    columns: tuple[Column, ...]
    rows: Sequence[Sequence[Cell]]
    x: Axis
    y: Axis
    z: Axis | None = None
    series: str | None = None
    labels: str | None = None
    low: str | None = None
    high: str | None = None
    texts: str | None = None
    states: str | None = None
    guides: tuple[Guide, ...] = ()
    links: Sequence[str | None] = ()
    midpoint: float | None = None
    height: int = 420  # px
    hidden: frozenset[str] = field(default_factory=frozenset)  # columns that the table leaves out

    @property
    def data(self) -> dict[str, object]:
        """What the browser draws."""
        return {
            "kind": self.kind,
            "height": self.height,
            "columns": [column.key for column in self.columns],
            "rows": [list(row) for row in self.rows],
            "links": list(self.links),
            "series": self.series,
            "labels": self.labels,
            "low": self.low,
            "high": self.high,
            "texts": self.texts,
            "states": self.states,
            "midpoint": self.midpoint,
            **{name: _axis(axis) for name, axis in (("x", self.x), ("y", self.y), ("z", self.z))},
            "guides": [
                {"name": guide.name, "x": list(guide.x), "y": list(guide.y)}
                for guide in self.guides
            ],
        }

    @property
    def listed(self) -> list[tuple[str | None, list[str]]]:
        """The table's rows: the link of the first cell, and the texts."""
        shown = [number for number, column in enumerate(self.columns) if self._shows(column)]
        return [
            (
                self.links[index] if self.links else None,
                [self.columns[number].text(row[number]) for number in shown],
            )
            for index, row in enumerate(self.rows[:MOST_LISTED])
        ]

    @property
    def heads(self) -> list[Column]:
        """The table's columns."""
        return [column for column in self.columns if self._shows(column)]

    @property
    def unlisted(self) -> int:
        """How many rows only the downloads have."""
        return max(0, len(self.rows) - MOST_LISTED)

    def url(self, path: str, query: Mapping[str, str], *, format: Literal["csv", "json"]) -> str:
        """Where the rows are in that format, for the page at `path` in the state `query`."""
        return f"{path}?{urlencode({**query, 'chart': self.id, 'format': format})}"

    def _shows(self, column: Column) -> bool:
        return column.key not in self.hidden


def download(charts: Sequence[Chart], id: str, *, format: str) -> Response:
    """The rows of one of a page's charts, as CSV or else as JSON.

    Raises:
        NotFound: the page has no such chart now.
    """
    chart = next((chart for chart in charts if chart.id == id), None)
    if chart is None:
        raise unknown("chart of this page", id, [chart.id for chart in charts])
    keys = [column.key for column in chart.columns]
    if format != "csv":
        rows = [dict(zip(keys, row, strict=True)) for row in chart.rows]
        return JSONResponse({"chart": id, "title": chart.title, "rows": rows})
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(keys)
    writer.writerows(map(_harmless, row) for row in chart.rows)
    name = f'attachment; filename="{id}.csv"'
    return Response(lines.getvalue(), media_type="text/csv", headers={"Content-Disposition": name})


def _harmless(cell: object) -> object:
    """The cell, or text that no spreadsheet takes for a formula."""
    is_formula = isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    return f"'{cell}" if is_formula else cell


def _axis(axis: Axis | None) -> dict[str, str] | None:
    if axis is None:
        return None
    return {"column": axis.column, "title": axis.title, "scale": axis.scale}
