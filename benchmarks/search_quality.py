"""`python benchmarks/search_quality.py --data FOLDER`: does the search find better networks?

For each seed: search a network for a target latency, draw random networks of the same predicted
latency, train all alike from scratch on the same images, and compare the accuracies, each the
mean of some trainings. With several devices, also search for each other one a network that is 1 %
faster there than the first one's, and show how fast each is on all. Needs tables of the devices in
a server. What is done is kept in --out, and not done again; several of these may work on other
seeds in the same --out at once.

The target of the first device is a share of the mean latency of a network drawn evenly.
"""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import fmean, median, stdev, variance
from typing import Annotated

import torch
from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Table

from contract.cli import command_line, main
from contract.client import default_server
from contract.networks import Network, network
from contract.spaces import SearchSpace
from contract.spaces import space as space_named
from contract.tables import LatencyTable
from contract.values import Value
from search.config import SearchConfig, TrainConfig
from search.data import DataSet, Images, load
from search.dnas.search import Search
from search.dnas.selection import derive, network_along, window
from search.presets import SMALL
from search.processes import Processes
from search.supernet.blocks import untrained
from search.supernet.supernet import Supernet
from search.tables.fetch import fetch
from search.tables.prediction import predicted_us
from search.training.from_scratch import Training, accuracy

SEARCHED = "searched"
FASTER = 0.99  # of what the first device's network takes on another one, its own may take

app: App = command_line("python benchmarks/search_quality.py", __doc__ or "")


class Searched(Value):
    """What a search found, kept before it is trained."""

    device: str
    seed: int
    architecture: tuple[str, ...]


class Trained(Value):
    """The outcome of training one network once."""

    device: str
    seed: int
    name: str  # `searched`, or `random 1`, ...
    training: int  # from 1
    architecture: tuple[str, ...]
    predicted_us: float
    accuracy: float  # share of the test images
    seconds: float


@app.default
def run(
    *,
    data: str,
    device: list[str],
    server: str | None = None,
    space: str = "fbnet-32-0.35",
    out: Path = Path("runs/search-quality"),
    images: Annotated[int, Parameter(help="Training images used.")] = 6000,
    test_images: int = 10_000,
    seed: Annotated[list[int] | None, Parameter(help="[default: 0, 1 and 2]")] = None,
    networks: Annotated[int, Parameter(help="Random networks per seed, on the first device.")] = 8,
    share: Annotated[float, Parameter(help="The target, of the mean latency.")] = 0.6,
    threads: int = 1,
    epochs: Annotated[int, Parameter(help="Of the search.")] = SMALL.search.epochs,
    theta_lr: float = SMALL.search.theta_lr,
    warmup_share: float = SMALL.search.warmup_share,
    theta_paths: int = SMALL.search.theta_paths,
    final_epochs: Annotated[int, Parameter(help="Of each network.")] = SMALL.final.epochs,
    trainings: Annotated[int, Parameter(help="Of each network, from seeds of their own.")] = 1,
    batch_size: int = 64,
) -> None:
    """Search, draw, train and compare."""
    search = replace(
        SMALL.search,
        epochs=epochs,
        theta_lr=theta_lr,
        warmup_share=warmup_share,
        theta_paths=theta_paths,
        batch_size=batch_size,
    )
    final = replace(SMALL.final, epochs=final_epochs, batch_size=batch_size)
    torch.set_num_threads(threads)
    console = Console()
    chosen_space = space_named(space)
    tables = {
        name: fetch(server or default_server(), target=name, space=chosen_space) for name in device
    }
    everything = load(data, resolution=chosen_space.resolution, most_classes=chosen_space.classes)
    used = DataSet(
        name=everything.name,
        class_names=everything.class_names,
        train=first(everything.train, images),
        test=first(everything.test, test_images),
        test_from=everything.test_from,
    )
    out.mkdir(parents=True, exist_ok=True)
    done = Done(out)
    drawn: list[tuple[str, int, Network]] = []
    for number in seed or [0, 1, 2]:
        rival: Network | None = None  # the first device's
        for name, table in tables.items():
            if rival is None:
                target_us = share * even_latency_us(chosen_space, table)
            else:
                target_us = FASTER * predicted_us(rival.operators, table)
            found = candidates(
                chosen_space,
                table,
                used,
                done,
                search,
                target_us,
                name,
                number,
                networks if rival is None else 0,
                console,
            )
            rival = rival or found[0]
            drawn += [(name, number, one) for one in found]
    for training in range(1, trainings + 1):
        for name, number, one in drawn:
            if done.is_trained(name, number, one.name, training):
                continue
            began = time.monotonic()
            right = trained_accuracy(one, used, final, training_seed(number, training))
            outcome = Trained(
                device=name,
                seed=number,
                name=one.name,
                training=training,
                architecture=one.blocks,
                predicted_us=predicted_us(one.operators, tables[name]),
                accuracy=right,
                seconds=time.monotonic() - began,
            )
            done.add(outcome)
            console.print(
                f"{name}, seed {number}, {one.name}, training {training}: "
                f"{outcome.predicted_us / 1000:.3f} ms, accuracy {right:.2%} "
                f"({outcome.seconds:.0f} s)"
            )
    show_shares(console, done.outcomes)
    if len(tables) > 1:
        show_cross(console, done.outcomes, tables, chosen_space)


