"""This computer as a device: real ExecuTorch programs, in a process that may die."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from statistics import median

import numpy as np
import psutil
import pytest

from contract.errors import PhonebookError
from contract.runtime import Dtype, MemoryFormat, Runner, Runtime, RuntimeRequest
from device_agent.device import Plan, ProgramFailed, ProgramFile
from device_agent.devices.host.computer import Host
from device_agent.measuring.checks import check_timing
from device_agent.runner.build import NativeRunnerUnavailable
from tests.device_agent.booking import booked
from tests.device_agent.conftest import (
    DTYPES,
    MEMORY_FORMATS,
    NETWORK,
    ControlGroup,
    Programs,
)
from tests.device_agent.runners import LINUX_ONLY, RUNNERS, the_child
from tests.fakes import RUNTIME

PLAN = Plan(warmup_runs=2, min_runs=10, max_runs=50, min_duration_s=0.01, deadline_s=60.0)


def open_host(
    runner: Runner | None = None,
    cpus: Sequence[int] = (),
    *,
    dtype: Dtype = "float32",
    threads: int = 1,
    memory_format: MemoryFormat = "contiguous",
) -> Host:
    return Host(
        RuntimeRequest(
            dtype=dtype,
            threads=threads,
            memory_format=memory_format,
            protocol="isolated",
            runner=runner,
            cpus=tuple(cpus),
        )
    )


@pytest.fixture(scope="module", params=RUNNERS)
def host(request: pytest.FixtureRequest) -> Iterator[Host]:
    """With one runner for many programs, since the Python runner takes seconds to start."""
    with open_host(request.param) as host:
        yield host


def test_real_programs_are_timed_and_their_outputs_are_eagers(
    host: Host, programs: Programs
) -> None:
    for file in programs.operators["contiguous"]:
        timing = host.time_program(file, PLAN)
        check_timing(timing, file, RUNTIME)
        assert 10 <= len(timing.samples_ns) <= 50
        assert min(timing.samples_ns) > 0
        assert timing.delegates == ("XnnpackBackend",)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_real_networks_events_are_booked_to_its_operators(
    host: Host, programs: Programs, dtype: Dtype
) -> None:
    file = programs.networks[dtype]
    traced = host.time_program(file, replace(PLAN, trace=True))
    check_timing(traced, file, RUNTIME.evolve(dtype=dtype))
    found = booked(NETWORK, traced)
    assert set(found) == {operator.key for operator in NETWORK.operators if not operator.is_free}
    assert all(min(samples_us) > 0 for samples_us in found.values())
    copies = Counter(operator.key for operator in NETWORK.operators)
    added_us = [
        sum(samples_us[run] * copies[key] for key, samples_us in found.items())
        for run in range(len(traced.samples_ns))
    ]
    # Most of a run lies in its events, and half a tick for each cannot make it more by much.
    assert 0.4 < median(added_us) / (median(traced.samples_ns) / 1000) < 1.2


def test_a_trace_says_what_the_samples_consist_of(programs: Programs) -> None:
    with open_host() as host:
        timing = host.time_program(programs.operator, replace(PLAN, trace=True))
    check_timing(timing, programs.operator, RUNTIME)
    assert [len(event.samples_ns) for event in timing.events] == [len(timing.samples_ns)] * len(
        timing.events
    )
    assert len(timing.events) >= 3


def test_channels_last_and_two_threads_give_the_same_outputs(programs: Programs) -> None:
    with open_host(threads=2, memory_format="channels_last") as host:
        assert host.runtime.threads == 2
        for file in programs.operators["channels_last"]:
            check_timing(host.time_program(file, PLAN), file, RUNTIME)


@pytest.mark.slow
@pytest.mark.parametrize("memory_format", MEMORY_FORMATS)
@pytest.mark.parametrize("runner", RUNNERS)
def test_an_int8_operator_computes_what_the_quantised_module_does(
    quantised: dict[MemoryFormat, ProgramFile], runner: Runner, memory_format: MemoryFormat
) -> None:
    file = quantised[memory_format]
    with open_host(runner, dtype="int8", threads=2, memory_format=memory_format) as host:
        timing = host.time_program(file, PLAN)
    check_timing(timing, file, RUNTIME.evolve(dtype="int8"))
    expected = np.fromfile(file.expected_output, dtype=np.float32)
    levels = np.unique(expected)
    assert 32 < len(levels) <= 256
    one_step = np.diff(levels).min()
    found = np.frombuffer(timing.output, dtype=np.float32)
    assert np.abs(found - expected).max() < 1.5 * one_step


@pytest.mark.slow
@pytest.mark.parametrize("runner", RUNNERS)
def test_a_runner_that_is_killed_costs_one_program(programs: Programs, runner: Runner) -> None:
    with open_host(runner) as host:
        host.time_program(programs.operator, PLAN)
        killer = threading.Timer(0.5, lambda: os.kill(the_child().pid, signal.SIGSEGV))
        killer.start()
        endless = replace(PLAN, max_runs=10**9, min_duration_s=60.0)
        with pytest.raises(ProgramFailed, match="SIGSEGV") as failed:
            host.time_program(programs.operator, endless)
        assert failed.value.code == "crashed"
        check_timing(host.time_program(programs.operator, PLAN), programs.operator, RUNTIME)


def test_a_program_that_takes_too_long_is_stopped(programs: Programs) -> None:
    endless = replace(PLAN, max_runs=10**9, min_duration_s=60.0, deadline_s=0.5)
    with open_host() as host:
        with pytest.raises(ProgramFailed, match="stopped at its deadline") as failed:
            host.time_program(programs.operator, endless)
        assert failed.value.code == "timed_out"
        check_timing(host.time_program(programs.operator, PLAN), programs.operator, RUNTIME)


def test_nothing_is_left_running(programs: Programs) -> None:
    with open_host() as host:
        host.time_program(programs.operator, PLAN)
        runner = the_child()
    until = time.monotonic() + 5
    while runner.is_running() and time.monotonic() < until:
        time.sleep(0.05)
    assert not runner.is_running()


@pytest.mark.parametrize(
    ("runner", "cpus", "part_of_key"),
    [
        (None, (), "-et1.5.1-native-any-isolated"),
        ("native", (), "-et1.5.1-native-any-isolated"),
        ("python", (), "-et1.5.1-python-any-isolated"),
        (None, (1, 0, 1), "-et1.5.1-native-cpu0.1-isolated"),
    ],
)
def test_the_runtime_says_which_runner_and_which_cpus(
    runner: Runner | None, cpus: tuple[int, ...], part_of_key: str
) -> None:
    with open_host(runner, cpus) as host:
        assert host.runtime.key.endswith(part_of_key)
        assert Runtime.parse(host.runtime.key) == host.runtime


@LINUX_ONLY
def test_a_runtime_bound_to_cpus_is_opened_again_from_its_key(programs: Programs) -> None:
    cpu = min(os.sched_getaffinity(0))
    bound = Runtime.parse(f"xnnpack-float32-t1-contiguous-et1.5.1-native-cpu{cpu}-isolated")
    assert bound.cpus == (cpu,)
    with Host(bound.request) as host:
        assert host.runtime == bound
        host.time_program(programs.operator, PLAN)
        assert the_child().cpu_affinity() == [cpu]


@pytest.mark.slow
@LINUX_ONLY
def test_under_taskset_the_key_says_where_and_more_is_refused() -> None:
    cpu = min(os.sched_getaffinity(0))
    taskset = ["taskset", "-c", str(cpu)]
    assert opened_by(taskset) == f"xnnpack-float32-t1-contiguous-et1.5.1-native-cpu{cpu}-isolated"
    assert opened_by(taskset, f"cpus=({cpu},), runner='python'").endswith(
        f"-python-cpu{cpu}-isolated"
    )
    assert "lets the agent run on 1 CPU, and each thread needs one; give --threads 1" in opened_by(
        taskset, "threads=2"
    )
    assert f"run on CPUs {cpu} alone, not on 900; choose among them" in opened_by(
        taskset, f"cpus=({cpu}, 900)"
    )


def test_more_threads_than_the_cpus_that_are_named_are_refused() -> None:
    cpu = min(os.sched_getaffinity(0))
    with pytest.raises(PhonebookError, match="--cpus names 1 CPU, and each thread needs one"):
        open_host(cpus=(cpu,), threads=2)


@pytest.mark.parametrize(
    ("quota", "threads", "words"),
    [
        (1.0, 2, "grants the time of 1 CPU, and each thread needs one; give --threads 1 or fewer"),
        (0.5, 1, "grants the time of 0.5 CPUs, and each thread needs one; grant a whole one"),
        (1.0, 1, "-native-any-isolated"),
    ],
)
def test_a_control_group_that_grants_less_time_is_refused(
    control_group: ControlGroup, quota: float, threads: int, words: str
) -> None:
    assert words in opened_by(control_group(quota), f"threads={threads}")


def opened_by(start: Sequence[str], request: str = "") -> str:
    """The key under which this computer is opened by a process that is started so, or why not."""
    script = f"""
