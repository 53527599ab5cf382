"""Where a runner's threads are: as many as were asked for, on the CPUs that were promised."""

import os
from contextlib import closing
from pathlib import Path

import pytest

from contract.errors import DeviceFailed
from contract.runtime import Runner
from device_agent.runner.conversation import Elsewhere
from device_agent.runner.process import RunnerProcess
from tests.device_agent.conftest import Programs
from tests.device_agent.runners import LINUX_ONLY, RUNNERS, command, job, the_child


@LINUX_ONLY
@pytest.mark.parametrize("threads", [1, 4])
def test_the_pool_has_exactly_the_threads_asked_for(
    programs: Programs, tmp_path: Path, threads: int
) -> None:
    start = command("native", threads=threads)
    with closing(RunnerProcess(start, log=tmp_path / "log")) as process:
        process.time_program(job(programs.operator, tmp_path))
        assert process.ready.threads == threads
        assert the_child().num_threads() == threads


@LINUX_ONLY
def test_every_thread_inherits_the_cpus(programs: Programs, tmp_path: Path) -> None:
    cpu = max(os.sched_getaffinity(0))
    bound = [*command("native", threads=3), "--cpus", str(cpu)]
    with closing(RunnerProcess(bound, log=tmp_path / "log")) as process:
        process.time_program(job(programs.operator, tmp_path))
        tasks = list(Path(f"/proc/{the_child().pid}/task").iterdir())
        allowed = {
            line.split()[1]
            for task in tasks
            for line in (task / "status").read_text().splitlines()
            if line.startswith("Cpus_allowed_list")
        }
    assert len(tasks) == 3
    assert allowed == {str(cpu)}


@pytest.mark.slow
@LINUX_ONLY
@pytest.mark.parametrize("kind", RUNNERS)
def test_each_visit_says_which_cpus_it_had_and_is_none_where_they_are_not_those_promised(
    programs: Programs, tmp_path: Path, kind: Runner
) -> None:
    allowed = tuple(sorted(os.sched_getaffinity(0)))
    visit = job(programs.operator, tmp_path)
    with closing(RunnerProcess(command(kind), log=tmp_path / "log")) as process:
        assert process.time_program(visit, cpus=allowed).cpus == allowed
        with pytest.raises(Elsewhere, match="was to run on 99"):
            process.time_program(visit, cpus=(99,))
        assert process.is_closed


@pytest.mark.slow
@LINUX_ONLY
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="there is nowhere to be moved to")
@pytest.mark.parametrize("kind", RUNNERS)
def test_a_thread_that_is_moved_is_found_out(
    programs: Programs, tmp_path: Path, kind: Runner
) -> None:
    allowed = tuple(sorted(os.sched_getaffinity(0)))
    visit = job(programs.operator, tmp_path)
    with closing(RunnerProcess(command(kind, threads=2), log=tmp_path / "log")) as process:
        process.time_program(visit, cpus=allowed)
        last = max(thread.id for thread in the_child().threads())
        os.sched_setaffinity(last, {allowed[0]})
        assert process.time_program(visit).cpus == (allowed[0],)


@LINUX_ONLY
def test_cpus_that_are_granted_in_part_are_refused(tmp_path: Path) -> None:
    cpus = f"{min(os.sched_getaffinity(0))},900"
    with pytest.raises(DeviceFailed, match="of the CPUs to bind to, the system grants"):
        RunnerProcess([*command("native"), "--cpus", cpus], log=tmp_path / "log")


@LINUX_ONLY
@pytest.mark.parametrize("cpus", ["1000", "99999"])
def test_cpus_that_do_not_exist_are_refused(tmp_path: Path, cpus: str) -> None:
    with pytest.raises(DeviceFailed, match="CPU"):
        RunnerProcess([*command("native"), "--cpus", cpus], log=tmp_path / "log")
