"""`python benchmarks/search_step.py`: the cost of a search's step against a textbook supernet.

The textbook: all nine blocks of every slot, a weighted sum, PyTorch's default memory format, and
autograd left to itself. Each mode runs in a process of its own, one after the other, and prints
images/s of the steps of weights and of theta, of both as an epoch mixes them (80 to 20), and
its peak memory above that of a process that only imported. Run it alone.
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.optim import SGD, Adam

from contract.cli import command_line, main
from contract.spaces import SearchSpace
from contract.spaces import space as space_named
from search.config import Paths, SearchConfig
from search.data import Scaling, grey_images
from search.dnas.search import Search
from search.supernet.blocks import build
from search.supernet.supernet import Supernet

TEXTBOOK = "textbook"
ROOT = Path(__file__).parent.parent  # where the tests' table of test values is


@dataclass(frozen=True, kw_only=True)
class Mode:
    """How the supernet runs."""

    title: str
    paths: Paths = "all"
    checkpointing: bool = False
    bfloat16: bool = False


MODES = {
    mode.title: mode
    for mode in (
        Mode(title=TEXTBOOK),
        Mode(title="all"),
        Mode(title="all, checkpointing", checkpointing=True),
        Mode(title="all, bfloat16", bfloat16=True),
        Mode(title="2 paths", paths="2"),
        Mode(title="1 path", paths="1"),
        Mode(title="1 path, checkpointing", paths="1", checkpointing=True),
        Mode(title="1 path, bfloat16", paths="1", bfloat16=True),
    )
}

app: App = command_line("python benchmarks/search_step.py", __doc__ or "")


class Textbook(nn.Module):
    """The supernet as it is usually written."""

    def __init__(self, space: SearchSpace) -> None:
        super().__init__()
        self.stem, self.head = build(space.stem), build(space.head)
        self.slots = nn.ModuleList(
            nn.ModuleList(build(operator) for operator in choice.candidates)
            for choice in space.choices
        )
        self.theta = nn.ParameterList(
            torch.zeros(len(choice.candidates)) for choice in space.choices
        )
        self.us = [torch.linspace(10, 90, len(theta)) for theta in self.theta]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x, latency_us = self.stem(x), torch.tensor(100.0)
        for candidates, theta, us in zip(self.slots, self.theta, self.us, strict=True):
            mask = F.gumbel_softmax(theta, tau=5.0)
            assert isinstance(candidates, nn.ModuleList)
            x = torch.stack([m * c(x) for m, c in zip(mask, candidates, strict=True)]).sum(0)
            latency_us = latency_us + torch.dot(mask, us)
        return self.head(x), latency_us


@app.default
def run(
    *,
    space: str = "fbnet-32",
    batch_size: int = 64,
    threads: int = 2,
    steps: int = 6,
    modes: Annotated[list[str] | None, Parameter(help="Only these; else all of them.")] = None,
    child: Annotated[str | None, Parameter(show=False)] = None,
) -> None:
    """Time the steps of each mode."""
    if child is not None:
        sys.stdout.write(json.dumps(timed(MODES[child], space, batch_size, threads, steps)) + "\n")
        return
    console = Console()
    console.print(
        f"{space}, batch {batch_size}, {threads} threads, {steps} steps of each kind, "
        f"load {os.getloadavg()[0]:.1f}"
    )
    table = Table()
    table.add_column("mode", no_wrap=True)
    for title in (
        *("weights img/s", "theta img/s", "epoch img/s", "times textbook"),
        *("peak MiB", "of textbook"),
    ):
        table.add_column(title, justify="right")
    first: dict[str, float] = {}
    for title in modes or MODES:
        figures = figures_of(title, space, batch_size, threads, steps)
        first = first or figures
        table.add_row(
            title,
            *(f"{figures[name]:.1f}" for name in ("weights", "theta", "epoch")),
            f"{figures['epoch'] / first['epoch']:.2f}x",
            f"{figures['peak_mib']:.0f}",
            f"{figures['peak_mib'] / first['peak_mib']:.3f}",
        )
    console.print(table)
    console.print(f"ratios are to the first line; load now {os.getloadavg()[0]:.1f}")


def figures_of(
    title: str, space: str, batch_size: int, threads: int, steps: int
) -> dict[str, float]:
    """Run one mode in a process of its own, and its images per second."""
    options = f"--space {space} --batch-size {batch_size} --threads {threads} --steps {steps}"
    done = subprocess.run(
        [sys.executable, __file__, *options.split(), "--child", title],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "PYTHONPATH": str(ROOT)},
    )
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    weights_s, theta_s = median(answer["weights_s"]), median(answer["theta_s"])
    return {
        "weights": batch_size / weights_s,
        "theta": batch_size / theta_s,
        "epoch": batch_size / (0.8 * weights_s + 0.2 * theta_s),
        "peak_mib": answer["peak_mib"],
    }


def timed(mode: Mode, space: str, batch_size: int, threads: int, steps: int) -> dict[str, Any]:
    """Seconds of each step after the first, and the peak memory above that after importing."""
    imported = peak_mib()
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    chosen = space_named(space)
    image_BCHW = torch.randn(batch_size, 3, chosen.resolution, chosen.resolution)
    label_B = torch.randint(0, chosen.classes, (batch_size,))
    make = textbook_steps if mode.title == TEXTBOOK else search_steps
    weight_step, theta_step = make(mode, chosen, image_BCHW, label_B)
    seconds: dict[str, list[float]] = {"weights_s": [], "theta_s": []}
    for _ in range(steps + 1):
        for name, step in (("weights_s", weight_step), ("theta_s", theta_step)):
            began = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - began)
    return {
        **{name: taken[1:] for name, taken in seconds.items()},
        "peak_mib": peak_mib() - imported,
    }


Step = Callable[[], object]


def textbook_steps(
    mode: Mode, space: SearchSpace, image_BCHW: Tensor, label_B: Tensor
) -> tuple[Step, Step]:
    """Both steps go forward and back through everything."""
    net = Textbook(space)
    thetas = list(net.theta.parameters())
    owned = {id(theta) for theta in thetas}
    weights = [parameter for parameter in net.parameters() if id(parameter) not in owned]
    weight_optimizer = SGD(weights, lr=0.01, momentum=0.9, weight_decay=1e-4)
    theta_optimizer = Adam(thetas, lr=0.01)

    def step(optimizer: SGD | Adam) -> None:
        logits_BN, latency_us = net(image_BCHW)
        loss = F.cross_entropy(logits_BN, label_B) * 0.2 * latency_us.log() ** 0.6
        net.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()

    return lambda: step(weight_optimizer), lambda: step(theta_optimizer)


def search_steps(
    mode: Mode, space: SearchSpace, image_BCHW: Tensor, label_B: Tensor
) -> tuple[Step, Step]:
    """The product's own steps, on a table of test values (nothing of them is printed)."""
    from tests.tables import table_of

    scaling = Scaling(mean=0.0, deviation=1.0, resolution=space.resolution)
    nothing = grey_images(torch.zeros(1, 1, 1), torch.zeros(1).long(), scaling=scaling)
    search = Search(
        Supernet(space, table_of(space), recompute=mode.checkpointing),
        weight_split=nothing,
        theta_split=nothing,
        config=SearchConfig(paths=mode.paths, weight_lr=0.01),
        seed=0,
        autocast=torch.bfloat16 if mode.bfloat16 else None,
    )
    batch = (image_BCHW.contiguous(memory_format=torch.channels_last), label_B)
    return lambda: search.weight_step(batch), lambda: search.theta_step(batch, update=True)


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main(app)
