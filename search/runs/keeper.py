"""Keeps what a run has done: in its folder, and told to the server."""

from dataclasses import dataclass

from search.dnas.figures import EpochResult
from search.runs.context import RunContext
from search.runs.folder import RunFolder
from search.runs.metrics import Metrics
from search.runs.posting import Posting
from search.runs.record import Record
from search.training.figures import FinalEpoch


@dataclass(frozen=True, kw_only=True)
class Keeper:
    """Writes down what a run has done; the first process alone."""

    context: RunContext
    folder: RunFolder
    record: Record
    metrics: Metrics
    posting: Posting | None = None

    def save(self) -> None:
        if self.context.processes.is_first:
            self.record.write(self.folder.checkpoint)

    def add(self, epoch: EpochResult | FinalEpoch) -> None:
        if self.context.processes.is_first:
            self.metrics.add(epoch)

    def tell(self, epoch: EpochResult) -> None:
        """Let the server know, once the epoch is saved: what is told is never computed again."""
        if self.posting is not None:
            self.posting.add_epoch(epoch)

    def save_and_explain(self) -> None:
        self.save()
        self.context.console.print(
            f"stopped; the same command goes on with --out {self.folder.out} --resume, "
            "without --overwrite"
        )
