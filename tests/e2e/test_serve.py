"""An agent that serves: real server, real sockets, a fake device."""

import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest

from contract.client import TableClient, table_client
from contract.errors import PhonebookError
from contract.jobs import AuditTable, Job, JobReport, MeasureNetwork, Profile, Work
from contract.networks import published
from contract.places import HOME_VARIABLE
from contract.runtime import Runtime
from contract.spaces import space
from device_agent.device_lock import DeviceInUse, lock_device
from device_agent.measuring.protocols.protocol import EFFORTS
from device_agent.serve import identity
from tests.e2e.conftest import World
from tests.e2e.processes import OwnServer
from tests.e2e.serving import LIMIT_S, Serving, wait_until
from tests.fakes import DESCRIPTION, RUNTIME, FakeDevice

SPACE = space("fbnet-32-0.35")
US = {operator.key: 10.0 + number for number, operator in enumerate(SPACE.operators)}
ROUNDS = EFFORTS["quick"].rounds
FEW = dict(list(US.items())[:12])  # the other programs fail to load, once
PROFILE = Profile(space=SPACE.name, effort="quick")


@pytest.fixture(autouse=True)
def _state_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def name() -> str:
    return f"bench-{uuid4().hex[:8]}"


@pytest.fixture
def client(world: World, name: str) -> Iterator[TableClient]:
    """Of the server, where the device is registered."""
    with table_client(world.server) as client:
        client.register(name, DESCRIPTION)
        yield client


Serve = Callable[..., Serving]


@pytest.fixture
def serve(world: World, name: str, tmp_path: Path, cache: Path) -> Serve:
    """An agent that serves a fake device, which may be told what to do before each visit."""
    agent = uuid4()

    def start(
        us: dict[str, float] = FEW, on_visit: Callable[[str], None] = lambda key: None
    ) -> Serving:
        return Serving(
            server=world.server,
            device=FakeDevice(us, on_visit),
            journal=tmp_path / "journal.db",
            cache=cache,
            name=name,
            identity=agent,
        )

    return start


def file(client: TableClient, name: str, work: Work, *, runtime: Runtime = RUNTIME) -> Job:
    job = Job(id=uuid4(), device=name, runtime=runtime, work=work)
    client.file_job(job)
    return job


def ended(client: TableClient, job: Job) -> JobReport:
    wait_until(lambda: client.job(job.id).state not in ("waiting", "leased"))
    return client.job(job.id)


def visits(journal: Path) -> Counter[tuple[str, int, str]]:
    with closing(sqlite3.connect(journal)) as opened:
        return Counter(opened.execute("SELECT session, round, program FROM visits").fetchall())


def test_a_profile_job_completes_the_table_and_the_next_finds_nothing_to_do(
    client: TableClient, name: str, serve: Serve
) -> None:
    jobs = [file(client, name, PROFILE), file(client, name, PROFILE)]
    with serve(US) as serving:
        reports = [ended(client, job) for job in jobs]
    assert [report.state for report in reports] == ["done", "done"]
    assert client.table(name, space=SPACE.name).complete
    (session,) = client.sessions(name)
    assert session.unit == "bench-1"
    assert Counter(serving.device.visits) == dict.fromkeys(US, ROUNDS)
    progress = reports[0].progress
    assert progress is None or progress.done <= progress.total == ROUNDS * len(US)
    (agent,) = [each for each in client.agents() if each.id == serving.identity]
    assert [unit.device for unit in agent.description.units] == [name]


def test_a_network_is_measured_whole(client: TableClient, name: str, serve: Serve) -> None:
    blocks = published("fbnet-a", in_space=SPACE).blocks
    job = file(client, name, MeasureNetwork(space=SPACE.name, blocks=blocks))
    with serve({"asked-for": 4321.0}):
        report = ended(client, job)
    assert report.state == "done"
    assert report.estimate is not None
    assert report.estimate.latency_us == 4321.0


def test_what_cannot_be_done_is_not_tried_again_and_says_why(
    client: TableClient, name: str, serve: Serve
) -> None:
    other = Runtime.parse(RUNTIME.key.replace("1.5.1", "9.9.9"))
    impossible = [
        file(client, name, PROFILE, runtime=other),
        file(client, name, AuditTable(space=SPACE.name, effort="quick")),
    ]
    with serve():
        reports = [ended(client, job) for job in impossible]
    assert [(report.state, report.attempts) for report in reports] == [("dead", 1), ("dead", 1)]
    assert f"this agent offers {RUNTIME.key}, not {other.key}" in (reports[0].reason or "")
    assert f"python -m device_agent.run --device {name}" in (reports[1].reason or "")


