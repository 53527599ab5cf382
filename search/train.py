"""`python -m search.train`: one network trained from scratch, as the paper does after a search."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import torch
from cyclopts import Parameter
from pydantic import Field

from contract.cli import command_line, main
from contract.errors import PhonebookError
from contract.networks import Network, published
from contract.networks import network as network_of
from contract.spaces import space as space_named
from contract.values import Value
from search.bench import opened
from search.blocks import untrained
from search.config import DataConfig, MachineConfig, TrainConfig
from search.files import whole_file
from search.folder import RunFolder, fresh_path
from search.job import Keeper, loaded, show_unreadable, train
from search.metrics import Metrics
from search.networks import write_weights
from search.presets import of_training, use_presets
from search.record import Record
from search.report import versions
from search.result import SearchResult
from search.training import accuracy

app = command_line("python -m search.train", "Train one network from scratch.")
use_presets(app, of_training)


class TrainingResult(Value):
    """result.json of a training."""

    space: str
    architecture: tuple[str, ...]
    head_channels: int
    macs: int
    params: int
    accuracy: float = Field(ge=0, le=1)  # share of the test images


@app.default
def run(
    *,
    architecture: Path | None = None,
    sample: int | None = None,
    network: str | None = None,
    space: str | None = None,
    preset: str | None = None,
    out: Path | None = None,
    overwrite: bool = False,
    resume: bool = False,
    config: Annotated[TrainConfig, Parameter(name="*")] = TrainConfig(),
    data: Annotated[DataConfig, Parameter(name="*")] = DataConfig(),
    machine: Annotated[MachineConfig, Parameter(name="*")] = MachineConfig(),
) -> None:
    """Train one network from scratch, on all training images.

    Args:
        architecture: A search's result.json.
        sample: Train this one of the result's samples of P_theta, from 1; else the network found.
        network: A published network instead.
        space: The published network's blocks in this space; else its own.
        preset: Options that suit each other: fbnet-imagenet (the paper's), small, glimpse.
            Options given beside it count more.
        out: Where the results go; else a new folder under runs/.
        overwrite: Allow --out to hold another run, and replace it.
        resume: Go on with the training that was stopped in --out, by the same options.
        config: Hyper-parameters.
        data: What to learn from.
        machine: How this computer works.
    """
    chosen = _chosen(architecture, sample, network, space)
    if resume and out is None:
        raise PhonebookError("--resume needs --out: the folder of the training to go on with")
    with opened(machine) as bench:
        bench.ranks.check_batch("batch-size", config.batch_size)
        folder = RunFolder(
            out or fresh_path(chosen.name),
            overwrite=overwrite,
            resume=resume,
        )
        if resume and not folder.resumes:
            raise PhonebookError(f"--out {folder.path} holds no training to resume")
        home = space_named(chosen.space)
        images = loaded(data, home, bench)
        identity = {
            "space": chosen.space,
            "architecture": list(chosen.blocks),
            "head": chosen.head_channels,
            "data": data.data,
            "classes": data.classes,
            "images": len(images.train) + len(images.test),
            "seed": machine.seed,
            "processes": bench.ranks.world,
            **asdict(config),
        }
        if folder.resumes:
            record = Record.read(folder.checkpoint, identity=identity)
        else:
            record = Record(identity=identity)
            if bench.ranks.is_first:
                options = {**identity, "class_names": images.class_names}
                folder.begin({**options, "versions": versions()})
        metrics = Metrics(folder.metrics, tensorboard=machine.logger == "tensorboard")
        if bench.ranks.is_first:
            metrics.begin(record.epochs, record.final_epochs)
        bench.console.print(f"training {chosen.name} of {chosen.space}; results: {folder.path}")
        torch.manual_seed(machine.seed)
        module = untrained(chosen).to(bench.ranks.device)
        keeper = Keeper(bench=bench, folder=folder, record=record, metrics=metrics)
        train(module, images.train, config=config, keeper=keeper, what=f"training {chosen.name}")
        result = TrainingResult(
            space=chosen.space,
            architecture=chosen.blocks,
            head_channels=chosen.head_channels,
            macs=chosen.macs(),
            params=chosen.params(),
            accuracy=accuracy(
                module, images.test, batch_size=config.batch_size, ranks=bench.ranks
            ),
        )
        show_unreadable(bench, images)
        if bench.ranks.is_first:
            write_weights(folder.weights, module, chosen)
            with whole_file(folder.result) as partial:
                partial.write_text(result.model_dump_json(indent=2) + "\n", encoding="utf-8")
        bench.console.print(f"accuracy {result.accuracy:.2%}; weights: {folder.weights}")


def _chosen(
    architecture: Path | None, sample: int | None, network: str | None, space: str | None
) -> Network:
    if (architecture is None) == (network is None):
        raise PhonebookError("give either --architecture RESULT.JSON or --network NAME")
    if architecture is None:
        if sample is not None:
            raise PhonebookError("--sample is of a search's result; give --architecture too")
        return published(network or "", in_space=space_named(space) if space else None)
    result = SearchResult.read(architecture)
    if space not in (None, result.space):
        raise PhonebookError(f"{architecture} is of {result.space}; leave --space {space} out")
    if sample is None:
        return result.network()
    if not 1 <= sample <= len(result.samples):
        raise PhonebookError(
            f"--sample is {sample}, but {architecture} has samples 1 to {len(result.samples)}"
        )
    return network_of(
        result.samples[sample - 1].architecture,
        space=space_named(result.space),
        name=f"sample-{sample}",
    )


if __name__ == "__main__":
    main(app)
