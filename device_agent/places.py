"""Where the agent keeps its files: exported programs (cache) and its journal (state)."""

from pathlib import Path

from platformdirs import user_cache_path, user_state_path

from contract.places import place


def cache_dir() -> Path:
    """Exported programs; may be deleted at any time, then they are exported again."""
    return place("cache", user_cache_path("phonebook"))


def state_dir() -> Path:
    """The journal of sessions and the outbox; deleting it loses what was not yet sent."""
    return place("state", user_state_path("phonebook"))


def journal_path() -> Path:
    """The journal's file. Programs of this computer share it, whatever server they measure for."""
    return state_dir() / "journal-2.db"
