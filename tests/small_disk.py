"""A real disk that is small or cannot be written, for one command that sees it alone (Linux)."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

LIMIT_S = 120


def on_small_disk(
    folder: Path,
    command: list[str],
    *,
    size: str = "256k",
    is_full: bool = False,
    is_read_only: bool = False,
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run the command where a file system of that size is mounted on `folder`.

    Without the right to mount one: skip on a person's computer, fail in CI.
    """
    _must_mount()
    steps = [f"mount -t tmpfs -o size={size} none '{folder}'"]
    if is_full:
        steps.append(f"{{ cat /dev/zero > '{folder}/filled' 2> /dev/null || true; }}")
    if is_read_only:
        steps.append(f"mount -o remount,ro '{folder}'")
    return subprocess.run(
        [*_UNSHARED, "sh", "-c", f'{" && ".join(steps)} && exec "$@"', "sh", *command],
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


_UNSHARED = ("unshare", "--map-root-user", "--mount")


def _must_mount() -> None:
    can = (
        sys.platform == "linux"
        and shutil.which("unshare") is not None
        and subprocess.run([*_UNSHARED, "true"], capture_output=True, check=False).returncode == 0
    )
    if not can:
        missing = "nothing may be mounted here, which takes Linux and user namespaces"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