class Done:
    """What has been searched and trained, here and by others, in files that grow."""

    def __init__(self, folder: Path) -> None:
        self._searches = folder / "searches.jsonl"
        self._networks = folder / "networks.jsonl"

    @property
    def outcomes(self) -> list[Trained]:
        found = [Trained.model_validate_json(line) for line in lines(self._networks)]
        return sorted(found, key=lambda one: (one.device, one.seed))

    def is_trained(self, device: str, seed: int, name: str, training: int) -> bool:
        wanted = (device, seed, name, training)
        return any(
            (one.device, one.seed, one.name, one.training) == wanted for one in self.outcomes
        )

    def searched(self, device: str, seed: int) -> tuple[str, ...] | None:
        """The architecture that was found before."""
        searches = [Searched.model_validate_json(line) for line in lines(self._searches)]
        same = [one for one in searches if (one.device, one.seed) == (device, seed)]
        return same[0].architecture if same else None

    def add(self, outcome: Searched | Trained) -> None:
        path = self._searches if isinstance(outcome, Searched) else self._networks
        with path.open("a") as file:
            file.write(outcome.model_dump_json() + "\n")


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def first(images: Images, count: int) -> Images:
    """As many of them, drawn once and for all."""
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    wanted = torch.zeros(len(images), dtype=torch.bool)
    wanted[order[:count]] = True
    return images.where(wanted)


def even_latency_us(space: SearchSpace, table: LatencyTable) -> float:
    """The mean latency of a network whose every slot is drawn evenly."""
    return Supernet(space, table).expected_latency_us().item()


def candidates(
    space: SearchSpace,
    table: LatencyTable,
    data: DataSet,
    done: Done,
    config: SearchConfig,
    target_us: float,
    device: str,
    seed: int,
    count: int,
    console: Console,
) -> list[Network]:
    """The network searched, then random ones within 3 % of the same target."""
    torch.manual_seed(seed)
    supernet = Supernet(space, table, shares_weights=config.shares_weights)
    within = window(supernet, target_us)
    generator = torch.Generator().manual_seed(seed)
    even = [slot.probabilities().detach().clone() for slot in supernet.mixed_slots()]
    random = [
        network_along(supernet, space, path, name=f"random {number}")
        for number, path in enumerate(within.draws(even, generator, count=count), start=1)
    ]
    before = done.searched(device, seed)
    if before is None:
        began = time.monotonic()
        weights, theta = data.train.split(config.weights_share, seed=seed)
        search = Search(
            supernet,
            weight_split=weights,
            theta_split=theta,
            config=replace(config, target_ms=target_us / 1000),
            seed=seed,
        )
        for epoch in search.epochs():
            console.print(
                f"{device}, seed {seed}, epoch {epoch.epoch}: weights "
                f"{epoch.weight_cross_entropy:.3f}, theta {epoch.theta_cross_entropy:.3f}, "
                f"{epoch.expected_latency_us / target_us:.3f} of the target, entropy "
                f"{epoch.theta_entropy:.2f}, {epoch.seconds:.0f} s"
            )
        found = derive(
            supernet, space, table, within=within, samples=0, generator=search.generator
        )
        console.print(f"searched in {time.monotonic() - began:.0f} s: {found.architecture}")
        done.add(Searched(device=device, seed=seed, architecture=found.architecture))
        before = found.architecture
    return [network(before, space=space, name=SEARCHED), *random]


