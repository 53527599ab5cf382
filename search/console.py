"""The terminal: consoles, a progress bar, and durations as people read them."""

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


def people_us(duration_us: float) -> str:
    """A duration as people read it: `830 us`, `12.40 ms`."""
    return f"{duration_us:.0f} us" if duration_us < 1000 else f"{duration_us / 1000:.2f} ms"


def plain_console() -> Console:
    """Standard output, as it is: no brackets taken for markup, no line broken in a pipe."""
    return Console(markup=False, highlight=False, soft_wrap=True)


def error_console() -> Console:
    """Standard error, as it is: for what must be seen beside a document on standard output."""
    return Console(stderr=True, markup=False, highlight=False, soft_wrap=True)


def progress_bar(console: Console) -> Progress:
    """One bar over all steps, with the time they still need."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
    )


def comparison(
    predicted_us: float, measured_us: float, *, at_level_us: float | None = None
) -> str:
    """`predicted 12.40 ms, measured 12.77 ms, at the table's level 12.52 ms, difference +1.0 %`.

    The difference is of the latency at the table's level, where that is known.
    """
    words = f"predicted {people_us(predicted_us)}, measured {people_us(measured_us)}"
    if at_level_us is not None:
        words = f"{words}, at the table's level {people_us(at_level_us)}"
    difference = difference_percent(predicted_us, at_level_us or measured_us)
    return f"{words}, difference {difference:+.1f} %"


def difference_percent(predicted_us: float, measured_us: float) -> float:
    """How far the measurement lies above the prediction, in percent of the prediction."""
    return (measured_us / predicted_us - 1) * 100
