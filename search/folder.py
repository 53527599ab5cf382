"""The folder that a run fills as it goes."""

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from contract.errors import PhonebookError
from contract.tables import LatencyTable
from search.final import FinalEpoch
from search.train import EpochResult

RUNS = Path("runs")


class RunFolder:
    """Names every file of a run, and writes those that grow or are written once.

    Raises:
        PhonebookError: the folder holds a finished run and may not be overwritten.
    """

    def __init__(self, path: Path, *, overwrite: bool = False) -> None:
        self.path = path
        self.config = path / "config.json"
        self.table = path / "lut.json"
        self.metrics = path / "metrics.jsonl"
        self.weights = path / "weights.safetensors"
        self.result = path / "result.json"
        self.report = path / "report.html"
        if path.exists() and not path.is_dir():
            raise PhonebookError(f"--out {path} is a file; name a folder")
        if self.result.exists() and not overwrite:
            raise PhonebookError(
                f"--out {path} holds a finished run; name another folder, or add --overwrite"
            )

    @classmethod
    def fresh(cls, device: str, *, now: datetime) -> "RunFolder":
        """`runs/2026-01-31-235959-pixel-8`, under the working directory."""
        return cls(RUNS / f"{now:%Y-%m-%d-%H%M%S}-{device}")

    def begin(self, options: dict[str, Any], table: LatencyTable) -> None:
        """Make the folder, without what an earlier run left, and say what this one does.

        Raises:
            PhonebookError: the folder cannot be made or written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for stale in (self.metrics, self.weights, self.result, self.report):
                stale.unlink(missing_ok=True)
            self.config.write_text(json.dumps(options, indent=2) + "\n", encoding="utf-8")
            self.table.write_text(
                table.model_dump_json(indent=2, by_alias=True) + "\n", encoding="utf-8"
            )
        except OSError as error:
            raise PhonebookError(f"cannot write to --out {self.path}: {error.strerror}") from error

    def add_search_epoch(self, epoch: EpochResult) -> None:
        self._add({"phase": "search", **asdict(epoch)})

    def add_final_epoch(self, epoch: FinalEpoch) -> None:
        self._add({"phase": "final", **epoch.model_dump()})

    def _add(self, line: dict[str, Any]) -> None:
        # Closed after each line: whatever ends the run, the epochs so far are on disk.
        with self.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
