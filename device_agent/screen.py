"""What a person sees while the agent works, and at the end."""

from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from contract.estimates import estimate
from contract.timings import Timing

SLOWEST = 8

console = Console(stderr=True)


def progress() -> Progress:
    """A bar with a count and the time left; plain lines where the output is no terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=console,
    )


def summary(timings: Sequence[Timing], *, device: str, space: str) -> None:
    """The slowest operators, and every failure with its reason."""
    measured = sorted(
        ((estimate(timing.rounds_us), timing) for timing in timings if not timing.failure),
        key=lambda pair: -pair[0].median_us,
    )
    table = Table(title=f"{device}, {space}: the slowest of {len(measured)} operators measured")
    table.add_column("operator")
    for column in ("median us", "p90 us", "min us", "samples"):
        table.add_column(column, justify="right")
    for figures, timing in measured[:SLOWEST]:
        table.add_row(
            timing.operator.key,
            f"{figures.median_us:,.1f}",
            f"{figures.p90_us:,.1f}",
            f"{figures.min_us:,.1f}",
            f"{figures.samples} in {figures.rounds} rounds",
        )
    console.print(table)
    for timing in timings:
        if timing.failure:
            console.print(
                f"[red]failed[/red] {timing.operator.key}: {timing.failure.code}: ", end=""
            )
            console.print(timing.failure.message, markup=False, highlight=False)