def test_a_cancelled_job_ends_at_the_next_visit_and_keeps_what_was_measured(
    client: TableClient, name: str, serve: Serve, tmp_path: Path
) -> None:
    job = file(client, name, PROFILE)
    first = serve(on_visit=lambda key: time.sleep(0.05))
    with first:
        wait_until(lambda: len(first.device.visits) > 10)
        client.cancel_job(job.id)
        time.sleep(1)
        seen = len(first.device.visits)
        time.sleep(0.5)
        assert len(first.device.visits) == seen < len(FEW) * ROUNDS
    again = file(client, name, PROFILE)
    with serve() as second:
        assert ended(client, again).state == "done"
    assert Counter(first.device.visits + second.device.visits) == dict.fromkeys(FEW, ROUNDS)
    assert set(visits(tmp_path / "journal.db").values()) == {1}


def test_a_stopped_agent_gives_the_job_back_and_the_next_goes_on_with_it(
    client: TableClient, name: str, serve: Serve, tmp_path: Path
) -> None:
    job = file(client, name, PROFILE)
    first = serve(on_visit=lambda key: time.sleep(0.01))
    with first:
        wait_until(lambda: len(first.device.visits) > 50)
    given_back = client.job(job.id)
    assert (given_back.state, given_back.reason) == ("waiting", "the agent was stopped")
    with serve() as second:
        assert ended(client, job).state == "done"
    assert Counter(first.device.visits + second.device.visits) == dict.fromkeys(FEW, ROUNDS)
    assert set(visits(tmp_path / "journal.db").values()) == {1}


def test_a_device_that_another_agent_measures_on_is_left_alone(
    client: TableClient, name: str, serve: Serve
) -> None:
    with lock_device("host"):
        job = file(client, name, PROFILE)
        with serve() as serving:
            time.sleep(0.5)
            assert client.job(job.id).attempts == 0
    assert serving.device.visits == []


def test_a_device_that_another_computers_agent_has_costs_no_attempt_and_rests(
    client: TableClient, name: str, serve: Serve
) -> None:
    def is_claimed(key: str) -> None:
        raise DeviceInUse("another agent has the phone")

    job = file(client, name, PROFILE)
    with serve(on_visit=is_claimed):
        wait_until(lambda: client.job(job.id).reason == "another agent has the phone")
        time.sleep(1)
        report = client.job(job.id)
    assert (report.state, report.attempts) == ("waiting", 1)
    with serve():
        assert ended(client, job).state == "done"


def test_measuring_goes_on_while_the_server_is_away(tmp_path: Path, cache: Path) -> None:
    with (
        OwnServer(f"sqlite:///{tmp_path}/phonebook.db") as server,
        table_client(server.address) as client,
    ):
        client.register("bench", DESCRIPTION)
        job = file(client, "bench", PROFILE)
        device = FakeDevice(FEW, lambda key: time.sleep(0.01))
        with Serving(
            server=server.address, device=device, journal=tmp_path / "journal.db", cache=cache
        ):
            wait_until(lambda: len(device.visits) > 20)
            server.kill()
            seen = len(device.visits)
            wait_until(lambda: len(device.visits) > seen + 50)
            server.start()
            assert ended(client, job).state == "done"
        table = client.table("bench", space=SPACE.name)
    assert {row.operator for row in table.entries} == FEW.keys()
    assert Counter(device.visits) == dict.fromkeys(FEW, ROUNDS)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_the_command_serves_until_it_is_told_to_stop(
    world: World, number: signal.Signals, code: int
) -> None:
    serving = world.start("device_agent.serve --name nobodys-computer")
    assert serving.stderr is not None
    assert f"waiting for jobs of {world.server}" in serving.stderr.readline()
    if number == signal.SIGINT:
        second = world.run("device_agent.serve")
        assert second.code == 2
        assert "another agent serves from" in second.errors
    serving.send_signal(number)
    serving.communicate(timeout=LIMIT_S)
    assert serving.returncode == code
    with table_client(world.server) as client:
        (agent,) = [each for each in client.agents() if each.id == identity(world.journal.parent)]
    assert agent.description.units == ()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--device", "hots"], 2, "no device 'hots'; did you mean host?"),
        (["--once", "--server", "http://127.0.0.1:9"], 3, "no answer from http://127.0.0.1:9"),
    ],
)
def test_a_wrong_agent_is_explained(
    world: World, arguments: list[str], code: int, message: str
) -> None:
    done = world.run("device_agent.serve", *arguments)
    assert (done.code, message in done.errors) == (code, True)


def test_an_agent_keeps_its_id(tmp_path: Path) -> None:
    assert identity(tmp_path) == identity(tmp_path)
    (tmp_path / "agent-id").write_text("hello")
    with pytest.raises(PhonebookError, match="holds 'hello' and no agent's id; delete it"):
        identity(tmp_path)
