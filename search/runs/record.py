"""checkpoint.pt: all that a run has done so far, so that it can go on."""

import pickle
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from contract.errors import PhonebookError
from search.dnas.figures import EpochResult
from search.dnas.selection import Found
from search.files import whole_file
from search.training.figures import FinalEpoch

FORMAT = 2
UNREADABLE = (
    *(OSError, RuntimeError, EOFError, pickle.UnpicklingError),
    *(LookupError, TypeError, ValueError),
)


@dataclass(kw_only=True)
class Record:
    """A run's figures and the state of whichever part it is in.

    `identity` names everything that the figures depend on; a run goes on only under the same.
    """

    identity: dict[str, Any]
    epochs: list[EpochResult] = field(default_factory=list)
    found: Found | None = None
    final_epochs: list[FinalEpoch] = field(default_factory=list)
    search: dict[str, Any] | None = None
    training: dict[str, Any] | None = None

    def write(self, path: Path) -> None:
        """Replace the file: a run that is killed meanwhile leaves the old one.

        Raises:
            PhonebookError: it cannot be written.
        """
        content = {
            "format": FORMAT,
            "identity": self.identity,
            "epochs": [asdict(epoch) for epoch in self.epochs],
            "found": None if self.found is None else self.found.model_dump_json(),
            "final_epochs": [epoch.model_dump() for epoch in self.final_epochs],
            "search": self.search,
            "training": self.training,
        }
        with whole_file(path) as partial:
            torch.save(content, partial)

    @classmethod
    def read(cls, path: Path, *, identity: dict[str, Any]) -> "Record":
        """The record in that file.

        Raises:
            PhonebookError: no readable checkpoint of this version, or one of a run that
                differs; the message names in what.
        """
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
            known = content["format"] == FORMAT
        except UNREADABLE as error:
            raise PhonebookError(
                f"{path} is no checkpoint of a run ({type(error).__name__}); start anew with "
                "--overwrite, or name another --out"
            ) from error
        if not known:
            raise PhonebookError(
                f"{path} is of another version of Phonebook; finish it with that one, or start "
                "anew with --overwrite"
            )
        _refuse_another(path, content["identity"], identity)
        found = content["found"]
        return cls(
            identity=identity,
            epochs=[EpochResult(**epoch) for epoch in content["epochs"]],
            found=None if found is None else Found.model_validate_json(found),
            final_epochs=[FinalEpoch(**epoch) for epoch in content["final_epochs"]],
            search=content["search"],
            training=content["training"],
        )


def _refuse_another(path: Path, theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    differing = [name for name in ours if theirs.get(name) != ours[name]]
    if differing:
        told = "; ".join(f"{name} {theirs.get(name)}, now {ours[name]}" for name in differing)
        raise PhonebookError(
            f"{path} is of another run ({told}); repeat that run's options, or name another --out"
        )
