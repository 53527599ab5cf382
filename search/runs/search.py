"""One search from table to measured network, which can be stopped anywhere and resumed."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import torch

from contract.results import SearchResult
from contract.searches import LearntFrom, SearchPlan
from contract.spaces import SearchSpace
from contract.tables import LatencyTable
from search.config import DataConfig, SearchConfig, TrainConfig
from search.console import comparison
from search.data import DataSet
from search.dnas.search import Search
from search.dnas.selection import Found, derive, window
from search.dnas.window import Window
from search.files import write_document
from search.measuring.network import Measure, Subject
from search.networks import write_weights
from search.processes import Stopped
from search.runs.context import RunContext
from search.runs.display import epoch_line, show_result
from search.runs.folder import RunFolder
from search.runs.images import show_unreadable
from search.runs.keeper import Keeper
from search.runs.metrics import Metrics
from search.runs.posting import Posting
from search.runs.record import Record
from search.runs.report import write_report
from search.runs.training import train
from search.runs.versions import versions
from search.supernet.blocks import untrained
from search.supernet.supernet import Supernet
from search.training.from_scratch import accuracy


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """What one run searches, with what, and where it keeps what it finds."""

    target: str  # the table's address, as it was asked for
    space: SearchSpace
    table: LatencyTable
    images: DataSet
    data: DataConfig
    search: SearchConfig
    final: TrainConfig
    folder: RunFolder
    context: RunContext
    preset: str | None = None
    group: UUID | None = None  # of the command's jobs, where it has several
    posting: Posting | None = None  # None: nobody is told

    def plan(self) -> SearchPlan:
        """What the server is told that the run began with."""
        return SearchPlan(
            group=self.group,
            target=self.target,
            device=self.table.device,
            runtime=self.table.runtime,
            space=self.space.name,
            snapshot=self.table.snapshot,
            origin=self.table.origin,
            sources=self.table.sources,
            seed=self.context.machine.seed,
            preset=self.preset,
            epochs=self.search.epochs,
            target_us=self.search.target_us,
            data=LearntFrom(
                name=self.images.name,
                classes=len(self.images.class_names),
                training=len(self.images.train),
                test=len(self.images.test),
            ),
            config={
                **self.identity(),
                **{f"versions.{name}": told for name, told in versions().items()},
            },
            started_at=datetime.now(UTC),
        )

    def identity(self) -> dict[str, Any]:
        """All that the result depends on but the threads, by the names of the options."""
        return {
            "device": self.target,
            "runtime": self.table.runtime.key,
            "space": self.space.name,
            "table": self.table.snapshot,
            "data": self.data.data,
            "classes": self.data.classes,
            "images": len(self.images.train) + len(self.images.test),
            "seed": self.context.machine.seed,
            "processes": self.context.processes.world,
            **asdict(self.search),
            **{f"final.{name}": value for name, value in asdict(self.final).items()},
        }


def check(spec: RunSpec) -> None:
    """See to it that the run can begin: for whoever has other runs to do before it.

    Raises:
        PhonebookError: as `search_and_measure` does before its first step.
    """
    _within_reach(spec)
    if spec.folder.resumes:
        Record.read(spec.folder.checkpoint, identity=spec.identity())


def search_and_measure(spec: RunSpec, *, measure: Measure | None) -> SearchResult:
    """Search, train what was found, then `measure` it (None: leave it unmeasured).

    The same seed, threads and processes on the same machine find the same network, stopped and
    resumed or not.

    Raises:
        IncompleteTable: operators have no row; nothing was trained or written.
        Diverged, Collapsed: the search or the training no longer learns.
        PhonebookError: unsuitable options, or a measurement that failed.
        Stopped: somebody asked for it.
        What was done until then stays, and `resume` goes on with it.
    """
    try:
        result = _search_train_and_measure(spec, measure)
    except BaseException as error:
        if spec.posting is not None:
            spec.posting.end(why=error)
        raise
    if spec.posting is not None:
        spec.posting.end()
    return result


def _search_train_and_measure(spec: RunSpec, measure: Measure | None) -> SearchResult:
    context, folder = spec.context, spec.folder
    supernet, within = _within_reach(spec)
    record = _begin(spec)
    metrics = Metrics(folder.metrics, tensorboard=context.machine.logger == "tensorboard")
    if context.processes.is_first:
        metrics.begin(record.epochs, record.final_epochs)
    context.console.print(
        f"searching {spec.space.name} for {spec.table.title}; results: {folder.path}"
    )
    if spec.posting is not None:
        spec.posting.begin(folder.told, spec.plan, record.epochs)
    keeper = Keeper(
        context=context, folder=folder, record=record, metrics=metrics, posting=spec.posting
    )
    found = record.found or _search(spec, supernet.to(context.processes.device), within, keeper)
    result = _read_finished(spec) or _train_found(spec, found, keeper)
    show_result(context.console, result)
    if spec.posting is not None:
        spec.posting.tell_result(result, table=spec.table, space=spec.space)
    try:
        if context.stop.asked:
            keeper.save_and_explain()
            raise Stopped
        if measure is not None and result.measured_us is None and context.processes.is_first:
            result = _measure(spec, result, measure)
            if spec.posting is not None:
                spec.posting.tell_result(result, table=spec.table, space=spec.space)
    finally:
        if context.processes.is_first:
            write_report(
                folder.report,
                result,
                record.epochs,
                table=spec.table,
                space=spec.space,
            )
            context.console.print(f"report: {folder.report}")
    return result


def _within_reach(spec: RunSpec) -> tuple[Supernet, Window | None]:
    """The super network, untouched, and the networks of it that meet the target."""
    torch.manual_seed(spec.context.machine.seed)  # draws the initial weights
    supernet = Supernet(
        spec.space,
        spec.table,
        recompute=spec.search.checkpointing,
        shares_weights=spec.search.shares_weights,
    )
    target_us = spec.search.target_us
    return supernet, None if target_us is None else window(supernet, target_us)


def _begin(spec: RunSpec) -> Record:
    identity = spec.identity()
    if spec.folder.resumes:
        return Record.read(spec.folder.checkpoint, identity=identity)
    if spec.context.processes.is_first:
        options = {
            **identity,
            "origin": spec.table.origin,
            "sources": [source.model_dump(mode="json") for source in spec.table.sources],
            "class_names": spec.images.class_names,
            "versions": versions(),
        }
        spec.folder.begin(options, spec.table)
    return Record(identity=identity)


def _search(spec: RunSpec, supernet: Supernet, within: Window | None, keeper: Keeper) -> Found:
    """Search, and derive what theta then says."""
    context, config, record = spec.context, spec.search, keeper.record
    weight_split, theta_split = spec.images.train.split(
        config.weights_share, seed=context.machine.seed
    )
    per_epoch = weight_split.batch_count(config.batch_size) + theta_split.batch_count(
        config.batch_size
    )
    done = len(record.epochs) * per_epoch
    if record.search is not None:
        done += len(record.search["place"]["of_weights"] + record.search["place"]["of_theta"])
    with context.progress("searching", steps=config.epochs * per_epoch, done=done) as on_step:
        search = Search(
            supernet,
            weight_split=weight_split,
            theta_split=theta_split,
            config=config,
            seed=context.machine.seed,
            processes=context.processes,
            autocast=torch.bfloat16 if config.precision == "bfloat16" else None,
            on_step=on_step,
        )
        if record.search is not None:
            search.load(record.search)
            if record.epochs:
                search.check(record.epochs[-1])
        try:
            for epoch in search.epochs():
                record.epochs.append(epoch)
                record.search = search.state()
                keeper.add(epoch)
                keeper.save()
                keeper.tell(epoch)
                context.console.print(epoch_line(epoch, epochs=config.epochs))
        except Stopped:
            record.search = search.state()
            keeper.save_and_explain()
            raise
    record.found = derive(
        supernet,
        spec.space,
        spec.table,
        within=within,
        samples=config.samples,
        generator=search.generator,
    )
    record.search = None  # its work is done, and the checkpoint smaller without it
    keeper.save()
    return record.found


def _read_finished(spec: RunSpec) -> SearchResult | None:
    """The result that a resumed run already has; what is left is to measure it."""
    exists = spec.folder.resumes and spec.folder.result.exists()
    return SearchResult.read(spec.folder.result) if exists else None


def _train_found(spec: RunSpec, found: Found, keeper: Keeper) -> SearchResult:
    """Train the network found from scratch, and keep its weights and the result."""
    context = spec.context
    network = found.network(spec.space)
    torch.manual_seed(context.machine.seed)
    module = untrained(network).to(context.processes.device)
    train(
        module,
        spec.images.train,
        config=spec.final,
        keeper=keeper,
        what="training the network found",
    )
    result = SearchResult(
        device=spec.table.device,
        runtime=spec.table.runtime,
        origin=spec.table.origin,
        sources=spec.table.sources,
        space=spec.space,
        seed=context.machine.seed,
        architecture=found.architecture,
        target_us=spec.search.target_us,
        predicted_us=found.predicted_us,
        measured_us=None,
        macs=network.macs(),
        params=network.params(),
        accuracy=accuracy(
            module, spec.images.test, batch_size=spec.final.batch_size, processes=context.processes
        ),
        table_snapshot=spec.table.snapshot,
        layers=found.layers,
        samples=found.samples,
    )
    show_unreadable(context, spec.images)
    if context.processes.is_first:
        write_weights(spec.folder.weights, module, network)
        write_document(spec.folder.result, result)
    return result


def _measure(spec: RunSpec, result: SearchResult, measure: Measure) -> SearchResult:
    """The result with the device's own figure, rewritten to its file."""
    console = spec.context.console
    console.print(f"measuring the network found on {result.device}")
    found = measure(
        Subject(
            network=result.network(),
            device=result.device,
            runtime=result.runtime,
            words=("--result", str(spec.folder.result)),
        )
    )
    at = found.at_level_of(spec.table)
    figures = {
        "measured_us": found.latency_us,
        "measured_low_us": found.low_us,
        "measured_high_us": found.high_us,
        "measured_by": found.by,
        "measured_at_level": at,
    }
    measured = result.evolve(**figures)
    write_document(spec.folder.result, measured)
    console.print(
        comparison(
            result.predicted_us, found.latency_us, at_level_us=at.latency_us if at else None
        )
    )
    console.print(found.words)
    return measured
