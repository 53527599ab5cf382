"""Runners in processes of their own: how one is started, and jobs for it, good and bad."""

import sys
from pathlib import Path

import psutil
import pytest

from contract.runtime import Runner
from device_agent.device import ProgramFile
from device_agent.devices.host.computer import PYTHON_RUNNER
from device_agent.runner.build import native_runner
from device_agent.runner.protocol import Job

RUNNERS: tuple[Runner, ...] = ("native", "python")
SLOW_PYTHON = ("native", pytest.param("python", marks=pytest.mark.slow))  # it starts with torch
SECOND_NS = 1_000_000_000
LINUX_ONLY = pytest.mark.skipif(sys.platform != "linux", reason="CPUs are bound on Linux alone")


def command(runner: Runner, *, threads: int = 1) -> list[str]:
    """What starts that runner."""
    start = [str(native_runner())] if runner == "native" else [sys.executable, "-m", PYTHON_RUNNER]
    return [*start, "--threads", str(threads)]


def the_child() -> psutil.Process:
    """The runner that was started last."""
    runners = (child for child in psutil.Process().children() if "--threads" in child.cmdline())
    return max(runners, key=psutil.Process.create_time)


def job(file: ProgramFile, folder: Path, **changes: object) -> Job:
    """A short visit to the program."""
    plan = {"warmup_runs": 2, "min_runs": 5, "max_runs": 50, "min_duration_ns": 10_000_000}
    return Job.model_validate(
        {
            "program": str(file.path),
            "output": str(folder / "output"),
            "memory_format": "contiguous",
            "deadline_ns": 60 * SECOND_NS,
            "trace": False,
            **plan,
            **changes,
        }
    )


def damaged(file: ProgramFile, damage: str, folder: Path) -> ProgramFile:
    """A copy of the program that must not load."""
    whole = file.path.read_bytes()
    content = {
        "truncated": whole[: len(whole) // 2],
        "cut after the header": whole[:64],
        "empty": b"",
        "not a program": b"hello",
        # Bytes 4 to 7 of a .pte are its identifier: ET, and the version of the format.
        "another identifier": whole[:4] + b"XX12" + whole[8:],
        "another version": whole[:4] + b"ET99" + whole[8:],
    }
    copy = ProgramFile(folder / "damaged.pte")
    if damage != "missing":
        copy.path.write_bytes(content[damage])
    return copy


DAMAGES = (
    *("missing", "empty", "not a program", "truncated", "cut after the header"),
    *("another identifier", "another version"),
)
