"""`python -m search.run --device NAME`: a network for that device, predicted and measured."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import torch
from cyclopts import Parameter
from rich.console import Console
from rich.progress import Progress
from torch.nn.utils import convert_conv2d_weight_memory_format

from contract import spaces
from contract.cli import command_line, main
from contract.client import default_server
from contract.networks import Network
from contract.spaces import SearchSpace
from contract.tables import LatencyTable
from search import data as datasets
from search import derive, final
from search.blocks import build_network
from search.config import SearchConfig
from search.data import DataSet
from search.folder import RunFolder
from search.measure import AGENT, measure
from search.report import versions, write_report
from search.result import SearchResult, write_weights
from search.screen import comparison, epoch_line, plain_console, progress_bar, show_result
from search.supernet import Supernet
from search.table import fetch
from search.train import EpochResult, Search

HELP = "Search a network for a device, against its table of measured latencies."
PAPER = SearchConfig()
app = command_line("python -m search.run", HELP)


@app.default
def run(
    *,
    device: str,
    space: str = "fbnet-32",
    server: str | None = None,
    runtime: str | None = None,
    data: str = datasets.DIGITS,
    out: Path | None = None,
    overwrite: bool = False,
    measured: Annotated[bool, Parameter(name="--measure")] = True,
    config: Annotated[SearchConfig, Parameter(name="*")] = PAPER,
) -> None:
    """Search a network for a device, against its table of measured latencies.

    Args:
        device: As the server knows it.
        space: The search space.
        server: The server's address; else PHONEBOOK_SERVER, else this computer.
        runtime: Key of the runtime whose table counts; else the device's default one.
        data: `digits`, or a folder with the IDX files of MNIST or Fashion-MNIST.
        out: Where the results go; else a new folder under runs/.
        overwrite: Allow --out to hold a finished run.
        measured: Measure the network found on the device, with the device agent.
        config: Hyper-parameters.
    """
    if out is None:
        folder = RunFolder.fresh(device, now=datetime.now())
    else:
        folder = RunFolder(out, overwrite=overwrite)
    chosen = spaces.space(space)
    table = fetch(server or default_server(), device=device, runtime=runtime, space=chosen)
    job = Job(
        space=chosen, table=table, config=config, data=data, folder=folder, console=plain_console()
    )
    search_and_measure(job, agent=AGENT if measured else None)


@dataclass(frozen=True, kw_only=True)
class Job:
    """What one run searches, with what, and where it tells and keeps what it finds."""

    space: SearchSpace
    table: LatencyTable
    config: SearchConfig
    data: str
    folder: RunFolder
    console: Console


def search_and_measure(job: Job, *, agent: Sequence[str] | None) -> SearchResult:
    """Search, train what was found, then have `agent` measure it (None: leave it unmeasured).

    The same seed and threads on the same machine find the same network.

    Raises:
        IncompleteTable: operators have no row; nothing was trained or written.
        PhonebookError: unsuitable data, a loss that is no number, or a measurement that failed;
            what was written until then stays.
    """
    config, folder, console = job.config, job.folder, job.console
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)  # draws the initial weights; `generator` everything else
    generator = torch.Generator().manual_seed(config.seed)
    supernet = Supernet(job.space, job.table, paths=config.paths)
    images = datasets.load(
        job.data,
        resolution=job.space.resolution,
        most_classes=job.space.classes,
        seed=config.seed,
    )
    folder.begin(_options(job), job.table)
    console.print(f"searching {job.space.name} for {job.table.device}; results: {folder.path}")
    try:
        with progress_bar(console) as progress:
            epochs = _search(job, supernet, images, generator, progress)
            found = derive.most_probable(supernet, job.space)
            accuracy = _train(job, found, images, generator, progress)
    except KeyboardInterrupt:
        console.print(f"stopped; the epochs so far are in {folder.metrics}")
        raise
    result = SearchResult(
        device=job.table.device,
        runtime=job.table.runtime,
        space=job.space.name,
        seed=config.seed,
        architecture=found.blocks,
        predicted_us=derive.predicted_us(found.operators, job.table),
        measured_us=None,
        macs=found.macs(),
        params=found.params(),
        accuracy=accuracy,
        table_snapshot=job.table.snapshot,
        layers=derive.layers(supernet, found, job.table),
        samples=derive.sample(
            supernet, job.space, job.table, count=config.samples, generator=generator
        ),
    )
    result.write(folder.result)
    show_result(console, result)
    try:
        if agent is not None:
            result = _measured(job, result, agent)
    finally:
        write_report(folder.report, result, epochs, table=job.table, fixed_us=supernet.fixed_us)
        console.print(f"report: {folder.report}")
    return result


def _search(
    job: Job,
    supernet: Supernet,
    images: DataSet,
    generator: torch.Generator,
    progress: Progress,
) -> list[EpochResult]:
    config = job.config
    weight_split, theta_split = images.train.split(config.weights_share, seed=config.seed)
    # A step of the search computes `paths` candidates per slot, one of the network found only one.
    steps = weight_split.steps(config.batch_size) + theta_split.steps(config.batch_size)
    final_steps = config.final_epochs * images.train.steps(config.batch_size)
    task = progress.add_task("searching", total=config.epochs * steps * config.paths + final_steps)
    search = Search(
        supernet,
        weight_split=weight_split,
        theta_split=theta_split,
        config=config,
        generator=generator,
        on_step=lambda: progress.advance(task, config.paths),
    )
    epochs = []
    for epoch in search.epochs():
        epochs.append(epoch)
        job.folder.add_search_epoch(epoch)
        job.console.print(epoch_line(epoch, epochs=config.epochs))
    return epochs


def _train(
    job: Job, found: Network, images: DataSet, generator: torch.Generator, progress: Progress
) -> float:
    """Train the network found from scratch, keep its weights, and return its test accuracy."""
    (task,) = progress.task_ids
    progress.update(task, description="training the network found")
    module = build_network(found)
    convert_conv2d_weight_memory_format(module, torch.channels_last)  # as the images are
    epochs = final.train(
        module,
        images.train,
        job.config,
        generator=generator,
        on_step=lambda: progress.advance(task),
    )
    for epoch in epochs:
        job.folder.add_final_epoch(epoch)
    write_weights(job.folder.weights, module, found)
    return final.accuracy(module, images.test, batch_size=job.config.batch_size)


def _measured(job: Job, result: SearchResult, agent: Sequence[str]) -> SearchResult:
    """The result with the device's own figure, rewritten to its file."""
    job.console.print(f"measuring the network found on {result.device}")
    arguments = ["--device", result.device, "--result", str(job.folder.result)]
    measurement = measure([*arguments, "--runtime", result.runtime.key], agent=agent)
    measured = result.model_copy(update={"measured_us": measurement.latency_us})
    measured.write(job.folder.result)
    job.console.print(comparison(result.predicted_us, measurement.latency_us))
    job.console.print(f"program: {measurement.program}")
    return measured


def _options(job: Job) -> dict[str, Any]:
    return {
        "device": job.table.device,
        "runtime": job.table.runtime.key,
        "space": job.space.name,
        "data": job.data,
        **asdict(job.config),
        "versions": versions(),
    }


if __name__ == "__main__":
    main(app)