def training_seed(seed: int, training: int) -> int:
    """The search's own for the first training, others for the next."""
    return seed + 1000 * (training - 1)


def trained_accuracy(found: Network, data: DataSet, config: TrainConfig, seed: int) -> float:
    """Share of the test images that the network names rightly after training from scratch."""
    torch.manual_seed(seed)
    module = untrained(found)
    for _ in Training(module, data.train, config=config, seed=seed).epochs():
        pass
    return accuracy(module, data.test, batch_size=config.batch_size, processes=Processes())


def show_shares(console: Console, outcomes: list[Trained]) -> None:
    """The network searched against the random ones, by device and seed."""
    table = Table("device", "seed", title="accuracy at the same predicted latency")
    for title in ("searched", "random: median", "best", "worst", "beaten"):
        table.add_column(title, justify="right")
    shares, gains, spreads = [], [], []
    for device, seed in dict.fromkeys((one.device, one.seed) for one in outcomes):
        means = means_by_name(outcomes, device, seed)
        ours = means.pop(SEARCHED, None)
        others = list(means.values())
        if ours is None or len(others) < 2:
            continue
        shares.append(fmean(ours > other for other in others))
        gains.append(ours - fmean(others))
        spreads.append(stdev(others))
        figures = (ours, median(others), max(others), min(others))
        row = (f"{figure:.2%}" for figure in figures)
        table.add_row(device, str(seed), *row, f"{shares[-1]:.0%}")
    console.print(table)
    if shares:
        console.print(
            f"random networks beaten: {fmean(shares):.0%}; searched above the mean of the random "
            f"ones by {fmean(gains):.2%}; standard deviation of these {fmean(spreads):.2%}"
        )
    repeated = list(trainings_of_each(outcomes))
    if repeated:
        noise = fmean(variance(accuracies) for accuracies in repeated) ** 0.5
        console.print(
            f"standard deviation between trainings of one network {noise:.2%} "
            f"({len(repeated)} networks)"
        )


def means_by_name(outcomes: list[Trained], device: str, seed: int) -> dict[str, float]:
    """Each network's accuracy, the mean over its trainings."""
    of_both = [one for one in outcomes if (one.device, one.seed) == (device, seed)]
    names = dict.fromkeys(one.name for one in of_both)
    return {name: fmean(one.accuracy for one in of_both if one.name == name) for name in names}


def trainings_of_each(outcomes: list[Trained]) -> Iterator[list[float]]:
    """The accuracies of each network that was trained more than once."""
    for which in dict.fromkeys((one.device, one.seed, one.name) for one in outcomes):
        accuracies = [
            one.accuracy for one in outcomes if (one.device, one.seed, one.name) == which
        ]
        if len(accuracies) > 1:
            yield accuracies


def show_cross(
    console: Console,
    outcomes: list[Trained],
    tables: dict[str, LatencyTable],
    space: SearchSpace,
) -> None:
    """Each network searched, on every device."""
    table = Table("searched for", "seed", title="predicted latency of the networks searched, ms")
    for name in tables:
        table.add_column(f"on {name}", justify="right")
    table.add_column("accuracy", justify="right")
    for one in (one for one in outcomes if one.name == SEARCHED and one.training == 1):
        found = network(one.architecture, space=space)
        table.add_row(
            one.device,
            str(one.seed),
            *(f"{predicted_us(found.operators, other) / 1000:.3f}" for other in tables.values()),
            f"{means_by_name(outcomes, one.device, one.seed)[SEARCHED]:.2%}",
        )
    console.print(table)


if __name__ == "__main__":
    main(app)
