"""Both runners, each in a process that may die: what they measure, refuse and withstand."""

import errno
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from contract.errors import DeviceFailed
from contract.runtime import MemoryFormat, Runner
from device_agent.backends.xnnpack.backend import XNNPACK
from device_agent.device import ProgramFailed, ProgramFile
from device_agent.measuring.checks import check_output
from device_agent.runner.process import RunnerProcess
from device_agent.runner.protocol import Job, Timed
from tests.device_agent.conftest import Programs
from tests.device_agent.runners import (
    DAMAGES,
    LINUX_ONLY,
    RUNNERS,
    SECOND_NS,
    SLOW_PYTHON,
    command,
    damaged,
    job,
)


@pytest.fixture(scope="module", params=RUNNERS)
def runner(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunnerProcess]:
    """One process for many programs, good and bad; no test here may kill it."""
    log = tmp_path_factory.mktemp("runner") / "runner.log"
    with closing(RunnerProcess(command(request.param, threads=3), log=log)) as process:
        yield process
        assert not process.is_closed


def check(timed: Timed, file: ProgramFile, folder: Path) -> None:
    output = (folder / "output").read_bytes()
    timing = timed.timing(output)
    check_output(timing, file, tolerance=XNNPACK.tolerances["float32"])


def test_it_says_what_it_is(runner: RunnerProcess, request: pytest.FixtureRequest) -> None:
    assert runner.ready.runner in request.node.name
    assert runner.ready.threads == 3  # by the pool's own count
    assert 0 < runner.ready.clock_step_ns < 100_000


@pytest.mark.parametrize("memory_format", ["contiguous", "channels_last"])
def test_outputs_are_eagers(
    runner: RunnerProcess, programs: Programs, tmp_path: Path, memory_format: MemoryFormat
) -> None:
    for file in programs.operators[memory_format]:
        timed = runner.time_program(job(file, tmp_path, memory_format=memory_format))
        check(timed, file, tmp_path)
        assert "XnnpackBackend" in timed.delegates
        assert timed.events == ()
        assert timed.load_ns > 0
        assert timed.first_run_ns > 0


def test_runs_go_on_until_both_the_count_and_the_duration_are_reached(
    runner: RunnerProcess, programs: Programs, tmp_path: Path
) -> None:
    def samples_ns(**plan: int) -> tuple[int, ...]:
        return runner.time_program(job(programs.operator, tmp_path, **plan)).samples_ns

    assert len(samples_ns(min_runs=7, max_runs=10**6, min_duration_ns=0)) == 7
    assert len(samples_ns(min_runs=7, max_runs=11, min_duration_ns=SECOND_NS)) == 11
    long = samples_ns(min_runs=7, max_runs=10**6, min_duration_ns=20_000_000)
    assert len(long) > 7
    assert sum(long) >= 20_000_000 > sum(long[:-1])


def test_each_run_lies_between_two_probes_outside_of_it(
    runner: RunnerProcess, programs: Programs, tmp_path: Path
) -> None:
    shortest = min(programs.operators["contiguous"], key=lambda file: file.path.stat().st_size)
    plan = {"warmup_runs": 7, "min_runs": 200, "max_runs": 200}
    timed = runner.time_program(job(shortest, tmp_path, **plan))
    assert len(timed.probes_ns) == len(timed.samples_ns) + 1 == 201
    # This run is over in a few microseconds, which no probe is.
    assert 0 < min(timed.samples_ns) < min(timed.probes_ns)
    assert timed.memory_probes_ns is not None
    assert min(timed.memory_probes_ns) > 32 * 2**20 / 1000  # ns; no memory gives 1 TB/s


@LINUX_ONLY
def test_the_peak_memory_is_the_program_s_own_whatever_ran_before(
    runner: RunnerProcess, programs: Programs, tmp_path: Path
) -> None:
    def peak_bytes(file: ProgramFile) -> int:
        peak = runner.time_program(job(file, tmp_path)).peak_bytes
        assert peak is not None
        return peak

    file_bytes = programs.network.path.stat().st_size  # its weights, nearly all of it
    peak_bytes(programs.operator)  # brings in the code that both need
    networks = [peak_bytes(programs.network) for _ in range(3)]
    assert min(networks) >= file_bytes
    assert max(networks) < 5 * file_bytes
    assert peak_bytes(programs.operator) < file_bytes / 2


