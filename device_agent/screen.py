"""What a person sees while the agent works, and at the end."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from contract import jobs
from contract.audits import Errors
from contract.estimates import estimate
from contract.sessions import Origin
from contract.timings import Timing
from device_agent.supervisor import Supervisor

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


def say(line: str) -> None:
    """One line with the time, of an agent that nobody sits beside."""
    console.print(
        f"{datetime.now():%Y-%m-%d %H:%M:%S} {line}", markup=False, highlight=False, soft_wrap=True
    )


def columns(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """A line for each row, with its cells below those of the row before."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


class Steps:
    """A bar over counted steps, which whoever watches the work is told of too."""

    def __init__(self, what: str, unit: str, total: int, supervisor: Supervisor) -> None:
        self._bar = progress()
        self._task = self._bar.add_task(what, total=total)
        self._unit, self._done, self._total = unit, 0, total
        self._supervisor = supervisor

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._bar.stop()

    def advance(self) -> None:
        """One step is done. Raises Halted where the work is to end."""
        self._done += 1
        self._bar.advance(self._task)
        done = min(self._done, self._total)
        self._supervisor.tell(jobs.Progress(what=self._unit, done=done, total=self._total))

    def more(self, steps: int, what: str | None = None) -> None:
        """There are so many more to do than was known, for `what`."""
        self._total += steps
        self._bar.update(self._task, total=self._total, description=what)


def summary(timings: Sequence[Timing], *, device: str, space: str, origin: Origin) -> None:
    """The slowest operators, how certain all are, and every failure with its reason."""
    how = "measured" if origin == "measured" else f"{origin}, no latencies of a {device}"
    measured = sorted(
        (
            (estimate(timing.rounds_us, timing.drift), timing)
            for timing in timings
            if not timing.failure
        ),
        key=lambda pair: -pair[0].latency_us,
    )
    table = Table(title=f"{device}, {space}: the slowest of {len(measured)} operators {how}")
    table.add_column("operator")
    for column in (
        "latency us" if origin == "measured" else f"{origin} us",
        "+-",
        "grade",
        "median us",
        "calm",
        "samples",
    ):
        table.add_column(column, justify="right")
    for figures, timing in measured[:SLOWEST]:
        table.add_row(
            timing.operator.key,
            f"{figures.latency_us:,.1f}",
            f"{figures.half_width:.1%}",
            figures.grade,
            f"{figures.median_us:,.1f}",
            f"{figures.calm / figures.samples:.0%}",
            f"{figures.samples:,}",
        )
    console.print(table)
    grades: Counter[str] = Counter(figures.grade for figures, _ in measured)
    counts = ", ".join(f"{grades[grade]} {grade}" for grade in "ABC")
    calm = sum(figures.calm for figures, _ in measured)
    everything = sum(figures.samples for figures, _ in measured)
    if everything:
        console.print(
            f"grades within this session: {counts}; the device was calm for "
            f"{calm / everything:.0%} of the samples"
        )
    for timing in timings:
        if timing.failure:
            console.print(
                f"[red]failed[/red] {timing.operator.key}: {timing.failure.code}: ", end=""
            )
            console.print(timing.failure.message, markup=False, highlight=False)


def errors(title: str, figures: Mapping[str, Errors]) -> None:
    """How far predictions lie from measurements, a line per kind of prediction."""
    table = Table(title=title)
    table.add_column("rows of", no_wrap=True)
    for column in ("bias", "MAPE", "p95", "worst", "tau", "rho", "<5 %", "<10 %"):
        table.add_column(column, justify="right")
    for name, each in figures.items():
        table.add_row(
            name,
            f"{each.bias:+.2%}",
            f"{each.mape:.2%}",
            f"{each.p95:.2%}",
            f"{each.worst:.2%}",
            f"{each.kendall_tau:.3f}",
            f"{each.spearman:.3f}",
            f"{each.within_5_percent:.0%}",
            f"{each.within_10_percent:.0%}",
        )
    console.print(table)
