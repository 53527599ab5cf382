"""Sending to a server whose database was replaced, or whose clock is wrong."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from contract.client import table_client
from contract.errors import ClocksDiffer
from contract.spaces import space
from device_agent.measuring.journal import Journal
from device_agent.measuring.profile import profile
from device_agent.measuring.station import Station
from device_agent.measuring.upload import send
from device_agent.programs.cache import ProgramCache
from tests.device_agent.results import OPERATORS, SESSION, TIMINGS, keys, measured, timings_of
from tests.device_agent.servers import Answer, before, new_token, serving, stored_operators
from tests.fakes import DESCRIPTION, FakeDevice, fake_export, fake_session
from tests.server.making import an_audit


def test_a_wrong_clock_is_told_once_and_is_not_final(empty: Journal, database: Path) -> None:
    def behind() -> datetime:
        return datetime.now(UTC) - timedelta(days=3)

    with serving(database, clock=behind) as address, table_client(address) as client:
        port = httpx.URL(address).port
        measured(empty, address)
        other = fake_session()
        measured(empty, address, timings_of(other), session=other)
        sent = send(empty, client)
        assert (sent.accepted, sent.refused, sent.clocks_differ) == (0, (), True)
        (line,) = sent.lines
        assert line.startswith("16 results wait: ")
        assert f"{SESSION.started_at:%Y-%m-%dT%H}" in line
        assert f"{behind():%Y-%m-%dT%H}" in line
    assert port is not None
    with serving(database, port=port) as address, table_client(address) as client:
        assert send(empty, client).accepted == 16


def test_a_new_and_empty_database_is_told_device_and_session(
    empty: Journal, tmp_path: Path
) -> None:
    with serving(tmp_path / "new.db") as address, table_client(address) as client:
        measured(empty, address)
        audit = an_audit("bench")
        session = fake_session()
        empty.begin(address, session, OPERATORS, description=DESCRIPTION)
        empty.close(session, [audit])
        assert send(empty, client).accepted == len(TIMINGS) + 1
        assert [device.description for device in client.devices()] == [DESCRIPTION]
        assert client.sessions("bench") == [SESSION]


def test_a_device_that_nobody_can_describe_waits_for_its_next_run(
    empty: Journal, database: Path
) -> None:
    with serving(database) as address, table_client(address) as client:
        measured(empty, address, known=False)
        sent = send(empty, client)
        (line,) = sent.lines
        assert line.startswith("8 results wait: ")
        assert line.endswith("the agent's next run on that device registers it")
        client.register("bench", DESCRIPTION)
        assert send(empty, client).accepted == len(TIMINGS)


def test_a_name_that_is_another_devices_by_now_gets_none_of_its_results(
    empty: Journal, database: Path
) -> None:
    with serving(database) as address, table_client(address) as client:
        measured(empty, address)
        client.register("bench", DESCRIPTION.evolve(soc="Another"))
        sent = send(empty, client)
        assert (sent.accepted, sent.refused, len(sent.waiting)) == (0, (), 8)
        assert "is registered with soc 'Another'" in sent.lines[0]
    assert stored_operators(database) == []


def test_a_database_replaced_in_the_midst_of_sending_gets_session_and_results(
    empty: Journal, tmp_path: Path
) -> None:
    session = fake_session()
    timings = timings_of(session, range(99), samples=100)
    with (
        serving(tmp_path / "old.db") as old,
        serving(tmp_path / "new.db") as new,
        before(old) as (proxy, through),
        table_client(through) as client,
    ):

        def replaced(path: str, body: bytes) -> Answer | None:
            if path.endswith("/batch"):
                proxy.server = new
            return None

        proxy.instead = replaced
        measured(empty, through, timings, session=session)
        sent = send(empty, client)
        assert (sent.accepted, sent.kept) == (99, ())
    assert stored_operators(tmp_path / "new.db") == keys(timings)


def test_a_session_of_another_token_waits_and_holds_up_no_other(
    empty: Journal, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = fake_session()
    with serving(database) as address:
        for name in ("old", "new"):
            monkeypatch.setenv("PHONEBOOK_TOKEN", new_token(database, name, "agent"))
            if name == "old":
                with table_client(address) as client:
                    client.register("bench", DESCRIPTION)
                    client.add_session(SESSION)
        measured(empty, address)
        measured(empty, address, timings_of(other), session=other)
        with table_client(address) as client:
            sent = send(empty, client)
        assert (sent.accepted, sent.refused) == (8, ())
        (line,) = sent.lines
        assert line.startswith("8 results wait: ")
        assert "belongs to the token old" in line


def test_a_database_replaced_by_an_older_copy_gets_what_it_lost(
    empty: Journal, database: Path, tmp_path: Path
) -> None:
    later = fake_session()
    copy = tmp_path / "copy.db"
    with serving(database) as address, table_client(address) as client:
        port = httpx.URL(address).port or 0
        measured(empty, address)
        send(empty, client)
    shutil.copy(database, copy)
    with serving(database, port=port) as address, table_client(address) as client:
        measured(empty, address, timings_of(later, range(20)), session=later)
        assert send(empty, client).accepted == 20
        assert send(empty, client).accepted == 0
    for part in tmp_path.glob("server.db*"):
        part.unlink()
    shutil.copy(copy, database)
    with serving(database, port=port) as address, table_client(address) as client:
        empty.put_back(address, later.id)
        assert empty.waiting(address) == 20
        empty.put_back(address)
        sent = send(empty, client)
        assert (sent.accepted, sent.kept) == (28, ())
    assert stored_operators(database) == keys([*TIMINGS, *timings_of(later, range(20))])


@pytest.mark.parametrize("ahead", [timedelta(days=3), -timedelta(days=3)], ids=["ahead", "behind"])
def test_clocks_that_differ_are_told_before_anything_is_measured(
    empty: Journal, database: Path, tmp_path: Path, ahead: timedelta
) -> None:
    def clock() -> datetime:
        return datetime.now(UTC) - ahead

    small = space("fbnet-32-0.35")
    device = FakeDevice({operator.key: 10.0 for operator in small.operators})
    device.origin = "measured"
    with serving(database, clock=clock) as address, table_client(address) as client:
        station = Station(
            device=device,
            name="bench",
            client=client,
            journal=empty,
            cache=ProgramCache(tmp_path),
            exporter=fake_export,
            effort="quick",
        )
        with pytest.raises(ClocksDiffer) as differ:
            profile(station, small)
    assert f"here it is {datetime.now(UTC):%Y-%m-%d}" in str(differ.value)
    assert f"and by {address} {clock():%Y-%m-%d}" in str(differ.value)
    assert device.visits == []
