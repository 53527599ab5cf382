"""The cross table of several devices: what was searched for A, and its latency on B.

Wu et al. 2019 (arXiv:1812.03443), section 4.3 and table 5.
"""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from contract.crossing import Rival, Standing, rivals
from contract.results import SearchResult
from contract.tables import LatencyTable
from contract.values import Value
from search.console import people_us
from search.tables.prediction import predicted_us


class Searched(Value):
    """One network: for which target, how good, and how fast on each of the targets."""

    target: str
    accuracy: float
    macs: int
    predicted_us: tuple[float, ...]  # by the table of each target
    measured_us: float | None  # on its own


class RivalNetwork(Value):
    """A network that is faster on a target than its own, or as fast and more accurate.

    `beats` says that it is no less accurate either.
    """

    target: str
    searched_for: str
    beats: bool


class Cross(Value):
    """cross.json. Rows and columns are in the order of the targets.

    `provenance` says of each target where its table's rows come from, and is empty of those that
    were measured.
    """

    targets: tuple[str, ...]
    provenance: tuple[str, ...]
    networks: tuple[Searched, ...]
    rivals: tuple[RivalNetwork, ...]

    @classmethod
    def of(
        cls,
        targets: Sequence[str],
        results: Sequence[SearchResult],
        tables: Sequence[LatencyTable],
    ) -> "Cross":
        networks = tuple(
            Searched(
                target=target,
                accuracy=result.accuracy,
                macs=result.macs,
                predicted_us=tuple(
                    predicted_us(result.network().operators, table) for table in tables
                ),
                measured_us=result.measured_us,
            )
            for target, result in zip(targets, results, strict=True)
        )
        return cls(
            targets=tuple(targets),
            provenance=tuple(table.provenance for table in tables),
            networks=networks,
            rivals=tuple(
                RivalNetwork(
                    target=rival.target, searched_for=rival.other.target, beats=rival.beats
                )
                for rival in _rivals(targets, networks)
            ),
        )


def _rivals(targets: Sequence[str], networks: Sequence[Searched]) -> list[Rival]:
    return rivals(
        [
            Standing(
                each.target, each.accuracy, dict(zip(targets, each.predicted_us, strict=True))
            )
            for each in networks
        ]
    )


def show_cross(console: Console, cross: Cross) -> None:
    """Rows: what was searched for; columns: the predicted latency on each. Below: where a table
    was imported from, and where another device's network does better than a device's own."""
    table = Table("searched for", title="predicted latency of each network on each device")
    for target in cross.targets:
        table.add_column(f"on {target}", justify="right")
    for title in ("measured on its own", "accuracy", "M MACs"):
        table.add_column(title, justify="right")
    for network in cross.networks:
        measured = "-" if network.measured_us is None else people_us(network.measured_us)
        table.add_row(
            network.target,
            *map(people_us, network.predicted_us),
            measured,
            f"{network.accuracy:.1%}",
            f"{network.macs / 1e6:.1f}",
        )
    console.print(table)
    for target, provenance in zip(cross.targets, cross.provenance, strict=True):
        if provenance:
            console.print(f"{target}: {provenance}")
    for rival in _rivals(cross.targets, cross.networks):
        console.print(rival.sentence(people_us))
