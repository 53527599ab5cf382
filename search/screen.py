"""What a person sees in the terminal."""

from collections.abc import Mapping

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from search.derive import Layer
from search.dnas import EpochResult
from search.result import SearchResult


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


def epoch_line(epoch: EpochResult, *, epochs: int) -> str:
    """One line per epoch of the search."""
    trained = "weights and theta" if epoch.trains_theta else "weights only"
    return (
        f"epoch {epoch.epoch}/{epochs} ({trained}): "
        f"cross entropy {epoch.weight_cross_entropy:.3f}, on the theta split "
        f"{epoch.theta_cross_entropy:.3f} (accuracy {epoch.theta_accuracy:.1%}); expected latency "
        f"{people_us(epoch.expected_latency_us)}, entropy of theta {epoch.theta_entropy:.2f}, "
        f"{epoch.seconds:.1f} s"
    )


def layer_table(layers: tuple[Layer, ...]) -> Table:
    """What every slot chose, how surely, and what it costs."""
    table = Table("layer", "block", "operator")
    table.add_column("probability", justify="right")
    table.add_column("latency", justify="right")
    for layer in layers:
        table.add_row(
            str(layer.number),
            layer.block,
            layer.operator,
            f"{layer.probability:.2f}",
            people_us(layer.latency_us),
        )
    return table


def show_result(console: Console, result: SearchResult) -> None:
    """Everything known before the device has run the network."""
    console.print(layer_table(result.layers))
    for number, sampled in enumerate(result.samples, start=1):
        blocks = " ".join(sampled.architecture)
        console.print(f"sample {number} of theta, {people_us(sampled.predicted_us)}: {blocks}")
    console.print(
        f"found: predicted {people_us(result.predicted_us)}, {result.macs / 1e6:.1f} M MACs, "
        f"{result.params / 1e6:.2f} M weights, accuracy {result.accuracy:.1%}"
    )


def comparison(predicted_us: float, measured_us: float) -> str:
    """`predicted 12.40 ms, measured 12.52 ms, difference +1.0 %`."""
    return (
        f"predicted {people_us(predicted_us)}, measured {people_us(measured_us)}, "
        f"difference {difference_percent(predicted_us, measured_us):+.1f} %"
    )


def difference_percent(predicted_us: float, measured_us: float) -> float:
    """How far the measurement lies above the prediction, in percent of the prediction."""
    return (measured_us / predicted_us - 1) * 100


def unreadable_lines(unreadable: Mapping[str, str], *, most: int = 5) -> list[str]:
    """How many pictures could not be read, and the first of them by name; nothing if all were."""
    if not unreadable:
        return []
    named = [f"  {name}: {reason}" for name, reason in list(unreadable.items())[:most]]
    return [f"{len(unreadable)} pictures could not be read and were left out:", *named]
