"""What each of torchrun's processes does in test_ranks: a few steps of a search, on the CPU."""

import sys
from pathlib import Path
from typing import Literal

import torch
from torch.optim import SGD

from contract.spaces import SearchSpace
from search.config import SearchConfig
from search.data import Batch
from search.dnas import Search
from search.ranks import Ranks, joined
from tests.search.conftest import random_images, supernet_of, tiny_space

Paths = Literal["all", "1", "2"]
EACH: tuple[Paths, ...] = ("all", "1", "2")
CONFIG = SearchConfig(epochs=2, batch_size=6, warmup_share=0, weight_lr=0.01, theta_lr=0.1)


def search_of(space: SearchSpace, config: SearchConfig, ranks: Ranks) -> Search:
    return Search(
        supernet_of(space),
        weight_split=random_images(18, seed=1),
        theta_split=random_images(13, seed=2),
        config=config,
        seed=7,
        ranks=ranks,
    )


def half(rank: int) -> Batch:
    """Three of six images."""
    image_BCHW, label_B = next(random_images(6).batches(6))
    return image_BCHW[3 * rank : 3 * rank + 3], label_B[3 * rank : 3 * rank + 3]


def one_plain_step(search: Search, batch: Batch) -> dict[str, torch.Tensor]:
    """The super network after one step of plain descent of its weights, and one of its theta."""
    net = search.supernet
    search.weight_optimizer = SGD(net.weights(), lr=1.0)
    search.theta_optimizer = SGD(net.thetas(), lr=1.0)  # type: ignore[assignment]
    state = search.generator.get_state()
    search.theta_step(batch, update=True)
    search.generator.set_state(state)
    search.weight_step(batch)
    return net.state_dict()


def work(ranks: Ranks, out: Path) -> None:
    for paths in EACH:
        config = SearchConfig(**{**vars(CONFIG), "paths": paths})
        once = one_plain_step(search_of(tiny_space(), config, ranks), half(ranks.rank))
        torch.save(once, out / f"once-{paths}-{ranks.rank}.pt")
        search = search_of(tiny_space(), config, ranks)
        losses = [epoch.theta_loss for epoch in search.epochs()]
        torch.save([losses, search.supernet.state_dict()], out / f"end-{paths}-{ranks.rank}.pt")


if __name__ == "__main__":
    torch.set_num_threads(1)
    with joined(accelerator=False) as these:
        work(these, Path(sys.argv[1]))
