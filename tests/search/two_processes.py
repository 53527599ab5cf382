"""What each of torchrun's processes does in test_processes, on the CPU: a step, or to the end."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.optim import SGD

from contract.networks import network
from contract.spaces import SearchSpace
from search.config import SearchConfig, TrainConfig
from search.data import Batch
from search.dnas.search import Search
from search.processes import Processes, join_processes
from search.supernet.blocks import build_network
from search.training.from_scratch import Training
from tests.search.conftest import random_images, supernet_of, tiny_space

Paths = Literal["all", "1", "2"]
EACH: tuple[Paths, ...] = ("all", "1", "2")
CONFIG = SearchConfig(epochs=2, batch_size=6, warmup_share=0, weight_lr=0.01, theta_lr=0.1)


def search_of(space: SearchSpace, config: SearchConfig, processes: Processes) -> Search:
    return Search(
        supernet_of(space),
        weight_split=random_images(18, seed=1),
        theta_split=random_images(13, seed=2),
        config=config,
        seed=7,
        processes=processes,
    )


def half(rank: int) -> Batch:
    """Three of six images."""
    image_BCHW, label_B = next(random_images(6).batches(6))
    return image_BCHW[3 * rank : 3 * rank + 3], label_B[3 * rank : 3 * rank + 3]


def plain_steps(search: Search, batch: Batch) -> dict[str, Tensor]:
    """The super network's weights after a step of plain descent, and its theta after one."""
    net = search.supernet
    search.weight_optimizer = SGD(net.weights(), lr=1.0)
    search.theta_optimizer = SGD(net.thetas(), lr=1.0)  # type: ignore[assignment]
    before = {name: value.clone() for name, value in net.state_dict().items()}
    search.weight_step(batch)
    stepped = {name: value.clone() for name, value in net.state_dict().items()}
    net.load_state_dict(before)
    search.theta_step(batch, update=True)
    for name, value in net.state_dict().items():
        if name.endswith("theta_K"):
            stepped[name] = value
    return stepped


def training_of(space: SearchSpace, processes: Processes) -> Training:
    torch.manual_seed(0)
    module = build_network(network(["k3_e1", "k5_e3"], space=space, name="small"))
    config = TrainConfig(epochs=2, batch_size=6, lr=0.05)
    return Training(module, random_images(18), config=config, seed=1, processes=processes)


def one_step(processes: Processes, out: Path) -> None:
    for paths in EACH:
        once = plain_steps(search_of(tiny_space(), _along(paths), processes), half(processes.rank))
        torch.save(once, out / f"once-{paths}-{processes.rank}.pt")


def to_the_end(processes: Processes, out: Path) -> None:
    for paths in EACH:
        search = search_of(tiny_space(), _along(paths), processes)
        losses = [epoch.theta_loss for epoch in search.epochs()]
        torch.save(
            [losses, search.supernet.state_dict()], out / f"end-{paths}-{processes.rank}.pt"
        )
    training = training_of(tiny_space(), processes)
    losses = [epoch.cross_entropy for epoch in training.epochs()]
    torch.save([losses, training.module.state_dict()], out / f"end-training-{processes.rank}.pt")


def _along(paths: Paths) -> SearchConfig:
    return replace(CONFIG, paths=paths)


WORK = {"one-step": one_step, "to-the-end": to_the_end}

if __name__ == "__main__":
    torch.set_num_threads(1)
    with join_processes(accelerator=False) as these:
        WORK[sys.argv[1]](these, Path(sys.argv[2]))
