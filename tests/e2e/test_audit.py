"""A table and its audit, on a device that others disturb: real server, simulated device."""

import json
from collections.abc import Iterator
from uuid import uuid4

import pytest

from contract.audits import summary
from contract.client import TableClient, table_client
from contract.errors import DeviceFailed, IncompleteTable, PhonebookError
from contract.networks import NETWORK_NAMES
from contract.spaces import space
from device_agent.compare import repeatability
from device_agent.measuring.audit import audit, networks_to_audit
from device_agent.measuring.journal import Journal
from device_agent.measuring.profile import profile
from device_agent.measuring.protocols.in_situ import design_networks
from device_agent.measuring.station import Station
from device_agent.programs.cache import ProgramCache
from tests.device_agent.simulated import SimulatedDevice
from tests.e2e.conftest import World
from tests.fakes import fake_export

pytestmark = pytest.mark.slow

SPACE = space("fbnet-96-0.5")
OPERATORS_US = {
    operator.key: 55.0 + 9.0 * number for number, operator in enumerate(SPACE.operators)
}
COUNT, SEED = 8, 5
AUDITED = networks_to_audit(SPACE, COUNT, SEED)
NETWORKS = {network.name: network for network in (*design_networks(SPACE), *AUDITED)}
NAME = "simulated"


@pytest.fixture(scope="module")
def client(world: World) -> Iterator[TableClient]:
    with table_client(world.server) as client:
        yield client


@pytest.fixture(scope="module")
def device() -> SimulatedDevice:
    return SimulatedDevice(OPERATORS_US, dict(NETWORKS), seed=11, calm_share=0.6)


@pytest.fixture(scope="module")
def station(
    client: TableClient, device: SimulatedDevice, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Station]:
    folder = tmp_path_factory.mktemp("simulated")
    with Journal(folder / "journal.db") as journal:
        yield Station(
            device=device,
            name=NAME,
            client=client,
            journal=journal,
            cache=ProgramCache(folder),
            exporter=fake_export,
            effort="quick",
        )


def test_an_incomplete_table_is_not_audited(station: Station, device: SimulatedDevice) -> None:
    station.client.register(NAME, device.describe())
    with pytest.raises(IncompleteTable, match=r"device_agent\.run --device simulated"):
        audit(station, SPACE, networks=COUNT, seed=SEED)
    assert device.visits == []


def test_two_sessions_of_a_disturbed_device_repeat_each_other(station: Station) -> None:
    profile(station, SPACE)
    profile(station, SPACE, again=True)
    second, first = station.client.sessions(NAME)
    found = repeatability(
        station.client.session_report(str(first.id)), station.client.session_report(str(second.id))
    )
    assert found.rows == found.heavy_rows == len(SPACE.operators)
    assert found.median < 0.01
    assert found.p95 < 0.03
    assert found.certain > 0.95
    assert {pair.operator for pair in found.pairs} == set(OPERATORS_US)


def test_an_audit_goes_on_after_an_interruption_and_finds_the_table_right(
    station: Station, device: SimulatedDevice
) -> None:
    before = len(device.visits)
    device.gone_after = 100
    with pytest.raises(DeviceFailed):
        audit(station, SPACE, networks=COUNT, seed=SEED)
    device.gone_after = None
    done = audit(station, SPACE, networks=COUNT, seed=SEED)

    names = [network.name for network in done.networks]
    assert len(names) == COUNT + len(NETWORK_NAMES)
    assert set(NETWORK_NAMES) <= set(names)
    visits = len(device.visits) - before
    assert visits >= 12 * (2 * len(design_networks(SPACE)) + len(AUDITED))
    figures = summary(done)
    for errors in (figures.table, figures.fresh, figures.fitted):
        assert errors.mape < 0.01
        assert errors.worst < 0.03
        assert errors.kendall_tau > 0.85  # networks of near equal latency may change places
    station.send()
    for network in done.networks:
        assert network.measured.latency_us == pytest.approx(
            device.network_us(network.name), rel=0.02
        )


def test_a_failed_network_ends_the_audit_with_its_reason_and_the_next_begins_anew(
    station: Station, device: SimulatedDevice
) -> None:
    broken = AUDITED[0].name
    del device.networks[broken]
    with pytest.raises(DeviceFailed, match=f"1 of .* programs failed.*{broken}.*load_failed"):
        audit(station, SPACE, networks=COUNT, seed=SEED)
    device.networks[broken] = NETWORKS[broken]
    assert station.unfinished(SPACE, f"audit of {COUNT} networks, seed {SEED}") is None


def test_the_table_carries_its_audit(station: Station) -> None:
    table = station.client.table(NAME, space=SPACE.name)
    assert table.audit is not None
    assert table.audit.networks == COUNT + len(NETWORK_NAMES)
    assert table.audit.snapshot == table.snapshot


def test_sessions_of_different_runtimes_are_not_compared(station: Station) -> None:
    first = station.client.session_report(str(station.client.sessions(NAME)[0].id))
    other = first.session.runtime.evolve(threads=2)
    second = first.evolve(session=first.session.evolve(runtime=other))
    with pytest.raises(PhonebookError, match="differ in their runtime"):
        repeatability(first, second)


def test_the_command_compares_two_sessions(world: World, station: Station) -> None:
    *_, second, first = station.client.sessions(NAME)
    done = world.run("device_agent.compare", str(first.id), str(second.id), "--json")
    assert done.code == 0, done.errors
    assert json.loads(done.output)["rows"] == len(SPACE.operators)
    assert "of the grades are A or B" in done.errors
    assert world.run("device_agent.compare", str(first.id), "nothing").code == 2
    unknown = world.run("device_agent.compare", str(first.id), str(uuid4()))
    assert unknown.code == 3
    assert "GET /sessions?device=" in unknown.errors
