"""A network's training as part of a run, or as a run of its own; stopped anywhere and resumed."""

from dataclasses import asdict

import torch
from torch import nn

from contract.networks import Network
from contract.results import TrainingResult
from search.config import DataConfig, MachineConfig, TrainConfig
from search.data import Images
from search.files import write_document
from search.networks import write_weights
from search.processes import Stopped
from search.runs.context import open_run
from search.runs.folder import RunFolder
from search.runs.images import load_images, show_unreadable
from search.runs.keeper import Keeper
from search.runs.metrics import Metrics
from search.runs.record import Record
from search.runs.versions import versions
from search.supernet.blocks import untrained
from search.training.from_scratch import Training, accuracy


def train_alone(
    network: Network,
    folder: RunFolder,
    *,
    config: TrainConfig,
    data: DataConfig,
    machine: MachineConfig,
) -> None:
    """Train the network and keep its weights and its result in the folder.

    Raises:
        PhonebookError: unsuitable options, or images that cannot be found.
        Diverged: the training no longer learns.
        Stopped: somebody asked for it; what was done until then stays.
    """
    with open_run(machine) as context:
        context.processes.require_equal_shares("batch-size", config.batch_size)
        images = load_images(data, network.space, context)
        identity = {
            "space": network.space.name,
            "architecture": list(network.blocks),
            "head": network.head_channels,
            "data": data.data,
            "classes": data.classes,
            "images": len(images.train) + len(images.test),
            "seed": machine.seed,
            "processes": context.processes.world,
            **asdict(config),
        }
        if folder.resumes:
            record = Record.read(folder.checkpoint, identity=identity)
        else:
            record = Record(identity=identity)
            if context.processes.is_first:
                options = {**identity, "class_names": images.class_names}
                folder.begin({**options, "versions": versions()})
        metrics = Metrics(folder.metrics, tensorboard=machine.logger == "tensorboard")
        if context.processes.is_first:
            metrics.begin(record.epochs, record.final_epochs)
        context.console.print(
            f"training {network.name} of {network.space.name}; results: {folder.path}"
        )
        torch.manual_seed(machine.seed)
        module = untrained(network).to(context.processes.device)
        keeper = Keeper(context=context, folder=folder, record=record, metrics=metrics)
        train(module, images.train, config=config, keeper=keeper, what=f"training {network.name}")
        result = TrainingResult(
            space=network.space,
            architecture=network.blocks,
            head_channels=network.head_channels,
            macs=network.macs(),
            params=network.params(),
            accuracy=accuracy(
                module, images.test, batch_size=config.batch_size, processes=context.processes
            ),
        )
        show_unreadable(context, images)
        if context.processes.is_first:
            write_weights(folder.weights, module, network)
            write_document(folder.result, result)
        context.console.print(f"accuracy {result.accuracy:.2%}; weights: {folder.weights}")


def train(
    module: nn.Module,
    images: Images,
    *,
    config: TrainConfig,
    keeper: Keeper,
    what: str,
) -> None:
    """Train the module from scratch, or go on where the record left off."""
    context, record = keeper.context, keeper.record
    steps = config.epochs * images.batch_count(config.batch_size)
    done = 0
    if record.training is not None:
        done = record.training["epoch"] * images.batch_count(config.batch_size)
        done += len(record.training["losses"])
    with context.progress(what, steps=steps, done=done) as on_step:
        training = Training(
            module,
            images,
            config=config,
            seed=context.machine.seed,
            processes=context.processes,
            on_step=on_step,
        )
        if record.training is not None:
            training.load(record.training)
        try:
            for epoch in training.epochs():
                record.final_epochs.append(epoch)
                record.training = training.state()
                keeper.add(epoch)
                keeper.save()
        except Stopped:
            record.training = training.state()
            keeper.save_and_explain()
            raise
