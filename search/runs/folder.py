"""The folder that a run fills as it goes."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from contract.errors import PhonebookError
from contract.results import PROGRAM, RESULT, WEIGHTS
from contract.tables import LatencyTable

RUNS = Path("runs")
ONNX = "network.onnx"
OF_OTHERS = (PROGRAM, ONNX)  # written beside a result later


def fresh_path(name: str) -> Path:
    """`runs/2026-01-31-235959-pixel-8`, under the working directory."""
    return RUNS / f"{datetime.now():%Y-%m-%d-%H%M%S}-{name}"


class RunFolder:
    """Names every file of a run, and writes those that are written once.

    Raises:
        PhonebookError: the folder holds a run, and neither `overwrite` nor `resume` was said.
    """

    def __init__(
        self,
        path: Path,
        *,
        out: Path | None = None,
        overwrite: bool = False,
        resume: bool = False,
    ) -> None:
        """`out` is what --out named: of several devices each has a folder in it."""
        self.path = path
        self.out = out or path
        self.config = path / "config.json"
        self.table = path / "lut.json"
        self.metrics = path / "metrics.jsonl"
        self.checkpoint = path / "checkpoint.pt"
        self.weights = path / WEIGHTS
        self.result = path / RESULT
        self.report = path / "report.html"
        self.told = path / "search.json"
        if path.exists() and not path.is_dir():
            raise PhonebookError(f"--out {self.out} is a file; name a folder")
        self.resumes = resume and self.checkpoint.exists()
        if overwrite and resume:
            raise PhonebookError("give either --overwrite or --resume, not both")
        if resume and self.result.exists() and not self.resumes:
            raise PhonebookError(
                f"--out {self.out} holds a result, but its {self.checkpoint.name} is gone; name "
                "another folder, or start anew with --overwrite"
            )
        for left, what in (
            (self.result, "a finished run"),
            (self.checkpoint, "an unfinished run"),
        ):
            if left.exists() and not overwrite and not resume:
                raise PhonebookError(
                    f"--out {self.out} holds {what}; name another folder, or add --resume to go "
                    "on with it, or --overwrite to start anew"
                )

    def begin(self, options: dict[str, Any], table: LatencyTable | None = None) -> None:
        """Make the folder, without what an earlier run left, and say what this one does.

        Raises:
            PhonebookError: the folder cannot be made or written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for stale in (
                self.metrics,
                self.checkpoint,
                self.weights,
                self.result,
                self.report,
                self.told,
                *(self.path / name for name in OF_OTHERS),
            ):
                stale.unlink(missing_ok=True)
            self.config.write_text(json.dumps(options, indent=2) + "\n", encoding="utf-8")
            if table is not None:
                self.table.write_text(
                    table.model_dump_json(indent=2, by_alias=True) + "\n", encoding="utf-8"
                )
        except OSError as error:
            raise PhonebookError(f"cannot write to --out {self.out}: {error.strerror}") from error

    def table_used(self) -> LatencyTable:
        """The table that the run in this folder began with.

        Raises:
            PhonebookError: it is missing or broken.
        """
        try:
            return LatencyTable.model_validate_json(self.table.read_bytes())
        except (OSError, ValidationError) as error:
            raise PhonebookError(
                f"--out {self.out} cannot be resumed: its lut.json is missing or broken; "
                "start anew with --overwrite"
            ) from error
