"""Sessions of a simulated device, and what the server has of them."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from uuid import UUID

import pytest

from contract.client import TableClient, table_client
from contract.derivation import Derived, derive
from contract.spaces import space
from contract.timings import Timing
from device_agent.device import Device
from device_agent.measuring.audit import networks_to_audit
from device_agent.measuring.journal import Journal
from device_agent.measuring.protocols.in_situ import design_networks
from device_agent.measuring.protocols.protocol import EFFORTS, whole
from device_agent.measuring.protocols.registry import PROTOCOLS
from device_agent.measuring.station import Station
from device_agent.patience import PatienceOptions
from device_agent.programs.cache import ProgramCache
from tests.device_agent.servers import Proxy
from tests.device_agent.simulated import SimulatedDevice
from tests.fakes import fake_export

SPACE = space("fbnet-32")
OPERATORS_US = {
    operator.key: 60.0 + 7.0 * number for number, operator in enumerate(SPACE.operators)
}
DESIGN = design_networks(SPACE)
AUDITED = networks_to_audit(SPACE, 1, 0)
RUNTIME = SimulatedDevice.runtime
VISITS = EFFORTS["quick"].rounds * len(DESIGN)

At = Callable[[str], AbstractContextManager[Station]]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> ProgramCache:
    """With every program that is measured here."""
    cache = ProgramCache(tmp_path_factory.mktemp("programs"))
    designed = PROTOCOLS["in_situ"].plan(
        SPACE.operators, space=SPACE, runtime=RUNTIME, effort="quick"
    )
    for planned in (*designed, *(whole(each, RUNTIME) for each in AUDITED)):
        fake_export(planned.program, cache.file(planned.program))
    return cache


@pytest.fixture
def device() -> SimulatedDevice:
    networks = {network.name: network for network in (*DESIGN, *AUDITED)}
    return SimulatedDevice(OPERATORS_US, networks, seed=5, calm_share=0.9, noise=0.002)


@pytest.fixture
def at(tmp_path: Path, cache: ProgramCache, device: SimulatedDevice) -> At:
    """The simulated device's station of the server at that address, over a journal that stays."""
    return lambda address: station(device, address, tmp_path / "journal.db", cache)


@contextmanager
def station(device: Device, address: str, journal: Path, cache: ProgramCache) -> Iterator[Station]:
    with table_client(address) as client, Journal(journal) as opened:
        yield Station(
            device=device,
            name="bench",
            client=client,
            journal=opened,
            cache=cache,
            exporter=fake_export,
            effort="quick",
            waiting=PatienceOptions(patience=0),
            server_patience_s=0.3,
        )


def derived_again(client: TableClient, session: UUID) -> Derived:
    """What the server has of the session makes this."""
    found = client.visits(str(session))
    told = client.session_report(str(session)).session.derivation
    assert told is not None
    derived = derive(found.layouts, found.visits, usual=told.usual)
    assert derived is not None
    assert derived.derivation == told
    return derived


def must_tell_the_same(derived: Derived, timings: list[Timing]) -> None:
    for timing in timings:
        rounds = derived.operators[timing.operator.key]
        assert timing.rounds_us == tuple(map(tuple, rounds.us))
        assert timing.drift == tuple(map(tuple, rounds.drift))
        assert timing.measured_at == rounds.at


def posted(journal: Journal, address: str) -> tuple[UUID, list[Timing]]:
    """The only session that was sent there, with its timings."""
    journal.put_back(address)
    (session,) = journal.waiting_sessions(address)
    results = [journal.result(entry) for entry in journal.entries(session)]
    return session, [each for each in results if isinstance(each, Timing)]


def visit_posts(proxy: Proxy) -> int:
    return sum(path.endswith("/visits") for path, _ in proxy.posts)
