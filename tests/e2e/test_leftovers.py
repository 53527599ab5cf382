"""What the server does not take: the agent tells it, keeps it, and goes on with all else."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from contract.client import table_client
from contract.errors import ClocksDiffer
from contract.jobs import Job, Profile
from contract.places import HOME_VARIABLE
from contract.sessions import Session
from contract.spaces import space
from device_agent.measuring.journal import Journal
from device_agent.measuring.profile import profile
from device_agent.measuring.station import Station
from device_agent.measuring.upload import send
from device_agent.programs.cache import ProgramCache
from device_agent.screen import console
from tests.device_agent.results import timings_of
from tests.device_agent.servers import serving
from tests.e2e.serving import DEVICE, Serving, wait_until
from tests.fakes import DESCRIPTION, RUNTIME, FakeDevice, fake_export, fake_session

SPACE = space("fbnet-32-0.35")
US = {operator.key: 10.0 + number for number, operator in enumerate(SPACE.operators)}
ANOTHERS = space("fbnet-224").head  # no operator of that space


@pytest.fixture(autouse=True)
def _state_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))


@contextmanager
def station_of(server: str, folder: Path, device: FakeDevice) -> Iterator[Station]:
    device.origin = "measured"
    with table_client(server) as client, Journal(folder / "journal.db") as journal:
        yield Station(
            device=device,
            name=DEVICE,
            client=client,
            journal=journal,
            cache=ProgramCache(folder),
            exporter=fake_export,
            effort="quick",
        )


def leave_behind(journal: Path, server: str, *, hours_ahead: int = 0) -> Session:
    """A session that wants for good, or for some hours, what the server does not take."""
    session = fake_session()
    (timing,) = timings_of(session, [0])
    measured_at = timing.measured_at + timedelta(hours=hours_ahead)
    odd = timing.evolve(**{"measured_at": measured_at} if hours_ahead else {"operator": ANOTHERS})
    with Journal(journal) as opened:
        opened.begin(server, session, [odd.operator], description=DESCRIPTION)
        opened.close(session, [odd])
    return session


def test_earlier_results_that_are_not_taken_keep_nobody_from_measuring(tmp_path: Path) -> None:
    with serving(tmp_path / "server.db") as address:
        leave_behind(tmp_path / "journal.db", address)
        leave_behind(tmp_path / "journal.db", address, hours_ahead=1)
        with station_of(address, tmp_path, FakeDevice(US)) as station, console.capture() as said:
            profile(station, SPACE)
            assert station.client.table(DEVICE, space=SPACE.name).complete
        told = " ".join(said.get().split())
        assert f"{ANOTHERS.key} was refused for good" in told
        assert "waits: " in told
        assert f"`python -m device_agent.outbox --server {address}`" in told


def test_where_the_clocks_differ_nothing_is_measured_until_they_agree(
    tmp_path: Path,
) -> None:
    def behind() -> datetime:
        return datetime.now(UTC) - timedelta(days=3)

    device = FakeDevice(US)
    with serving(tmp_path / "server.db", clock=behind) as address:
        port = httpx.URL(address).port or 0
        with (
            station_of(address, tmp_path, device) as station,
            pytest.raises(ClocksDiffer, match="set whichever clock is wrong"),
        ):
            profile(station, SPACE)
    assert device.visits == []
    with (
        serving(tmp_path / "server.db", port=port) as address,
        station_of(address, tmp_path, device) as station,
    ):
        profile(station, SPACE)
        assert station.client.table(DEVICE, space=SPACE.name).complete


def test_an_agent_that_serves_does_its_jobs_and_sends_what_waits_into_a_new_database(
    tmp_path: Path,
) -> None:
    with serving(tmp_path / "server.db") as address, table_client(address) as client:
        path = tmp_path / "journal.db"
        leave_behind(path, address)
        ahead = leave_behind(path, address, hours_ahead=1)
        with Journal(path) as journal:
            good = fake_session()
            journal.begin(address, good, [], description=DESCRIPTION)
            journal.close(good, timings_of(good))
        agent = Serving(
            server=address, device=FakeDevice(US), journal=path, cache=tmp_path, name=DEVICE
        )
        with agent:
            wait_until(lambda: bool(client.devices()))
            job = Job(
                id=uuid4(),
                device=DEVICE,
                runtime=RUNTIME,
                work=Profile(space=SPACE.name, effort="quick"),
            )
            client.file_job(job)
            wait_until(lambda: client.job(job.id).state not in ("waiting", "leased"))
            assert client.job(job.id).state == "done"
        assert len(client.session_report(str(good.id)).timings) == 8
        with Journal(path) as journal:
            assert journal.waiting_sessions(address) == [ahead.id]
            journal.put_back(address, good.id)
            assert send(journal, client).accepted == 8
