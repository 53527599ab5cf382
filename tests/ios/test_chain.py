"""The whole chain: agent, usbmux, the app's core with real ExecuTorch, server, table.

Every operator of a space goes through it, in either protocol, and the app is ended on the way.
What is not here is iOS and its phone: the app runs on this computer, and its rows say so.
"""

import hashlib
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from contract.blocks import MBConv
from contract.client import table_client
from contract.jobs import Job, MeasureNetwork
from contract.operators import Operator
from contract.runtime import Protocol
from contract.slots import Slot
from contract.spaces import space
from device_agent.device import Plan, ProgramFailed, ProgramFile
from device_agent.devices.ios.app import App, HashDiffers, TooLarge
from device_agent.devices.ios.care import Limits
from device_agent.devices.ios.errors import (
    AppNotRunning,
    Asleep,
    InUse,
    LowPower,
    StorageFull,
    TooHot,
    Unplugged,
)
from device_agent.devices.ios.kind import IOS
from device_agent.devices.ios.messages import MOST_PROGRAM_BYTES, AppJob
from device_agent.devices.ios.phone import IPhone
from device_agent.measuring.checks import check_timing
from device_agent.measuring.protocols.in_situ import design_networks
from device_agent.places import cache_dir
from device_agent.programs.cache import ProgramCache, export_to_pte
from device_agent.programs.program import Program
from tests.device_agent.conftest import opener
from tests.e2e.conftest import LIMIT_S, Finished, World
from tests.fakes import RUNTIME
from tests.ios.conftest import UDID, Phone

pytestmark = [pytest.mark.ios, pytest.mark.timeout(2 * LIMIT_S)]

NAME = "iphonex"
SPACE = "fbnet-32-0.35"
OPERATORS = {operator.key for operator in space(SPACE).operators if not operator.is_free}
PROFILE = ("device_agent.run", "--device", NAME, "--name", NAME, "--space", SPACE)
QUICK = ("--effort", "quick", "--protocol")
PLAN = Plan(warmup_runs=1, min_runs=5, max_runs=10, min_duration_s=0.01, deadline_s=30.0)
SMALL = Operator(
    block=MBConv(kernel_size=3, expansion=1, groups=1),
    slot=Slot(in_channels=16, out_channels=16, input_size=56, stride=1),
)


@dataclass(frozen=True)
class Profiled:
    """A session that was cut off and went on, and what a person saw of its last command."""

    protocol: Protocol
    runtime: str
    finished: Finished


def visits(world: World, protocol: Protocol) -> list[tuple[str, int, str]]:
    """Those that the journal has of that protocol's session."""
    if not world.journal.exists():
        return []
    with closing(sqlite3.connect(world.journal)) as journal:
        if not journal.execute("SELECT 1 FROM sqlite_master WHERE name = 'visits'").fetchall():
            return []
        return journal.execute(
            "SELECT session, round, program FROM visits JOIN sessions ON session = sessions.id "
            "WHERE runtime LIKE ?",
            (f"%-{protocol}",),
        ).fetchall()


@contextmanager
def measuring(world: World, protocol: Protocol, count: int) -> Iterator[subprocess.Popen[str]]:
    """An agent that has made so many visits. It has ended, or is killed, at the end."""
    agent = world.start(*PROFILE, *QUICK, protocol)
    try:
        until = time.monotonic() + LIMIT_S
        while len(visits(world, protocol)) < count:
            assert agent.poll() is None, agent.communicate()
            assert time.monotonic() < until
            time.sleep(0.1)
        yield agent
    finally:
        agent.kill()
        agent.communicate()


@pytest.fixture(scope="module")
def in_situ(world: World, phone: Phone) -> Profiled:
    """Its app is ended and opened again, its cable pulled and put back; the agent goes on."""
    with measuring(world, "in_situ", 20) as agent:
        phone.app.kill()
        time.sleep(1)
        phone.app.restart()
        time.sleep(1)
        phone.usbmuxd.unplug(phone.cabled)
        time.sleep(1)
        phone.usbmuxd.plug(phone.cabled)
        output, errors = agent.communicate(timeout=LIMIT_S)
        finished = Finished(agent.returncode, output, errors)
    return profiled("in_situ", finished)


@pytest.fixture(scope="module")
def isolated(world: World, phone: Phone) -> Profiled:
    """Its app and the agent are killed; the same command goes on."""
    with measuring(world, "isolated", 60) as agent:
        agent.send_signal(signal.SIGKILL)
        agent.wait(LIMIT_S)
        phone.app.kill()
    phone.app.restart()
    return profiled("isolated", world.run(*PROFILE, *QUICK, "isolated"))


def profiled(protocol: Protocol, finished: Finished) -> Profiled:
    assert finished.code == 0, finished.errors
    runtime = f"xnnpack-float32-t1-contiguous-et1.5.1-native-any-{protocol}"
    return Profiled(protocol, runtime, finished)