from contract.errors import PhonebookError
from contract.runtime import RuntimeRequest
from device_agent.devices.host.computer import Host
try:
    with Host(RuntimeRequest(protocol="isolated", {request})) as host:
        print(host.runtime.key)
except PhonebookError as error:
    print(error)
"""
    done = subprocess.run(
        [*start, sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.slow
@LINUX_ONLY
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="there is nowhere to be moved to")
@pytest.mark.parametrize("runner", RUNNERS)
def test_a_visit_whose_runner_is_moved_is_made_again(
    programs: Programs, runner: Runner, capfd: pytest.CaptureFixture[str]
) -> None:
    allowed = sorted(os.sched_getaffinity(0))
    with open_host(runner) as host:
        host.time_program(programs.operator, PLAN)
        moved = the_child()
        moved.cpu_affinity(allowed[:1])
        check_timing(host.time_program(programs.operator, PLAN), programs.operator, RUNTIME)
        assert the_child().pid != moved.pid
    assert "moved to other CPUs; its visit is made again" in capfd.readouterr().err


def test_without_a_compiler_the_python_runner_stands_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with open_host() as host:
        assert host.runtime.runner == "python"
    with pytest.raises(NativeRunnerUnavailable, match="needs cmake"):
        open_host("native")
    with pytest.raises(NativeRunnerUnavailable, match="needs cmake"):
        open_host(cpus=(0,))


def test_the_python_runner_cannot_be_bound() -> None:
    with pytest.raises(PhonebookError, match="only the native runner can be bound to CPUs"):
        open_host("python", cpus=(0,))


def test_the_description_is_this_computers() -> None:
    with open_host() as host:
        description, conditions = host.describe(), host.conditions()
    assert description.cores == os.cpu_count()
    assert description.memory_bytes == psutil.virtual_memory().total
    assert len(description.soc) > 3
    assert conditions.load_1min is not None
