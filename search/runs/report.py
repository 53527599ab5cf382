"""report.html: one self-contained page about a run."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from contract.results import SearchResult
from contract.spaces import SearchSpace
from contract.tables import LatencyTable
from search.console import difference_percent, people_us
from search.dnas.figures import EpochResult
from search.files import writing
from search.runs import charts
from search.runs.versions import versions


class Part(NamedTuple):
    """One operator of the network found; `probability` is None where nothing was to choose."""

    place: str
    block: str
    operator: str
    probability: float | None
    latency_us: float


def write_report(
    path: Path,
    result: SearchResult,
    epochs: Sequence[EpochResult],
    *,
    table: LatencyTable,
    space: SearchSpace,
) -> None:
    """Draw the page of a run in `space` against `table`."""
    environment = Environment(
        loader=PackageLoader("search.runs"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters["duration"] = people_us
    at = result.measured_at_level
    known_us = at.latency_us if at else result.measured_us
    difference = difference_percent(result.predicted_us, known_us) if known_us else None
    compared = {"target": result.target_us, "predicted": result.predicted_us}
    compared |= {"measured": result.measured_us, "level": at.latency_us if at else None}
    parts = network_parts(result, table=table, space=space)
    page = environment.get_template("report.html").render(
        result=result,
        difference_percent=difference,
        compared={name: us for name, us in compared.items() if us is not None},
        table=table,
        parts=parts,
        fixed_us=sum(part.latency_us for part in parts if part.probability is None),
        slowest_us=max(part.latency_us for part in parts),
        charts=charts.line_charts(epochs, target_us=result.target_us),
        slots=charts.theta_charts(epochs, space=space),
        colours=charts.block_colours(space),
        warmup_width=charts.warmup_width(epochs),
        warmup_epochs=sum(not epoch.trains_theta for epoch in epochs),
        epochs=len(epochs),
        width=charts.WIDTH,
        height=charts.HEIGHT,
        area_height=charts.AREA_HEIGHT,
        versions=versions(),
    )
    with writing(path):
        path.write_text(page, encoding="utf-8")


def network_parts(
    result: SearchResult, *, table: LatencyTable, space: SearchSpace
) -> tuple[Part, ...]:
    """Stem, layers and head with their rows of the table."""
    stem_us, head_us = table.latencies_us((space.stem, space.head))
    return (
        Part("stem", space.stem.block.name, space.stem.key, None, stem_us),
        *(
            Part(
                str(layer.number), layer.block, layer.operator, layer.probability, layer.latency_us
            )
            for layer in result.layers
        ),
        Part("head", space.head.block.name, space.head.key, None, head_us),
    )
