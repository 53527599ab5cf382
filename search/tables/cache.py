"""Tables that a server once served, kept on this computer: what --offline reads."""

import json
import os
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from platformdirs import user_cache_path
from pydantic import AwareDatetime, ValidationError

from contract.errors import PhonebookError
from contract.places import place
from contract.sessions import Origin
from contract.tables import LatencyTable
from contract.values import Value

_OF_ALL = {"server", "device", "space"}  # what the tables of a device have in common


class Question(Value):
    """What a server was asked: `runtime` is a key, or null for the device's default one.

    Without an origin the device's measured rows were asked for, and where nothing was measured
    on it, imported ones.
    """

    server: str
    device: str
    runtime: str | None
    space: str
    origin: Origin | None = None
    snapshot: str | None = None


class CachedTable(Value):
    """The newest answer to a question, and the server's name for that very answer."""

    question: Question
    tag: str
    fetched_at: AwareDatetime
    table: LatencyTable

    @property
    def described(self) -> str:
        """Which table it is, for a person."""
        return (
            f"the table of {self.table.title} for "
            f"{self.question.space} that was kept on {_people_time(self.fetched_at)} "
            f"(snapshot {self.table.snapshot})"
        )


class TableCache:
    """A file per question in the cache folder; any of them may be deleted at any time."""

    @property
    def folder(self) -> Path:
        """Raises OSError or PhonebookError where it cannot be made."""
        found = place("cache", user_cache_path("phonebook")) / "tables"
        found.mkdir(exist_ok=True)
        return found

    def find(self, question: Question) -> CachedTable | None:
        """The answer kept, if it is whole."""
        try:
            return _read(self._path(question))
        except (OSError, PhonebookError):
            return None

    def others(self, question: Question) -> list[CachedTable]:
        """What is kept of the question's server, device and space, whichever table."""
        try:
            read = [_read(path) for path in sorted(self.folder.glob("*.json"))]
        except (OSError, PhonebookError):
            return []
        wanted = question.model_dump(include=_OF_ALL)
        return [
            kept
            for kept in read
            if kept is not None and kept.question.model_dump(include=_OF_ALL) == wanted
        ]

    def broken(self) -> list[Path]:
        """Files that are not as they were written."""
        try:
            return [path for path in sorted(self.folder.glob("*.json")) if _read(path) is None]
        except (OSError, PhonebookError):
            return []

    def keep(self, kept: CachedTable) -> None:
        """Replace the answer to that question.

        Raises:
            OSError, PhonebookError: it cannot be written; the one before stays.
        """
        path = self._path(kept.question)
        body = kept.model_dump_json(by_alias=True)
        partial = path.with_suffix(f".{os.getpid()}.partial")
        try:
            partial.write_text(f"{_digest(body)}\n{body}", encoding="utf-8")
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

    def _path(self, question: Question) -> Path:
        named = json.dumps(question.model_dump(), sort_keys=True)
        return self.folder / f"{_digest(named)[:32]}.json"


def _read(path: Path) -> CachedTable | None:
    """None if it is not there or not as it was written."""
    try:
        digest, _, body = path.read_text(encoding="utf-8").partition("\n")
        return CachedTable.model_validate_json(body) if digest == _digest(body) else None
    except (FileNotFoundError, UnicodeDecodeError, ValidationError):
        return None


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _people_time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
