"""metrics.jsonl: one line per epoch, for people, programs and, if wished, TensorBoard."""

import json
import shutil
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from contract import commands
from contract.errors import PhonebookError
from search.dnas.figures import EpochResult
from search.files import writing
from search.training.figures import FinalEpoch


class Metrics:
    """Writes each epoch's figures as it ends.

    Raises:
        PhonebookError: TensorBoard is wished for and not installed.
    """

    def __init__(self, path: Path, *, tensorboard: bool) -> None:
        self.path = path
        self._boards = path.with_name("tensorboard")
        self._writer = _summary_writer() if tensorboard else None
        self._board: Any = None

    def begin(self, epochs: Iterable[EpochResult], final_epochs: Iterable[FinalEpoch]) -> None:
        """Leave just these in the file: what a resumed run had lost is computed again."""
        self.path.unlink(missing_ok=True)
        if self._writer is not None:
            shutil.rmtree(self._boards, ignore_errors=True)
            self._board = self._writer(self._boards)
        for epoch in epochs:
            self.add(epoch)
        for final in final_epochs:
            self.add(final)

    def add(self, epoch: EpochResult | FinalEpoch) -> None:
        line: dict[str, Any] = (
            {"phase": "final", **epoch.model_dump()}
            if isinstance(epoch, FinalEpoch)
            else {"phase": "search", **asdict(epoch)}
        )
        # Closed after each line: whatever ends the run, the epochs so far are on disk.
        with writing(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        if self._board is not None:
            for name, value in line.items():
                if isinstance(value, int | float):
                    self._board.add_scalar(f"{line['phase']}/{name}", value, epoch.epoch)
            self._board.flush()


def _summary_writer() -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise PhonebookError(
            "--logger tensorboard needs TensorBoard; in the checkout run "
            f"`{commands.install('tensorboard')}`"
        ) from error
    return SummaryWriter
