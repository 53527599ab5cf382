"""The phone's bundle as far as it goes without a cross compiler; `tests/android` has the rest."""

import struct
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

from contract.errors import PhonebookError
from contract.places import HOME_VARIABLE
from device_agent.devices.android.bundle import adopt, build, read_adopted
from device_agent.runner.build import NativeRunnerUnavailable, native_runner
from device_agent.runner.elf import AARCH64, read_elf
from device_agent.runner.wheel import SHA256, aarch64_executorch

X86_64 = 62


def elf(*needed: str, machine: int = AARCH64, note: bytes = b"Android") -> bytes:
    """The headers of a program for that machine, and nothing that would run."""
    strings = b"\0" + b"".join(name.encode() + b"\0" for name in needed)
    offsets = [strings.index(name.encode() + b"\0") for name in needed]
    notes = struct.pack("<III", len(note) + 1, 4, 1) + note.ljust(8, b"\0") + bytes(4)
    tables_at = 64 + 3 * 56
    notes_at = tables_at + len(strings)
    dynamic_at = notes_at + len(notes)
    dynamic = b"".join(struct.pack("<qQ", 1, offset) for offset in offsets)
    dynamic += struct.pack("<qQqQ", 5, 0x1000 + tables_at, 0, 0)
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        *(b"\x7fELF\x02\x01\x01", 3, machine, 1, 0, 64, 0, 0, 64, 56, 3, 0, 0, 0),
    )
    segments = (
        (1, 0, 0x1000, dynamic_at + len(dynamic)),
        (2, dynamic_at, 0x1000 + dynamic_at, len(dynamic)),
        (4, notes_at, 0x1000 + notes_at, len(notes)),
    )
    table = b"".join(
        struct.pack("<IIQQQQQQ", kind, 4, offset, address, address, size, size, 8)
        for kind, offset, address, size in segments
    )
    return header + table + strings + notes + dynamic


UNMAPPED = elf("libx.so").replace(struct.pack("<qQ", 5, 0x1000 + 64 + 3 * 56), bytes(16))


def test_the_headers_of_a_real_program_are_read() -> None:
    found = read_elf(native_runner())
    assert "libexecutorch.so" in found.needed
    assert found.loader is not None
    assert found.loader.startswith("/lib")
    assert not found.is_android


def test_the_aarch64_wheel_of_the_installed_executorch_is_known() -> None:
    assert version("executorch") in SHA256


def test_another_wheel_of_that_name_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = version("executorch")
    about = f"executorch-{installed}.dist-info"
    tag = "cp311-cp311-manylinux_2_28_aarch64"
    with zipfile.ZipFile(tmp_path / f"executorch-{installed}-{tag}.whl", "w") as wheel:
        wheel.writestr(
            f"{about}/METADATA",
            f"Metadata-Version: 2.1\nName: executorch\nVersion: {installed}\n",
        )
        wheel.writestr(f"{about}/WHEEL", f"Wheel-Version: 1.0\nTag: {tag}\n")
        wheel.writestr(f"{about}/RECORD", "")
        wheel.writestr("executorch/lib/libexecutorch.so", b"something else")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    cache = tmp_path / "cache"
    with pytest.raises(NativeRunnerUnavailable, match="not the wheel known to Phonebook"):
        aarch64_executorch(cache)
    assert [path.suffix for path in (cache / "executorch").iterdir()] == [".lock"]


def test_without_the_wheel_pip_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(
        NativeRunnerUnavailable, match=r"could not download .* No matching distribution"
    ):
        aarch64_executorch(tmp_path / "cache")


def test_without_the_cross_compiler_the_reason_names_the_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(
        NativeRunnerUnavailable,
        match=r"for phones needs cmake .* apt-get install cmake g\+\+-aarch64-linux-gnu$",
    ):
        build(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [elf(machine=X86_64), elf(note=b"GNU")])
def test_a_runner_that_no_ndk_built_is_refused(tmp_path: Path, content: bytes) -> None:
    program = tmp_path / "runner"
    program.write_bytes(content)
    with pytest.raises(PhonebookError, match="not built for arm64 with the Android NDK"):
        adopt(program, tmp_path / "cache")


@pytest.mark.parametrize(
    "content", [b"", b"#!/bin/sh\n", elf()[:100], elf("libx.so")[:-30], UNMAPPED]
)
def test_what_is_no_program_is_refused(tmp_path: Path, content: bytes) -> None:
    program = tmp_path / "runner"
    program.write_bytes(content)
    with pytest.raises(PhonebookError, match=r"no 64-bit ELF program|headers are damaged"):
        adopt(program, tmp_path / "cache")


def test_an_ndk_runner_is_bundled_with_the_libraries_beside_it(tmp_path: Path) -> None:
    folder, cache = tmp_path / "ndk", tmp_path / "cache"
    (folder / "lib").mkdir(parents=True)
    program = folder / "my-runner"
    program.write_bytes(elf("libc.so", "liblog.so", "libc++_shared.so"))
    with pytest.raises(PhonebookError, match=r"no runner .* was given here yet"):
        read_adopted(cache)
    with pytest.raises(PhonebookError, match=r"needs libc\+\+_shared\.so, which lies neither"):
        adopt(program, cache)

    (folder / "libc++_shared.so").write_bytes(elf("libc.so", "libm.so", "libthird.so"))
    (folder / "lib" / "libthird.so").write_bytes(elf("libdl.so"))
    bundle = adopt(program, cache)
    assert [str(file) for file in bundle.files] == [
        *("lib/libc++_shared.so", "lib/libthird.so", "phonebook-runner")
    ]
    assert bundle.start == ("env", "LD_LIBRARY_PATH=./lib", "./phonebook-runner")
    assert bundle.runner == "ndk"
    assert read_adopted(cache) == bundle


def test_the_command_takes_an_ndk_runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    program = tmp_path / "runner"
    program.write_bytes(elf())
    command = [sys.executable, "-m", "device_agent.bundle", "--runner", str(program)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    folder = Path(done.stdout.splitlines()[0])
    assert (folder / "phonebook-runner").read_bytes() == elf()
    assert "started by env LD_LIBRARY_PATH=./lib ./phonebook-runner" in done.stdout

    program.unlink()
    missing = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert missing.returncode == 2
    assert "No such file" in missing.stderr
