"""report.html: one self-contained page about a run."""

import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from contract.tables import LatencyTable
from search.result import SearchResult
from search.screen import difference_percent, people_us
from search.train import EpochResult

CHART_WIDTH = 320  # SVG units
CHART_HEIGHT = 120


class Curve(NamedTuple):
    """One line of a chart."""

    name: str
    points: str  # SVG polyline
    last: str


class Chart(NamedTuple):
    """Curves over the epochs on a common scale."""

    title: str
    curves: tuple[Curve, ...]
    highest: str
    lowest: str


def versions() -> dict[str, str]:
    """What a run was made with."""
    return {
        "phonebook": version("phonebook"),
        "torch": version("torch"),
        "python": platform.python_version(),
    }


def write_report(
    path: Path,
    result: SearchResult,
    epochs: Sequence[EpochResult],
    *,
    table: LatencyTable,
    fixed_us: float,
) -> None:
    """Draw the page. `fixed_us` is the latency of stem and head, which nobody chose."""
    environment = Environment(
        loader=PackageLoader("search"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters["duration"] = people_us
    difference = None
    if result.measured_us is not None:
        difference = difference_percent(result.predicted_us, result.measured_us)
    page = environment.get_template("report.html").render(
        result=result,
        difference_percent=difference,
        table=table,
        fixed_us=fixed_us,
        slowest_us=max(layer.latency_us for layer in result.layers),
        charts=charts(epochs),
        epochs=len(epochs),
        width=CHART_WIDTH,
        height=CHART_HEIGHT,
        versions=versions(),
    )
    path.write_text(page, encoding="utf-8")


def charts(epochs: Sequence[EpochResult]) -> tuple[Chart, ...]:
    """Both losses, the latency, the entropy and the accuracy, epoch by epoch."""
    return (
        _chart(
            "Cross entropy",
            {
                "weights": [epoch.weight_cross_entropy for epoch in epochs],
                "theta": [epoch.theta_cross_entropy for epoch in epochs],
            },
            "{:.2f}",
        ),
        _chart("Latency-aware loss", {"theta": [epoch.theta_loss for epoch in epochs]}, "{:.2f}"),
        _chart(
            "Expected latency, ms",
            {"under P(theta)": [epoch.expected_latency_us / 1000 for epoch in epochs]},
            "{:.2f}",
        ),
        _chart(
            "Entropy of theta, nats", {"mean": [epoch.theta_entropy for epoch in epochs]}, "{:.3f}"
        ),
        _chart(
            "Accuracy of the mixed network, %",
            {"theta split": [epoch.theta_accuracy * 100 for epoch in epochs]},
            "{:.0f}",
        ),
    )


def _chart(title: str, series: dict[str, list[float]], form: str) -> Chart:
    values = [value for line in series.values() for value in line]
    lowest, highest = min(values), max(values)
    return Chart(
        title=title,
        curves=tuple(
            Curve(name, _polyline(line, lowest, highest), form.format(line[-1]))
            for name, line in series.items()
        ),
        highest=form.format(highest),
        lowest=form.format(lowest),
    )


def _polyline(values: Sequence[float], lowest: float, highest: float) -> str:
    """The values from left to right, the highest at the top; a flat line where all are equal."""
    span = highest - lowest or 1.0
    gaps = max(len(values) - 1, 1)
    return " ".join(
        f"{index / gaps * CHART_WIDTH:.1f},{(highest - value) / span * CHART_HEIGHT:.1f}"
        for index, value in enumerate(values)
    )
