"""A device that is slower than when its table was measured, which no probe tells: real server."""

from collections.abc import Iterator
from statistics import median

import pytest

from contract.audits import summary
from contract.client import table_client
from contract.networks import network
from contract.spaces import space
from device_agent.measuring.audit import audit, networks_to_audit
from device_agent.measuring.journal import Journal
from device_agent.measuring.profile import profile
from device_agent.measuring.protocols.in_situ import design_networks
from device_agent.measuring.protocols.protocol import whole
from device_agent.measuring.references import beside
from device_agent.measuring.station import Station
from device_agent.measuring.whole_network import export_network, time_network
from device_agent.programs.cache import ProgramCache
from tests.device_agent.simulated import SimulatedDevice
from tests.e2e.conftest import World
from tests.fakes import fake_export

pytestmark = pytest.mark.slow

SPACE = space("fbnet-96-0.5")
OPERATORS_US = {
    operator.key: 55.0 + 9.0 * number for number, operator in enumerate(SPACE.operators)
}
COUNT, SEED = 8, 3
AUDITED = networks_to_audit(SPACE, COUNT, SEED)
AUDITED_LATER = networks_to_audit(SPACE, COUNT, SEED + 1)
NETWORKS = {each.name: each for each in (*design_networks(SPACE), *AUDITED, *AUDITED_LATER)}
LEVEL = 1.06


@pytest.fixture(scope="module")
def device() -> SimulatedDevice:
    """Calm most of the time."""
    return SimulatedDevice(OPERATORS_US, dict(NETWORKS), seed=11, calm_share=0.9)


@pytest.fixture(scope="module")
def station(
    world: World, device: SimulatedDevice, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Station]:
    """Its table was measured at the device's usual level, since when it is slower."""
    folder = tmp_path_factory.mktemp("levels")
    with table_client(world.server) as client, Journal(folder / "journal.db") as journal:
        station = Station(
            device=device,
            name="levelled",
            client=client,
            journal=journal,
            cache=ProgramCache(folder),
            exporter=fake_export,
            effort="quick",
        )
        profile(station, SPACE)
        device.level = LEVEL
        yield station


def test_a_session_says_what_it_timed_whole(station: Station, device: SimulatedDevice) -> None:
    (session,) = station.client.sessions(station.name)
    assert session.derivation is not None
    designs = {
        station.cache.file(whole(each, device.runtime).program).name: each
        for each in design_networks(SPACE)
    }
    references = session.derivation.references
    assert {each.program for each in references} == designs.keys()
    for each in references:
        true_us = device.network_us(designs[each.program].name)
        assert each.latency_us == pytest.approx(true_us, rel=0.02)
        assert each.low_us <= each.latency_us <= each.high_us


def test_a_network_is_told_at_the_tables_level(station: Station, device: SimulatedDevice) -> None:
    chosen = AUDITED[0]
    others = beside(
        chosen,
        device.runtime,
        device=station.name,
        client=station.client,
        cache=station.cache,
        exporter=station.exporter,
    )
    assert others is not None
    file = export_network(chosen, device.runtime, station.cache, station.exporter)
    timed = time_network(device, chosen, file, beside=others)
    true_us = device.network_us(chosen.name)
    assert timed.estimate.latency_us == pytest.approx(LEVEL * true_us, rel=0.015)
    assert timed.at_level is not None
    assert timed.at_level.level.factor == pytest.approx(LEVEL, rel=0.01)
    assert timed.at_level.latency_us == pytest.approx(true_us, rel=0.015)
    assert timed.at_level.level.session == station.client.sessions(station.name)[0].id


def test_an_audit_tells_the_tables_errors_without_what_the_day_differs_by(
    station: Station,
) -> None:
    figures = summary(audit(station, SPACE, networks=COUNT, seed=SEED))
    assert figures.table.bias == pytest.approx(1 / LEVEL - 1, abs=0.01)
    assert figures.at_level is not None
    assert abs(figures.at_level.bias) < 0.01
    assert figures.level is not None
    assert figures.level.low < LEVEL < figures.level.high
    station.send()
    told = station.client.table(station.name, space=SPACE.name).audit
    assert told == figures


def test_a_table_of_two_sessions_is_compared_at_its_own_level(station: Station) -> None:
    """Its rows lie between both sessions, and so do the references that stand for it."""
    profile(station, SPACE, again=True)
    table = station.client.table(station.name, space=SPACE.name)
    assert {row.sessions for row in table.entries} == {2}
    report = station.client.session_report(str(table.main_session))
    newest_us = {
        each.operator: each.estimate.latency_us for each in report.timings if each.estimate
    }
    between = median(row.latency_us / newest_us[row.operator] for row in table.entries)
    assert 1 / LEVEL < between < 0.999
    figures = summary(audit(station, SPACE, networks=COUNT, seed=SEED + 1))
    assert figures.level is not None
    assert figures.level.factor == pytest.approx(1 / between, rel=0.01)
    assert figures.at_level is not None
    assert abs(figures.at_level.bias) < 0.01


def test_a_device_without_a_table_tells_no_level(station: Station) -> None:
    blocks = [each.candidates[0].block.name for each in SPACE.choices]
    nobody = beside(
        network(blocks, space=SPACE, name="chosen"),
        station.device.runtime,
        device="nobodys-phone",
        client=station.client,
        cache=station.cache,
        exporter=station.exporter,
    )
    assert nobody is None
