"""`python -m device_agent.outbox`, as a person types it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from contract.client import table_client
from contract.places import HOME_VARIABLE
from contract.spaces import space
from device_agent.measuring.journal import Journal
from device_agent.measuring.upload import send
from device_agent.places import journal_path
from tests.device_agent.results import SESSION, TIMINGS, measured, timings_of
from tests.device_agent.servers import serving, stored_operators
from tests.fakes import fake_session

Command = Callable[..., subprocess.CompletedProcess[str]]
FOREIGN = TIMINGS[1].evolve(operator=space("fbnet-224").head, id=uuid4())


@pytest.fixture
def outbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "device_agent.outbox", *arguments],
            env=os.environ | {"COLUMNS": "1000"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.mark.slow
def test_it_sends_what_waits_and_lists_what_it_holds(outbox: Command, tmp_path: Path) -> None:
    with serving(tmp_path / "server.db") as address:
        with Journal(journal_path()) as journal:
            measured(journal, address, [*TIMINGS, FOREIGN])
        before = outbox("--server", address, "--list")
        assert before.returncode == 0
        heads, line = before.stdout.splitlines()
        assert heads.split() == ["session", "device", "space", "waiting", "refused", "sent"]
        assert line.split() == [str(SESSION.id), "bench", "fbnet-32", "9", "0", "0"]
        assert stored_operators(tmp_path / "server.db") == []

        sent = outbox("--server", address)
        assert sent.returncode == 3
        assert f"8 results stored by {address}" in sent.stderr
        assert f"error: {FOREIGN.operator.key} was refused for good: {address}: " in sent.stderr
        assert f"`python -m device_agent.outbox --server {address}`" in sent.stderr

        _, line, reason = outbox("--server", address, "--list").stdout.splitlines()
        assert line.split()[-3:] == ["0", "1", "8"]
        assert reason.startswith(f"refused in session {SESSION.id}: 1 result: {address}: ")

        again = outbox("--server", address)
        assert again.returncode == 0
        assert "0 results stored" in again.stderr
        assert "1 result refused before; --list tells why, --resend tries again" in again.stderr
    assert len(stored_operators(tmp_path / "server.db")) == 8


@pytest.mark.slow
def test_it_sends_again_to_a_server_that_was_restored_from_an_older_copy(
    outbox: Command, tmp_path: Path
) -> None:
    database, later = tmp_path / "server.db", fake_session()
    with serving(database) as address:
        port = httpx.URL(address).port or 0
    shutil.copy(database, tmp_path / "copy.db")
    with (
        serving(database, port=port) as address,
        table_client(address) as client,
        Journal(journal_path()) as journal,
    ):
        measured(journal, address)
        measured(journal, address, timings_of(later), session=later)
        assert send(journal, client).accepted == 16
    for part in tmp_path.glob("server.db*"):
        part.unlink()
    shutil.copy(tmp_path / "copy.db", database)
    with serving(database, port=port) as address, table_client(address) as client:
        one = outbox("--server", address, "--resend", "--session", str(later.id))
        assert (one.returncode, "8 results stored" in one.stderr) == (0, True)
        assert client.sessions("bench") == [later]
        for _ in range(2):
            done = outbox("--server", address, "--resend")
            assert (done.returncode, "16 results stored" in done.stderr) == (0, True)
    assert len(stored_operators(database)) == 16


def test_a_clock_that_is_wrong_is_told_once_and_then_all_is_sent(
    outbox: Command, tmp_path: Path
) -> None:
    with serving(tmp_path / "a.db", clock=lambda: datetime.now(UTC) - timedelta(3)) as address:
        port = httpx.URL(address).port or 0
        with Journal(journal_path()) as journal:
            measured(journal, address)
        waits = outbox("--server", address)
        assert waits.returncode == 3
        assert waits.stderr.count("set whichever clock is wrong") == 1
        assert "8 results wait: " in waits.stderr
    with serving(tmp_path / "a.db", port=port) as address:
        assert outbox("--server", address).returncode == 0
    assert len(stored_operators(tmp_path / "a.db")) == 8


@pytest.mark.slow
def test_a_server_that_is_away_leaves_everything_where_it_was(outbox: Command) -> None:
    with Journal(journal_path()) as journal:
        measured(journal, "http://127.0.0.1:9")
    other = outbox("--list", "--server", "http://127.0.0.1:1")
    assert other.stdout.splitlines() == [
        "the outbox holds nothing for http://127.0.0.1:1",
        "for http://127.0.0.1:9: 8 results to send; --server http://127.0.0.1:9 lists them",
    ]
    away = outbox("--server", "http://127.0.0.1:9")
    assert away.returncode == 3
    assert "8 results wait in the outbox" in away.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--list", "--resend"), "give one of them"),
        (("--session", str(uuid4())), "--list shows those it has"),
        (("--session", str(SESSION.id)), "give --server http://another"),
    ],
)
def test_what_cannot_be_done_is_explained(
    outbox: Command, arguments: tuple[str, ...], said: str
) -> None:
    with Journal(journal_path()) as journal:
        measured(journal, "http://another")
    done = outbox("--server", "http://127.0.0.1:1", *arguments)
    assert (done.returncode, said in done.stderr) == (2, True)
