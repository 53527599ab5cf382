"""The bundle that the cross compiler makes: whole, with nothing to spare, alike wherever built."""

import tarfile
from pathlib import Path

import pytest

from device_agent.devices.android import bundle
from device_agent.devices.android.bundle import Bundle
from device_agent.places import cache_dir
from device_agent.runner.elf import AARCH64, read_elf

pytestmark = pytest.mark.android

RUNNER, LOADER = "phonebook-runner", "ld-linux-aarch64.so.1"


def test_all_that_its_files_need_is_in_it_and_nothing_else(built: Bundle) -> None:
    elves = {file.name: read_elf(built.path / file) for file in built.files}
    assert {elf.machine for elf in elves.values()} == {AARCH64}
    needed = {name for elf in elves.values() for name in elf.needed}
    assert elves.keys() == needed | {RUNNER, LOADER}
    assert {"libexecutorch.so", "libexecutorch_backend_xnnpack.so", "libc.so.6"} <= needed
    assert {str(file.parent) for file in built.files} == {".", "lib"}


def test_the_archive_holds_the_folder(built: Bundle) -> None:
    with tarfile.open(built.archive) as archive:
        members = {
            Path(member.name): content.read()
            for member in archive
            if (content := archive.extractfile(member)) is not None
        }
        assert {member.mode for member in archive} == {0o755}
    assert members == {file: (built.path / file).read_bytes() for file in built.files}


def test_it_is_the_same_wherever_it_is_built(built: Bundle, tmp_path: Path) -> None:
    (tmp_path / "executorch").symlink_to(cache_dir() / "executorch")
    again = bundle.build(tmp_path)
    assert again.path != built.path
    assert again.sha256 == built.sha256
    assert again.archive.read_bytes() == built.archive.read_bytes()
    made = {path: path.stat().st_mtime_ns for path in again.path.rglob("*")}
    assert bundle.build(tmp_path) == again
    assert {path: path.stat().st_mtime_ns for path in again.path.rglob("*")} == made
