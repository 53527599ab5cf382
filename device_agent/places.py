"""Where the agent keeps its files: exported programs (cache) and its journal (state)."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from platformdirs import user_cache_path, user_state_path

from contract.places import place

LEAST_FREE_BYTES = 2**20  # a program's output and its events are smaller


def cache_dir() -> Path:
    """Exported programs; may be deleted at any time, then they are exported again."""
    return place("cache", user_cache_path("phonebook"))


def state_dir() -> Path:
    """The journal of sessions and the outbox; deleting it loses what was not yet sent."""
    return place("state", user_state_path("phonebook"))


def journal_path() -> Path:
    """The journal's file. Programs of this computer share it, whatever server they measure for."""
    return state_dir() / "journal-2.db"


def full_folder(folders: Iterable[Path]) -> Path | None:
    """The first of the folders whose disk has no room, if one has none."""
    for folder in folders:
        if shutil.disk_usage(folder).free < LEAST_FREE_BYTES:
            return folder
    return None
