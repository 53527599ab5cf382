"""Where the agent keeps its files: exported programs (cache) and its journal (state)."""

import os
from pathlib import Path

from platformdirs import user_cache_path, user_state_path

HOME_VARIABLE = "PHONEBOOK_HOME"


def cache_dir() -> Path:
    """Exported programs; may be deleted at any time, then they are exported again."""
    return _place("cache", user_cache_path("phonebook"))


def state_dir() -> Path:
    """The journal of sessions and the outbox; deleting it loses what was not yet sent."""
    return _place("state", user_state_path("phonebook"))


def _place(name: str, default: Path) -> Path:
    home = os.environ.get(HOME_VARIABLE)
    place = Path(home).absolute() / name if home else default
    place.mkdir(parents=True, exist_ok=True)
    return place
