"""Rows from whole networks: right on a device that others disturb most of the time."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.estimates import estimate
from contract.spaces import space
from device_agent.device import ProgramFile
from device_agent.measuring.audit import latency_of
from device_agent.measuring.journal import Journal, OpenSession
from device_agent.measuring.protocols.in_situ import design_networks
from device_agent.measuring.protocols.protocol import EFFORTS, PlannedProgram
from device_agent.measuring.protocols.registry import PROTOCOLS
from device_agent.measuring.session import Sitting
from tests.device_agent.simulated import DISTURBED, OUTSIDE_EVENTS, SimulatedDevice
from tests.fakes import fake_export, fake_session

SPACE = space("fbnet-32")
OPERATORS_US = {
    operator.key: 60.0 + 7.0 * number for number, operator in enumerate(SPACE.operators)
}
NETWORKS = {network.name: network for network in design_networks(SPACE)}


@pytest.fixture(scope="module")
def device() -> SimulatedDevice:
    return SimulatedDevice(OPERATORS_US, NETWORKS, seed=3)


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journal]:
    with Journal(tmp_path_factory.mktemp("in_situ") / "journal.db") as journal:
        yield journal


@pytest.fixture(scope="module")
def sitting(
    journal: Journal, device: SimulatedDevice, tmp_path_factory: pytest.TempPathFactory
) -> Sitting:
    """One whose visits are made."""
    files = _files(device, tmp_path_factory.mktemp("programs"))
    sitting = Sitting(begin(journal, device), files, device=device, journal=journal)
    sitting.measure(before_round=lambda: None, on_visit=lambda: None, on_more=lambda *_: None)
    return sitting


def begin(journal: Journal, device: SimulatedDevice) -> OpenSession:
    session = fake_session(effort="quick").evolve(runtime=device.runtime)
    return journal.begin("http://server", session, SPACE.operators)


def test_rows_add_up_to_the_calm_networks_though_seven_tenths_of_the_runs_are_slow(
    sitting: Sitting, device: SimulatedDevice
) -> None:
    derived = sitting.derived()
    assert derived is not None
    latency_us = {key: each.estimate().latency_us for key, each in derived.operators.items()}
    for name, network in NETWORKS.items():
        assert latency_of(network, latency_us) == pytest.approx(device.network_us(name), rel=0.02)


def test_rows_are_the_operators_own(sitting: Sitting, device: SimulatedDevice) -> None:
    derived = sitting.derived()
    assert derived is not None
    for key, us in OPERATORS_US.items():
        true_us = (
            us
            * device.network_us(next(iter(NETWORKS)))
            / latency_of(next(iter(NETWORKS.values())), OPERATORS_US)
        )
        assert derived.operators[key].estimate().latency_us == pytest.approx(true_us, rel=0.03), (
            key
        )


def test_a_timing_says_which_samples_were_disturbed(
    sitting: Sitting, journal: Journal, device: SimulatedDevice
) -> None:
    _, timings = sitting.close()
    assert [timing.operator for timing in timings] == list(SPACE.operators)
    drift = {factor for timing in timings for factors in timing.drift for factor in factors}
    assert {round(factor, 1) for factor in drift} == {1.0, DISTURBED}
    figures = [estimate(timing.rounds_us, timing.drift) for timing in timings]
    shares = [each.calm / each.samples for each in figures]
    assert 0.1 < sum(shares) / len(shares) < 0.45
    assert sum(each.grade != "C" for each in figures) >= 0.95 * len(figures)
    (identity,) = journal.waiting_sessions("http://server")
    session = journal.session(identity)
    assert session.ended_at is not None
    assert session.conditions_after == device.conditions()
    assert session.derivation is not None
    assert session.derivation.scale == pytest.approx(OUTSIDE_EVENTS, rel=0.02)


@pytest.mark.parametrize(("noise", "more"), [(0.001, 0), (9.0, EFFORTS["quick"].more_rounds)])
def test_more_rounds_are_made_for_what_stays_uncertain_and_no_more_than_the_effort_allows(
    tmp_path: Path, noise: float, more: int
) -> None:
    few = {name: NETWORKS[name] for name in list(NETWORKS)[:2]}
    device = SimulatedDevice(OPERATORS_US, few, seed=1, calm_share=1.0, noise=noise)
    announced: list[int] = []
    with Journal(tmp_path / "journal.db") as journal:
        opened = begin(journal, device)
        Sitting(opened, _files(device, tmp_path), device=device, journal=journal).measure(
            before_round=lambda: None,
            on_visit=lambda: None,
            on_more=lambda visits, _: announced.append(visits),
        )
    visits = len(device.visits) / 2  # each times the network with the tracer and without
    assert visits == (EFFORTS["quick"].rounds + more) * len(few)
    assert sum(announced) == more * len(few)


def _files(device: SimulatedDevice, folder: Path) -> dict[ProgramFile, PlannedProgram]:
    """The design's networks that the device knows, as if exported."""
    planned = PROTOCOLS["in_situ"].plan(
        SPACE.operators, space=SPACE, runtime=device.runtime, effort="quick"
    )
    files = {
        ProgramFile(folder / f"{item.program.name}.pte"): item
        for item in planned
        if item.program.name in device.networks
    }
    for file, item in files.items():
        fake_export(item.program, file)
    return files