@pytest.fixture(scope="module", params=["in_situ", "isolated"])
def session(request: pytest.FixtureRequest) -> Profiled:
    made: Profiled = request.getfixturevalue(request.param)
    return made


def lut(world: World, **query: str) -> httpx.Response:
    return httpx.get(f"{world.server}/lut/{NAME}", params=query)


def test_every_operator_is_measured_once_though_the_app_ended_on_the_way(
    session: Profiled, world: World
) -> None:
    made = visits(world, session.protocol)
    assert len({visited for visited, _, _ in made}) == 1
    assert Counter(made).most_common(1)[0][1] == 1
    programs = {program.rsplit("-", 1)[0] for _, _, program in made}
    if session.protocol == "isolated":
        assert programs == OPERATORS
        assert "resuming the session" in session.finished.errors
    else:
        assert programs == {network.name for network in design_networks(space(SPACE))}
        assert session.finished.errors.count("is back; going on") >= 1
    rows = lut(world, runtime=session.runtime, origin="emulated").json()["entries"]
    assert {row["operator"] for row in rows} == OPERATORS
    assert {row["origin"] for row in rows} == {"emulated"}


def test_its_rows_are_never_served_as_a_phones(session: Profiled, world: World) -> None:
    assert lut(world).status_code == 404  # nothing was measured on any iPhone X
    assert lut(world, runtime=session.runtime).json()["entries"] == []
    said = " ".join(session.finished.errors.split())
    assert f"emulated, no latencies of a {NAME}" in said


def test_the_doctor_finds_it_fit_and_emulated(phone: Phone, world: World) -> None:
    done = world.run("device_agent.doctor", "--device", NAME)
    found = " ".join(done.errors.split())
    assert done.code == 0, found
    for line in (
        *("description: iPhone10,3 (emulated), A11 Bionic, 6 cores", "trust: the phone and this"),
        *("tracer: operators inside whole networks can be timed", "heat: iOS calls it nominal"),
        "a small program: right, in",
    ):
        assert line in found


@pytest.fixture(scope="module")
def small() -> ProgramFile:
    cache = ProgramCache(cache_dir())
    program = Program(content=SMALL, dtype="float32", memory_format="contiguous")
    (done,) = cache.export([program], export_to_pte)
    assert done.error is None
    return cache.file(program)


def opens(**changes: Any) -> AbstractContextManager[IPhone]:
    limits = Limits(look_every_s=0, pause_s=0.1, patience_s=0.3)
    return opener(IOS, NAME, IPhone, {"limits": limits})(**{"protocol": "in_situ", **changes})


def test_outputs_are_those_of_eager_pytorch_with_any_number_of_threads(
    phone: Phone, small: ProgramFile
) -> None:
    for threads in (1, 2, 1):
        with opens(threads=threads) as device:
            check_timing(device.time_program(small, PLAN), small, RUNTIME)


def test_a_damaged_program_costs_itself_alone(
    phone: Phone, small: ProgramFile, tmp_path: Path
) -> None:
    damaged = ProgramFile(tmp_path / "damaged.pte")
    damaged.path.write_bytes(small.path.read_bytes()[:1000])
    with opens() as device:
        with pytest.raises(ProgramFailed) as failed:
            device.time_program(damaged, PLAN)
        assert failed.value.code == "load_failed"
        check_timing(device.time_program(small, PLAN), small, RUNTIME)


def test_a_warm_phone_and_one_that_saves_power_are_refused(
    phone: Phone, small: ProgramFile
) -> None:
    with opens() as device:
        phone.app.set(thermal="serious")
        with pytest.raises(TooHot, match="let it cool"):
            device.time_program(small, PLAN)
        phone.app.set(thermal="nominal", low_power=True)
        with pytest.raises(LowPower, match="Settings > Battery"):
            device.time_program(small, PLAN)
        phone.app.set(low_power=False)
        check_timing(device.time_program(small, PLAN), small, RUNTIME)


def test_an_app_that_is_left_or_closed_or_unplugged_is_told_apart(
    phone: Phone, small: ProgramFile
) -> None:
    with opens(return_limit_s=0.5) as device:
        phone.app.set(state="inactive")
        with pytest.raises(Asleep, match="open it on the phone"):
            device.time_program(small, PLAN)
        phone.app.set(state="suspended")
        with pytest.raises(AppNotRunning, match="tap its icon"):
            device.time_program(small, PLAN)
        phone.usbmuxd.unplug(phone.cabled)
        with pytest.raises(Unplugged, match="not on the cable"):
            device.time_program(small, PLAN)
        phone.usbmuxd.plug(phone.cabled)
        phone.app.set(state="active")
        check_timing(device.time_program(small, PLAN), small, RUNTIME)


