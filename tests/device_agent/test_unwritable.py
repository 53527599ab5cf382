"""Folders that cannot be written and names that no device can have: one line, and exit code 2."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.small_disk import on_small_disk

NOBODY = "http://127.0.0.1:9"
AGENTS = [
    ["device_agent.serve", "--once", "--server", NOBODY],
    ["device_agent.outbox", "--list", "--server", NOBODY],
    ["device_agent.run", "--device", "host", "--runner", "python", "--server", NOBODY],
]


@pytest.mark.parametrize("command", AGENTS, ids=lambda command: command[0])
@pytest.mark.parametrize("is_full", [False, True], ids=["read-only", "full"])
def test_a_home_that_cannot_be_written_is_told_in_one_line(
    tmp_path: Path, command: list[str], is_full: bool
) -> None:
    done = on_small_disk(
        tmp_path,
        [sys.executable, "-m", *command],
        is_full=is_full,
        is_read_only=not is_full,
        environment={"PHONEBOOK_HOME": str(tmp_path / "home")},
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert done.stderr.startswith("error: ")
    assert str(tmp_path / "home") in done.stderr


@pytest.mark.parametrize("name", ["Lab-Xeon", "a" * 70, "a/b", ""])
@pytest.mark.parametrize("command", ["device_agent.serve", "device_agent.run --device host"])
def test_a_name_that_no_device_can_have_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, name: str
) -> None:
    monkeypatch.setenv("PHONEBOOK_HOME", str(tmp_path))
    words = ["-m", *command.split(), "--name", name, "--server", NOBODY]
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert f"--name {name!r} cannot name a device" in done.stderr


def test_a_reader_who_has_enough_ends_a_command_without_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHONEBOOK_HOME", str(tmp_path))
    words = f"{sys.executable} -m device_agent.outbox --list --server {NOBODY}"
    done = subprocess.run(
        ["sh", "-c", f"{{ {words}; echo $? >&2; }} | true"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr
