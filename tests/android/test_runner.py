"""The bundle's runner in the emulated phone: its outputs, its events, what it refuses."""

import shlex
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from contract.errors import DeviceFailed
from contract.runtime import Dtype
from device_agent.device import ProgramFailed, ProgramFile, ProgramTiming
from device_agent.devices.android.bundle import Bundle
from device_agent.measuring.checks import check_timing
from device_agent.runner.process import RunnerProcess
from device_agent.runner.protocol import Job
from tests.android.conftest import DTYPES, NETWORK, Programs
from tests.android.emulated import TEMPORARY, EmulatedPhone
from tests.device_agent.booking import booked
from tests.fakes import RUNTIME

pytestmark = pytest.mark.android

SECOND_NS = 1_000_000_000


class Runner:
    """The bundle's runner, started in the phone as its documentation says."""

    def __init__(
        self, phone: EmulatedPhone, bundle: Bundle, folder: str, *options: str, log: Path
    ) -> None:
        self._phone = phone
        command = f"cd {folder} && exec {shlex.join([*bundle.start, *options])}"
        self.process = RunnerProcess(phone.argv(command), log=log)

    def close(self) -> None:
        self.process.close()

    def time(self, file: ProgramFile, dtype: Dtype, *, trace: bool = False) -> ProgramTiming:
        """A visit to the program, its output checked against eager PyTorch."""
        program, output = f"{TEMPORARY}/{file.path.name}", f"{TEMPORARY}/output"
        shutil.copy(file.path, self._phone.here(program))
        timed = self.process.time_program(
            Job(
                program=program,
                output=output,
                memory_format="contiguous",
                warmup_runs=1,
                min_runs=2,
                max_runs=2,
                min_duration_ns=0,
                deadline_ns=120 * SECOND_NS,
                trace=trace,
            )
        )
        timing = timed.timing(self._phone.here(output).read_bytes())
        check_timing(timing, file, RUNTIME.evolve(dtype=dtype))
        return timing


@pytest.fixture(scope="module")
def runner(
    phone: EmulatedPhone,
    built: Bundle,
    pushed: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Runner]:
    """One process for many programs, bound to the big cores with a thread on each of two."""
    log = tmp_path_factory.mktemp("runner") / "log"
    options = ("--threads", "2", "--cpus", "4,5,6,7")
    with closing(Runner(phone, built, pushed, *options, log=log)) as started:
        yield started
        assert not started.process.is_closed


def test_it_is_the_native_runner_with_its_threads(runner: Runner) -> None:
    assert (runner.process.ready.runner, runner.process.ready.threads) == ("native", 2)


@pytest.mark.parametrize("dtype", DTYPES)
def test_isolated_operators_compute_what_eager_pytorch_does(
    runner: Runner, programs: Programs, dtype: Dtype
) -> None:
    for file in programs.operators[dtype]:
        timing = runner.time(file, dtype)
        assert "XnnpackBackend" in timing.delegates
        assert (len(timing.samples_ns), len(timing.probes_ns)) == (2, 3)
        assert timing.events == ()


@pytest.mark.parametrize("dtype", DTYPES)
def test_in_situ_events_book_to_the_operators_of_a_network(
    runner: Runner, programs: Programs, dtype: Dtype
) -> None:
    timing = runner.time(programs.networks[dtype], dtype, trace=True)
    found = booked(NETWORK, timing)
    assert found.keys() == {op.key for op in NETWORK.operators if not op.is_free}
    assert {len(samples) for samples in found.values()} == {2}


def test_a_damaged_program_costs_itself_alone(
    runner: Runner, programs: Programs, tmp_path: Path
) -> None:
    whole = programs.operators["float32"][0]
    damaged = ProgramFile(tmp_path / "damaged.pte")
    damaged.path.write_bytes(whole.path.read_bytes()[:1000])
    with pytest.raises(ProgramFailed, match="reading the program") as failed:
        runner.time(damaged, "float32")
    assert failed.value.code == "load_failed"
    runner.time(whole, "float32")


def test_a_cpu_that_the_phone_has_not_is_refused(
    phone: EmulatedPhone, built: Bundle, pushed: str, tmp_path: Path
) -> None:
    with pytest.raises(DeviceFailed, match="binding to the CPUs"):
        Runner(phone, built, pushed, "--threads", "1", "--cpus", "8", log=tmp_path / "log")


def test_without_its_loader_the_runner_does_not_start(phone: EmulatedPhone, pushed: str) -> None:
    # Why the bundle brings one: the phone has no C library of that kind.
    done = phone.run(f"cd {pushed} && ./phonebook-runner --threads 1")
    assert done.returncode != 0
    assert done.stdout == ""
