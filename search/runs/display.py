"""What a person sees of a run in the terminal."""

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from contract.results import Layer, SearchResult
from search.console import people_us
from search.dnas.figures import EpochResult


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


def unreadable_lines(unreadable: Mapping[str, str], *, most: int = 5) -> list[str]:
    """How many pictures could not be read, and the first of them by name; nothing if all were."""
    if not unreadable:
        return []
    named = [f"  {name}: {reason}" for name, reason in list(unreadable.items())[:most]]
    return [f"{len(unreadable)} pictures could not be read and were left out:", *named]