@LINUX_ONLY
@pytest.mark.parametrize("kind", SLOW_PYTHON)
def test_where_the_system_keeps_no_peak_none_is_told(
    programs: Programs, tmp_path: Path, kind: Runner
) -> None:
    hide = 'mount --bind /dev/full "/proc/$$/clear_refs" && exec "$@"'
    without = ["unshare", "--mount", "sh", "-c", hide, "sh"]
    if subprocess.run([*without, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this computer lets nobody hide a file of /proc")
    with closing(RunnerProcess([*without, *command(kind)], log=tmp_path / "log")) as process:
        timed = process.time_program(job(programs.operator, tmp_path))
        assert timed.peak_bytes is None
        assert timed.load_ns > 0
        check(timed, programs.operator, tmp_path)


def test_the_input_is_set_anew_before_each_run(
    runner: RunnerProcess, programs: Programs, tmp_path: Path
) -> None:
    file = programs.overwriting
    expected = np.fromfile(file.expected_output, dtype=np.float32)
    stale = np.fromfile(file.path.with_suffix(".stale"), dtype=np.float32)
    assert np.abs(expected - stale).max() > 0.1, "this program would not notice"
    timed = runner.time_program(job(file, tmp_path))
    check(timed, file, tmp_path)
    assert timed.delegates == ()


def test_a_program_of_another_signature_is_refused(
    runner: RunnerProcess, programs: Programs, tmp_path: Path
) -> None:
    with pytest.raises(ProgramFailed, match="must have one input, it has 2") as failed:
        runner.time_program(job(programs.two_inputs, tmp_path))
    assert failed.value.code == "load_failed"


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_program_is_refused_and_the_next_one_runs(
    runner: RunnerProcess, programs: Programs, tmp_path: Path, damage: str
) -> None:
    with pytest.raises(ProgramFailed) as failed:
        runner.time_program(job(damaged(programs.operator, damage, tmp_path), tmp_path))
    assert failed.value.code == "load_failed"
    check(runner.time_program(job(programs.operator, tmp_path)), programs.operator, tmp_path)


def test_an_output_that_cannot_be_written_is_a_failed_run(
    runner: RunnerProcess, programs: Programs, tmp_path: Path
) -> None:
    with pytest.raises(ProgramFailed) as failed:
        runner.time_program(job(programs.operator, tmp_path, output=str(tmp_path / "no" / "way")))
    assert failed.value.code == "run_failed"


def test_where_an_output_has_no_room_the_answer_says_so(
    runner: RunnerProcess, programs: Programs, tmp_path: Path
) -> None:
    with pytest.raises(ProgramFailed, match=os.strerror(errno.ENOSPC)):
        runner.time_program(job(programs.operator, tmp_path, output="/dev/full"))


def test_it_keeps_its_deadline_itself(
    runner: RunnerProcess, programs: Programs, tmp_path: Path
) -> None:
    endless = {"max_runs": 10**9, "min_duration_ns": 60 * SECOND_NS}
    began = time.monotonic()
    with pytest.raises(ProgramFailed, match=r"its deadline, after [0-9]{2,} timed runs") as failed:
        runner.time_program(
            job(programs.operator, tmp_path, deadline_ns=SECOND_NS // 2, **endless)
        )
    assert failed.value.code == "timed_out"
    assert time.monotonic() - began < 4


def test_a_trace_times_each_operator_of_a_whole_network(
    runner: RunnerProcess, programs: Programs, tmp_path: Path
) -> None:
    plan = {"min_runs": 5, "max_runs": 5, "warmup_runs": 3}
    timed = runner.time_program(job(programs.network, tmp_path, trace=True, **plan))
    check(timed, programs.network, tmp_path)
    assert {len(event.samples_ns) for event in timed.events} == {5} == {len(timed.samples_ns)}
    assert sum("DWConv" in event.name for event in timed.events) == 3  # one in each block
    for run, sample_ns in enumerate(timed.samples_ns):
        inside_ns = sum(event.samples_ns[run] for event in timed.events)
        assert 0 < inside_ns <= sample_ns


@pytest.mark.slow
def test_both_runners_compute_and_trace_the_same(programs: Programs, tmp_path: Path) -> None:
    outputs, names = [], []
    for runner in RUNNERS:
        with closing(RunnerProcess(command(runner), log=tmp_path / "log")) as process:
            timed = process.time_program(job(programs.network, tmp_path, trace=True))
        outputs.append((tmp_path / "output").read_bytes())
        names.append([event.name for event in timed.events])
    assert outputs[0] == outputs[1]
    assert names[0] == names[1]
    assert len(names[0]) >= 20  # of the stem 2, the blocks 13, the head 5


@pytest.mark.slow
@pytest.mark.parametrize("runner", RUNNERS)
def test_a_malformed_line_gets_an_error_and_nothing_else_is_said(
    runner: Runner, programs: Programs, tmp_path: Path
) -> None:
    good = job(programs.operator, tmp_path).line()
    malformed = {
        "": "program",
        "hello": "hello|program",
        "\0\xff": "malformed",
        good.replace("min_runs=5", "min_runs=five"): "min_runs",
        good.replace("min_runs=5", "min_runs=-5"): "min_runs",
        good.replace("min_runs=5\t", ""): "min_runs",
        f"{good}\tmin_runs=5": "min_runs comes twice|a key comes twice",
        f"{good}\tcolour=red": "colour",
    }
    done = subprocess.run(
        command(runner),
        input="".join(f"{line}\n" for line in [*malformed, good]).encode("latin-1"),
        capture_output=True,
        timeout=60,
        check=True,
    )
    ready, *errors, timed = (json.loads(line) for line in done.stdout.splitlines())
    assert ready["runner"] == runner
    assert len(timed["samples_ns"]) >= 5
    for error, named in zip(errors, malformed.values(), strict=True):
        assert error["error"] == "run_failed"
        assert any(word in error["message"] for word in named.split("|")), error


@pytest.mark.slow
@pytest.mark.parametrize("runner", RUNNERS)
def test_it_speaks_while_a_long_job_runs(
    runner: Runner, programs: Programs, tmp_path: Path
) -> None:
    long = job(programs.network, tmp_path, max_runs=10**9, min_duration_ns=3 * SECOND_NS)
    with closing(
        RunnerProcess(command(runner), log=tmp_path / "log", silence_limit_s=3)
    ) as process:
        assert sum(process.time_program(long).samples_ns) >= 3 * SECOND_NS


@LINUX_ONLY
def test_a_system_without_a_thread_pool_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As where cpuinfo cannot read /proc: stand in for the library's function.
    source, library = tmp_path / "none.cpp", tmp_path / "none.so"
    source.write_text(
        "namespace executorch::extension::threadpool { void* get_threadpool() { return 0; } }"
    )
    subprocess.run(["c++", "-shared", "-fPIC", str(source), "-o", str(library)], check=True)
    monkeypatch.setenv("LD_PRELOAD", str(library))
    with pytest.raises(DeviceFailed, match="made no thread pool"):
        RunnerProcess(command("native"), log=tmp_path / "log")


def test_an_image_of_another_memory_format_is_refused(programs: Programs, tmp_path: Path) -> None:
    other = job(programs.operator, tmp_path, memory_format="channels_last")
    with (
        closing(RunnerProcess(command("native"), log=tmp_path / "log")) as process,
        pytest.raises(ProgramFailed, match="takes a contiguous image, the job says channels"),
    ):
        process.time_program(other)


READY = '{"ready": true, "runner": "native", "threads": 1, "clock_step_ns": 1}'


def one_run(*probes_ns: int) -> str:
    times = {"samples_ns": [9], "probes_ns": probes_ns, "first_run_ns": 9, "load_ns": 9}
    return json.dumps({**times, "delegates": [], "events": []})


@pytest.mark.parametrize(
    ("behaviour", "code", "message"),
    [
        ("time.sleep(60)", "timed_out", "no sign of life for 0.5 s; stopped"),
        ("print('hello', flush=True)", "crashed", "the runner said what is no answer: hello"),
        (f"print('{READY}', flush=True)", "crashed", "the runner answered a job with Ready"),
        ("sys.exit('out of memory')", "crashed", "ended with exit code 1: out of memory"),
        (f"print('{one_run(9)}', flush=True)", "crashed", "the runner said what is no answer"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "crashed", "ended with SIGSEGV"),
        ("os.kill(os.getpid(), signal.SIGILL)", "crashed", "SIGILL .this CPU lacks an instruct"),
        pytest.param(
            "os.kill(os.getpid(), 40)", "crashed", "ended with signal 40", marks=LINUX_ONLY
        ),
        ("os.close(1); time.sleep(60)", "crashed", "closed its output and lived on; stopped"),
    ],
)
def test_whatever_a_runner_does_costs_one_program(
    programs: Programs, tmp_path: Path, behaviour: str, code: str, message: str
) -> None:
    start = f"import os, signal, sys, time; print('{READY}', flush=True); input()"
    fake = [sys.executable, "-c", f"{start}; {behaviour}; input()"]
    process = RunnerProcess(fake, log=tmp_path / "log", silence_limit_s=0.5)
    with pytest.raises(ProgramFailed, match=message) as failed:
        process.time_program(job(programs.operator, tmp_path))
    assert failed.value.code == code
    assert process.is_closed


def test_a_run_without_its_two_probes_is_no_answer() -> None:
    assert Timed.model_validate_json(one_run(50, 51)).probes_ns == (50, 51)
    for probes_ns in ((), (50,), (50, 51, 52), (50, 0)):
        with pytest.raises(ValueError, match="probes"):
            Timed.model_validate_json(one_run(*probes_ns))


def test_a_runner_that_does_not_start_is_a_failed_device(tmp_path: Path) -> None:
    with pytest.raises(DeviceFailed, match="did not start: the runner ended with exit code 2"):
        RunnerProcess([*command("native"), "--colour", "red"], log=tmp_path / "log")


def test_a_job_is_read_as_it_was_written(programs: Programs, tmp_path: Path) -> None:
    written = job(programs.operator, tmp_path, trace=True)
    assert Job.parse(written.line()) == written
