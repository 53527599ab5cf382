"""One search from table to measured network, which can be stopped anywhere and resumed."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import torch

from contract.searches import LearntFrom, SearchPlan
from contract.spaces import SearchSpace
from contract.tables import LatencyTable
from search.bench import Bench
from search.blocks import untrained
from search.config import DataConfig, SearchConfig, TrainConfig
from search.data import DataSet, Images, load
from search.derive import Found, derive, window
from search.dnas import EpochResult, Search, Stopped
from search.folder import RunFolder
from search.measure import Measure, Subject
from search.metrics import Metrics
from search.networks import write_weights
from search.posting import Posting
from search.record import Record
from search.report import versions, write_report
from search.result import SearchResult
from search.screen import comparison, epoch_line, show_result, unreadable_lines
from search.supernet import Supernet
from search.training import FinalEpoch, Training, accuracy
from search.window import Window


@dataclass(frozen=True, kw_only=True)
class Job:
    """What one run searches, with what, and where it keeps what it finds."""

    target: str  # DEVICE or DEVICE@RUNTIME, as it was asked for
    space: SearchSpace
    table: LatencyTable
    images: DataSet
    data: DataConfig
    search: SearchConfig
    final: TrainConfig
    folder: RunFolder
    bench: Bench
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
            seed=self.bench.machine.seed,
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
            "seed": self.bench.machine.seed,
            "processes": self.bench.ranks.world,
            **asdict(self.search),
            **{f"final.{name}": value for name, value in asdict(self.final).items()},
        }


def search_and_measure(job: Job, *, measure: Measure | None) -> SearchResult:
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
        result = _searched_and_measured(job, measure)
    except BaseException as error:
        if job.posting is not None:
            job.posting.end(why=error)
        raise
    if job.posting is not None:
        job.posting.end()
    return result


def _searched_and_measured(job: Job, measure: Measure | None) -> SearchResult:
    bench, folder = job.bench, job.folder
    torch.manual_seed(bench.machine.seed)  # draws the initial weights
    supernet = Supernet(
        job.space,
        job.table,
        recompute=job.search.checkpointing,
        shares_weights=job.search.shares_weights,
    )
    target_us = job.search.target_us
    within = None if target_us is None else window(supernet, target_us)
    record = _begun(job)
    metrics = Metrics(folder.metrics, tensorboard=bench.machine.logger == "tensorboard")
    if bench.ranks.is_first:
        metrics.begin(record.epochs, record.final_epochs)
    bench.console.print(
        f"searching {job.space.name} for {job.table.device} under {job.table.runtime.key}; "
        f"results: {folder.path}"
    )
    if job.posting is not None:
        job.posting.begin(folder.known, job.plan, record.epochs)
    keeper = Keeper(
        bench=bench, folder=folder, record=record, metrics=metrics, posting=job.posting
    )
    found = record.found or _found(job, supernet.to(bench.ranks.device), within, keeper)
    result = _finished(job) or _trained(job, found, keeper)
    show_result(bench.console, result)
    if job.posting is not None:
        job.posting.found(result, table=job.table, space=job.space)
    try:
        if bench.stop.asked:
            keeper.stopped()
            raise Stopped
        if measure is not None and result.measured_us is None and bench.ranks.is_first:
            result = _measured(job, result, measure)
            if job.posting is not None:
                job.posting.found(result, table=job.table, space=job.space)
    finally:
        if bench.ranks.is_first:
            write_report(
                folder.report,
                result,
                record.epochs,
                table=job.table,
                space=job.space,
            )
            bench.console.print(f"report: {folder.report}")
    return result


@dataclass(frozen=True, kw_only=True)
class Keeper:
    """Writes down what a run has done; the first process alone."""

    bench: Bench
    folder: RunFolder
    record: Record
    metrics: Metrics
    posting: Posting | None = None

    def save(self) -> None:
        if self.bench.ranks.is_first:
            self.record.write(self.folder.checkpoint)

    def add(self, epoch: EpochResult | FinalEpoch) -> None:
        if self.bench.ranks.is_first:
            self.metrics.add(epoch)

    def tell(self, epoch: EpochResult) -> None:
        """Let the server know, once the epoch is saved: what is told is never computed again."""
        if self.posting is not None:
            self.posting.add(epoch)

    def stopped(self) -> None:
        self.save()
        self.bench.console.print(
            f"stopped; the same command goes on with --out {self.folder.out} --resume, "
            "without --overwrite"
        )


def train(
    module: torch.nn.Module,
    images: Images,
    *,
    config: TrainConfig,
    keeper: Keeper,
    what: str,
) -> None:
    """Train the module from scratch, or go on where the record left off."""
    bench, record = keeper.bench, keeper.record
    steps = config.epochs * images.steps(config.batch_size)
    done = 0
    if record.training is not None:
        done = record.training["epoch"] * images.steps(config.batch_size)
        done += len(record.training["losses"])
    with bench.progress(what, steps=steps, done=done) as on_step:
        training = Training(
            module,
            images,
            config=config,
            seed=bench.machine.seed,
            ranks=bench.ranks,
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
            keeper.stopped()
            raise


def loaded(data: DataConfig, space: SearchSpace, bench: Bench) -> DataSet:
    """The images, fit for the space; says how many there are.

    Raises:
        PhonebookError: they cannot be found or do not suit the space.
    """
    images = load(
        data.data,
        resolution=space.resolution,
        most_classes=space.classes,
        classes=data.classes,
        seed=bench.machine.seed,
        workers=data.workers,
    )
    bench.console.print(
        f"{images.name}: {len(images.train)} images to learn from, {len(images.test)} to be "
        f"judged on, {len(images.class_names)} classes"
    )
    return images


def show_unreadable(bench: Bench, images: DataSet) -> None:
    """How many pictures no process could read, and the first of them by name."""
    faults = bench.ranks.united({**images.train.unreadable(), **images.test.unreadable()})
    for line in unreadable_lines(faults):
        bench.console.print(line)


def _begun(job: Job) -> Record:
    identity = job.identity()
    if job.folder.resumes:
        return Record.read(job.folder.checkpoint, identity=identity)
    if job.bench.ranks.is_first:
        options = {**identity, "class_names": job.images.class_names, "versions": versions()}
        job.folder.begin(options, job.table)
    return Record(identity=identity)


def _found(job: Job, supernet: Supernet, within: Window | None, keeper: Keeper) -> Found:
    """Search, and derive what theta then says."""
    bench, config, record = job.bench, job.search, keeper.record
    weight_split, theta_split = job.images.train.split(
        config.weights_share, seed=bench.machine.seed
    )
    per_epoch = weight_split.steps(config.batch_size) + theta_split.steps(config.batch_size)
    done = len(record.epochs) * per_epoch
    if record.search is not None:
        done += len(record.search["place"]["of_weights"] + record.search["place"]["of_theta"])
    with bench.progress("searching", steps=config.epochs * per_epoch, done=done) as on_step:
        search = Search(
            supernet,
            weight_split=weight_split,
            theta_split=theta_split,
            config=config,
            seed=bench.machine.seed,
            ranks=bench.ranks,
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
                bench.console.print(epoch_line(epoch, epochs=config.epochs))
        except Stopped:
            record.search = search.state()
            keeper.stopped()
            raise
    record.found = derive(
        supernet,
        job.space,
        job.table,
        within=within,
        samples=config.samples,
        generator=search.generator,
    )
    record.search = None  # its work is done, and the checkpoint smaller without it
    keeper.save()
    return record.found


def _finished(job: Job) -> SearchResult | None:
    """The result that a resumed run already has; what is left is to measure it."""
    exists = job.folder.resumes and job.folder.result.exists()
    return SearchResult.read(job.folder.result) if exists else None


def _trained(job: Job, found: Found, keeper: Keeper) -> SearchResult:
    """Train the network found from scratch, and keep its weights and the result."""
    bench = job.bench
    network = found.network(job.space)
    torch.manual_seed(bench.machine.seed)
    module = untrained(network).to(bench.ranks.device)
    train(
        module,
        job.images.train,
        config=job.final,
        keeper=keeper,
        what="training the network found",
    )
    result = SearchResult(
        device=job.table.device,
        runtime=job.table.runtime,
        space=job.space.name,
        seed=bench.machine.seed,
        architecture=found.architecture,
        target_us=job.search.target_us,
        predicted_us=found.predicted_us,
        measured_us=None,
        macs=network.macs(),
        params=network.params(),
        accuracy=accuracy(
            module, job.images.test, batch_size=job.final.batch_size, ranks=bench.ranks
        ),
        table_snapshot=job.table.snapshot,
        layers=found.layers,
        samples=found.samples,
    )
    show_unreadable(bench, job.images)
    if bench.ranks.is_first:
        write_weights(job.folder.weights, module, network)
        result.write(job.folder.result)
    return result


def _measured(job: Job, result: SearchResult, measure: Measure) -> SearchResult:
    """The result with the device's own figure, rewritten to its file."""
    console = job.bench.console
    console.print(f"measuring the network found on {result.device}")
    found = measure(
        Subject(
            network=result.network(),
            device=result.device,
            runtime=result.runtime,
            words=("--result", str(job.folder.result)),
        )
    )
    figures = {
        "measured_us": found.latency_us,
        "measured_low_us": found.low_us,
        "measured_high_us": found.high_us,
        "measured_by": found.by,
    }
    measured = result.evolve(**figures)
    measured.write(job.folder.result)
    console.print(comparison(result.predicted_us, found.latency_us))
    console.print(f"measured by {found.by}")
    return measured
