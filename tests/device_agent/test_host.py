"""This computer as a device: real ExecuTorch programs, in a process that may die."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from contract.operators import Head, MBConv, Operator, Slot, Stem
from device_agent.devices import Plan, ProgramFailed, open_device
from device_agent.devices.host import RUNNER_MODULE, Host
from device_agent.programs import Program, ProgramCache, ProgramFile, export_to_pte
from device_agent.session import check_output

PLAN = Plan(warmup_runs=2, min_runs=10, max_runs=50, min_duration_s=0.01, deadline_s=60.0)
OPERATORS = (
    Operator(block=Stem(), slot=Slot(in_channels=3, out_channels=8, input_size=16, stride=2)),
    Operator(
        block=MBConv(kernel_size=5, expansion=3, groups=2),
        slot=Slot(in_channels=8, out_channels=8, input_size=8, stride=1),
    ),
    Operator(
        block=Head(channels=32), slot=Slot(in_channels=8, out_channels=10, input_size=8, stride=8)
    ),
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[ProgramFile]:
    programs = [
        Program(content=operator, dtype="float32", memory_format=memory_format)
        for operator in OPERATORS
        for memory_format in ("contiguous", "channels_last")
    ]
    cache = ProgramCache(tmp_path_factory.mktemp("cache"))
    failed = [e.error for e in cache.export(programs, export_to_pte) if e.error]
    assert failed == []
    return [cache.file(program) for program in programs]


@pytest.fixture
def host() -> Iterator[Host]:
    with Host(dtype="float32", threads=1, memory_format="contiguous") as host:
        yield host


def test_real_programs_are_timed_and_their_outputs_are_eagers(
    host: Host, files: list[ProgramFile]
) -> None:
    for file in files[::2]:
        timing = host.time_program(file, PLAN)
        check_output(timing, file)
        assert 10 <= len(timing.samples_ns) <= 50
        assert min(timing.samples_ns) > 0


def test_channels_last_and_two_threads_give_the_same_outputs(files: list[ProgramFile]) -> None:
    with open_device("host", dtype="float32", threads=2, memory_format="channels_last") as host:
        assert host.runtime.threads == 2
        for file in files[1::2]:
            check_output(host.time_program(file, PLAN), file)


@pytest.mark.parametrize("damage", ["truncated", "not a program", "missing"])
def test_a_damaged_program_is_refused_and_the_next_one_runs(
    host: Host, files: list[ProgramFile], tmp_path: Path, damage: str
) -> None:
    damaged = ProgramFile(tmp_path / "damaged.pte")
    if damage != "missing":
        whole = files[0].path.read_bytes()
        damaged.path.write_bytes(whole[: len(whole) // 2] if damage == "truncated" else b"hello")
    with pytest.raises(ProgramFailed) as failed:
        host.time_program(damaged, PLAN)
    assert failed.value.code in ("load_failed", "crashed")
    check_output(host.time_program(files[0], PLAN), files[0])


def test_a_runner_that_is_killed_costs_one_program(host: Host, files: list[ProgramFile]) -> None:
    host.time_program(files[0], PLAN)
    killer = threading.Timer(0.5, lambda: os.kill(the_runner().pid, signal.SIGSEGV))
    killer.start()
    with pytest.raises(ProgramFailed, match="signal 11") as failed:
        host.time_program(files[0], replace(PLAN, max_runs=10**9, min_duration_s=60.0))
    assert failed.value.code == "crashed"
    check_output(host.time_program(files[0], PLAN), files[0])


def test_a_program_that_takes_too_long_is_stopped(host: Host, files: list[ProgramFile]) -> None:
    host.time_program(files[0], PLAN)
    endless = replace(PLAN, max_runs=10**9, min_duration_s=60.0, deadline_s=0.5)
    with pytest.raises(ProgramFailed, match=r"no answer within 0.5 s") as failed:
        host.time_program(files[0], endless)
    assert failed.value.code == "timed_out"
    check_output(host.time_program(files[0], PLAN), files[0])


def test_nothing_is_left_running(files: list[ProgramFile]) -> None:
    with Host(dtype="float32", threads=1, memory_format="contiguous") as host:
        host.time_program(files[0], PLAN)
        runner = the_runner()
    until = time.monotonic() + 5
    while runner.is_running() and time.monotonic() < until:
        time.sleep(0.05)
    assert not runner.is_running()


def test_the_description_is_this_computers() -> None:
    with Host(dtype="float32", threads=1, memory_format="contiguous") as host:
        description, conditions = host.describe(), host.conditions()
    assert description.cores == os.cpu_count()
    assert description.memory_bytes == psutil.virtual_memory().total
    assert len(description.soc) > 3
    assert conditions.load_1min is not None


def the_runner() -> psutil.Process:
    (runner,) = (
        child for child in psutil.Process().children() if RUNNER_MODULE in child.cmdline()
    )
    return runner