def test_an_app_that_is_left_for_a_moment_does_the_job_again(
    phone: Phone, small: ProgramFile
) -> None:
    """The listener is bound anew each time."""
    with opens(return_limit_s=20.0) as device:
        for _ in range(3):
            phone.app.set(state="suspended")
            phone.app.set(state="active")
            check_timing(device.time_program(small, PLAN), small, RUNTIME)


def test_an_app_that_another_agent_has_is_left_alone(
    phone: Phone, small: ProgramFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opens() as device:
        device.time_program(small, PLAN)
    monkeypatch.setenv("PHONEBOOK_HOME", str(tmp_path))  # an agent of another folder
    with pytest.raises(InUse, match="another agent has the app"), opens():
        pass


def test_an_agent_that_another_one_has_shut_out_sends_no_programs(
    phone: Phone, small: ProgramFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opens() as device:
        device.time_program(small, PLAN)
    kept = sorted(phone.app.programs.iterdir())
    monkeypatch.setenv("PHONEBOOK_HOME", str(tmp_path))  # an agent of another folder
    content = b"a program of another agent's"
    with closing(App(UDID)) as other, pytest.raises(InUse, match="or after the end of its job"):
        other.upload(hashlib.sha256(content).hexdigest(), content)
    assert sorted(phone.app.programs.iterdir()) == kept


def test_a_full_phone_at_a_killed_agents_job_is_told_and_not_stuck_at_it(
    phone: Phone, small: ProgramFile, tmp_path: Path
) -> None:
    """The job is stopped, so that old programs can leave; the phone has no room even then."""
    digest = hashlib.sha256(small.path.read_bytes()).hexdigest()
    endless = AppJob(
        job=uuid4(),
        sha256=digest,
        threads=1,
        memory_format="contiguous",
        warmup_runs=0,
        min_runs=1,
        max_runs=10_000_000,
        min_duration_ns=10**12,
        deadline_ns=10**12,
        trace=False,
        max_thermal="fair",
    )
    with closing(App(UDID)) as killed:
        killed.upload(digest, small.path.read_bytes())
        killed.post(endless)
        with opens() as device:
            another = ProgramFile(tmp_path / "another.pte")
            another.path.write_bytes(b"another program")
            phone.app.set(free_bytes=0)
            with pytest.raises(StorageFull, match="the same command goes on"):
                device.store([another])
            ended = killed.result(endless)
            assert ended is not None
            assert ended.status == "stopped"
            phone.app.set(free_bytes=1 << 30)
            check_timing(device.time_program(small, PLAN), small, RUNTIME)


def test_a_program_is_sent_once_and_kept_by_its_hash(phone: Phone, small: ProgramFile) -> None:
    with opens() as device:
        device.store([small])
    (kept,) = [each for each in phone.app.programs.iterdir() if _is(each, small)]
    written = kept.stat().st_mtime_ns
    with opens() as device:
        device.store([small])
    assert kept.stat().st_mtime_ns == written


def _is(path: Path, file: ProgramFile) -> bool:
    return path.is_file() and path.read_bytes() == file.path.read_bytes()


def test_what_the_app_does_not_keep_is_told_with_the_reason(
    phone: Phone, small: ProgramFile
) -> None:
    with closing(App(UDID)) as app:
        with pytest.raises(HashDiffers):
            app.upload("0" * 64, b"not what it is called")
        with pytest.raises(TooLarge):
            app.upload("0" * 64, bytes(MOST_PROGRAM_BYTES + 1))
        assert not app.has("0" * 64)
        app.delete_programs()
    with opens() as device:
        phone.app.set(free_bytes=0)
        with pytest.raises(StorageFull, match="the same command goes on"):
            device.store([small])
        phone.app.set(free_bytes=1 << 30)
        check_timing(device.time_program(small, PLAN), small, RUNTIME)


def test_an_agent_that_serves_takes_its_jobs_and_calls_nothing_emulated_a_latency(
    phone: Phone, world: World
) -> None:
    blocks = tuple("skip" if slot.keeps_shape else "k3_e1" for slot in space(SPACE).slots)
    with opens() as device:
        description, runtime = device.describe(), device.runtime
    job = Job(
        id=uuid4(),
        device=NAME,
        runtime=runtime,
        work=MeasureNetwork(space=SPACE, blocks=blocks),
    )
    with table_client(world.server) as client:
        client.register(NAME, description)
        client.file_job(job)
        done = world.run("device_agent.serve", "--device", NAME, "--once")
        report = client.job(job.id)
    assert done.code == 0, done.errors
    assert report.state == "dead"
    assert "iphonex is emulated: how long a network takes there says nothing" in str(report)


def test_the_phone_that_is_there_has_its_name(phone: Phone, world: World) -> None:
    done = world.run("device_agent.doctor")
    assert UDID in done.errors
    assert NAME in done.errors
