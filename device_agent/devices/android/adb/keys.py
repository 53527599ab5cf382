"""The RSA keys by which phones know this computer."""

import os
from pathlib import Path

from adb_shell.auth.keygen import keygen
from adb_shell.auth.sign_pythonrsa import PythonRSASigner

from device_agent.places import state_dir

_OFFICIAL = Path("~/.android/adbkey")


def signers() -> list[PythonRSASigner]:
    """The official adb's key where this person has one, which a phone may know already, and
    then our own, which is made now if there is none. A phone is asked to accept the first."""
    candidates = [_OFFICIAL.expanduser()]
    if not _readable(candidates[0]):
        candidates = [_own_key()]
    return [PythonRSASigner(_public(key).read_text(), key.read_text()) for key in candidates]


def _own_key() -> Path:
    folder = state_dir() / "adb"
    folder.mkdir(mode=0o700, exist_ok=True)
    key = folder / "adbkey"
    if not _readable(key):
        keygen(str(key))
        key.chmod(0o600)
    return key


def _readable(key: Path) -> bool:
    return all(os.access(path, os.R_OK) for path in (key, _public(key)))


def _public(key: Path) -> Path:
    return key.with_name(f"{key.name}.pub")
