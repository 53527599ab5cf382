"""A search on one machine, its phone on another: what it needs measured goes through the queue."""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from cyclopts import CycloptsError
from rich.console import Console

from contract.client import TableClient, table_client
from contract.errors import IncompleteTable, PhonebookError
from contract.footprint import Footprint
from contract.networks import published
from contract.places import HOME_VARIABLE
from contract.problems import Problem
from contract.spaces import space
from contract.stopping import Stop
from search import predict
from search.config import MachineConfig
from search.measuring.network import MeasurementFailed, Subject, measurer
from search.processes import Processes
from search.runs.complete_table import complete_table, find_table
from search.runs.context import RunContext
from tests.device_agent.servers import Answer, before
from tests.e2e.conftest import World
from tests.e2e.serving import Serving
from tests.fakes import DESCRIPTION, LOAD_NS, PEAK_BYTES, RUNTIME, FakeDevice

pytestmark = pytest.mark.slow

SPACE = space("fbnet-32-0.35")
US = {operator.key: 10.0 + number for number, operator in enumerate(SPACE.operators)}
WHOLE_US = 4321.0


@pytest.fixture(scope="module")
def name() -> str:
    return f"phone-{uuid4().hex[:8]}"


@pytest.fixture(scope="module")
def client(world: World, name: str) -> Iterator[TableClient]:
    """Of the server, where the device is registered."""
    with table_client(world.server) as client:
        client.register(name, DESCRIPTION)
        yield client


@pytest.fixture
def serving(
    world: World, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Serving]:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    with Serving(
        server=world.server,
        device=FakeDevice(US | {"asked-for": WHOLE_US}),
        journal=tmp_path / "journal.db",
        cache=tmp_path,
        name=name,
    ) as serving:
        yield serving


@pytest.fixture
def said() -> io.StringIO:
    return io.StringIO()


Complete = Callable[..., object]


@pytest.fixture
def completed(world: World, name: str, said: io.StringIO) -> Complete:
    context = RunContext(
        machine=MachineConfig(threads=1),
        processes=Processes(),
        console=Console(file=said, width=400, markup=False),
        stop=Stop(),
    )

    def run(runtime: str = "", *, profile_missing: bool) -> object:
        target = f"{name}{runtime}"
        found = find_table(
            world.server,
            target=target,
            space=SPACE,
            context=context,
            profile_missing=profile_missing,
        )
        return complete_table(world.server, found, target=target, space=SPACE, context=context)

    return run


def test_an_incomplete_table_is_refused_with_both_ways_to_fill_it(
    client: TableClient, name: str, completed: Complete
) -> None:
    with pytest.raises(IncompleteTable) as refused:
        completed(f"@{RUNTIME.key}", profile_missing=False)
    assert f"python -m device_agent.run --device {name}" in str(refused.value)
    assert "or give --profile-missing" in str(refused.value)


def test_a_device_without_a_table_needs_its_runtime_written_out(
    client: TableClient, name: str, completed: Complete
) -> None:
    with pytest.raises(PhonebookError, match="--profile-missing needs to know the runtime") as it:
        completed(profile_missing=True)
    assert f"`python -m device_agent.run --device {name} --space {SPACE.name}`" in str(it.value)
    assert f"{name}@xnnpack-float32-t1" in str(it.value)


def test_an_agent_that_serves_the_device_fills_the_table(
    client: TableClient, name: str, serving: Serving, completed: Complete, said: io.StringIO
) -> None:
    completed(f"@{RUNTIME.key}", profile_missing=True)
    assert client.table(name, space=SPACE.name).complete
    assert f"{len(US)} operators of {SPACE.name} have no row" in said.getvalue()
    assert "is done" in said.getvalue()
    visits = len(serving.device.visits)
    completed(profile_missing=True)
    assert len(serving.device.visits) == visits


@pytest.mark.parametrize("where", ["queue", "auto"])
def test_an_agent_that_serves_the_device_measures_a_network(
    world: World, client: TableClient, name: str, serving: Serving, where: str
) -> None:
    asked = ["--device", name, "--network", "fbnet-a", "--space", SPACE.name]
    done = world.run("search.predict", *asked, "--measure", where, "--json")
    assert done.code == 0, done.errors
    assert json.loads(done.output)["measured_us"] == WHOLE_US
    assert "is done" in done.errors


def test_a_measured_network_says_by_which_job(
    world: World, client: TableClient, name: str, serving: Serving, said: io.StringIO
) -> None:
    measure = measurer("queue", server=world.server, console=Console(file=said))
    assert measure is not None
    network = published("fbnet-b", in_space=SPACE)
    found = measure(Subject(network=network, device=name, runtime=RUNTIME, words=()))
    assert found.latency_us == WHOLE_US
    (newest, *_) = client.jobs(name)
    assert found.by == f"job {newest.job.id}"
    assert (
        found.footprint
        == newest.footprint
        == Footprint(load_ms=LOAD_NS / 1e6, first_run_ms=WHOLE_US / 1e3, peak_bytes=PEAK_BYTES)
    )


def test_an_older_server_is_told_the_latency_alone(
    world: World, client: TableClient, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def older(path: str, body: bytes) -> Answer | None:
        """As a server does that knows no footprints."""
        if path.endswith("/finish") and "footprint" in json.loads(body):
            told = Problem(type="about:blank", title="No", status=422, detail="no")
            return 422, "application/problem+json", told.model_dump_json().encode()
        return None

    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    with before(world.server) as (proxy, through):
        proxy.instead = older
        other = f"{name}-of-before"
        client.register(other, DESCRIPTION)
        with Serving(
            server=through,
            device=FakeDevice({"asked-for": WHOLE_US}),
            journal=tmp_path / "other.db",
            cache=tmp_path,
            name=other,
        ):
            measure = measurer("queue", server=through, console=Console(file=io.StringIO()))
            assert measure is not None
            network = published("fbnet-b", in_space=SPACE)
            found = measure(Subject(network=network, device=other, runtime=RUNTIME, words=()))
    assert (found.latency_us, found.footprint) == (WHOLE_US, None)
    (report,) = client.jobs(other)
    assert (report.state, report.attempts) == ("done", 1)


def test_where_nobody_serves_the_device_a_program_here_measures(world: World) -> None:
    measure = measurer("auto", server=world.server, console=Console())
    assert measure is not None
    network = published("fbnet-b", in_space=SPACE)
    words = ("--network", "fbnet-b")
    with pytest.raises(MeasurementFailed, match=r"`python -m device_agent\.network") as failed:
        measure(Subject(network=network, device="unserved", runtime=RUNTIME, words=words))
    assert failed.value.exit_code == 2  # no computer is that device, and no phone runs Python


def test_nobody_measures_where_nobody_is_to(world: World) -> None:
    assert measurer("no", server=world.server, console=Console()) is None
    with pytest.raises(CycloptsError, match="--measure"):
        predict.app(["--device", "x", "--network", "fbnet-a", "--measure", "perhaps"])
