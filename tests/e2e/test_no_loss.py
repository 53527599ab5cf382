"""Agent, server and database killed at random moments: no timing lost, none twice, none wrong."""

import json
import random
import sqlite3
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Protocol
from uuid import UUID, uuid5

import pytest
from sqlalchemy import Engine, select

from contract.client import table_client
from contract.operators import Operator
from server.db import open_database
from server.schema import upgrade
from server.tables import TimingRecord
from tests.e2e.processes import OwnServer, RestlessAgent
from tests.e2e.restless import KEYS, NAME, SPACE
from tests.postgres import PostgresServer

pytestmark = pytest.mark.timeout(1800)


class Victim(Protocol):
    def start(self) -> None: ...

    def kill(self) -> None: ...


class Database:
    """PostgreSQL, killed as by a power cut of its process."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server

    def start(self) -> None:
        self._server.start()

    def kill(self) -> None:
        self._server.stop("immediate")


@pytest.fixture
def kills(request: pytest.FixtureRequest) -> int:
    number: int = request.config.getoption("--kills")
    return number


def test_kill_agent_and_server(tmp_path: Path, kills: int) -> None:
    url = f"sqlite:///{tmp_path}/phonebook.db"
    survive(url, tmp_path, [], kills)
    check_nothing_lost(url, tmp_path)


def test_kill_agent_server_and_database(
    tmp_path: Path, kills: int, own_postgres: PostgresServer
) -> None:
    engine = open_database(own_postgres.url)
    upgrade(engine)
    engine.dispose()
    survive(own_postgres.url, tmp_path, [Database(own_postgres)], kills)
    check_nothing_lost(own_postgres.url, tmp_path)


def survive(url: str, folder: Path, others: Sequence[Victim], kills: int) -> None:
    """Kill each in turn while the agent works, then let it complete the table."""
    generator = random.Random(kills)
    server = OwnServer(url)
    agent = RestlessAgent(server.address, folder)
    server.start()
    agent.start()
    victims: list[Victim] = [agent, server, *others]
    for number in range(kills):
        time.sleep(generator.uniform(0, 1.5))
        victim = victims[number % len(victims)]
        victim.kill()
        time.sleep(generator.uniform(0, 0.5))
        victim.start()
    agent.finish()
    with table_client(server.address) as client:
        table = client.table(NAME, space=SPACE.name)
    server.kill()
    assert table.complete
    assert {row.operator for row in table.entries} == set(KEYS)


def check_nothing_lost(url: str, folder: Path) -> None:
    """Every timing of every session once in the database, with the samples of the journal."""
    engine = open_database(url)
    stored = timings(engine)
    engine.dispose()
    measured = samples_in_journal(folder / "journal.db")
    assert Counter(identity for identity, _ in stored) == dict.fromkeys(measured, 1)
    assert dict(stored) == measured
    acknowledged = {UUID(line) for line in (folder / "acknowledged").read_text().split()}
    assert acknowledged <= measured.keys()
    assert len(acknowledged) > len(KEYS)


def timings(engine: Engine) -> list[tuple[UUID, list[list[float]]]]:
    """Every timing in the database: its id and raw samples, none where it failed."""
    with engine.connect() as connection:
        rows = connection.execute(select(TimingRecord.id, TimingRecord.rounds_us))
        return [(identity, rounds_us or []) for identity, rounds_us in rows]


def samples_in_journal(path: Path) -> dict[UUID, list[list[float]]]:
    """What the timings must be: each session's visits by operator. All of it was sent."""
    found: dict[UUID, list[list[float]]] = {}
    with closing(sqlite3.connect(path)) as journal:
        not_sent = "SELECT count(*) FROM outbox WHERE sent IS NULL"
        assert journal.execute(not_sent).fetchone() == (0,)
        assert journal.execute("SELECT count(*) FROM sessions WHERE is_open").fetchone() == (0,)
        for session, operators in journal.execute("SELECT id, operators FROM sessions"):
            by_key: defaultdict[str, list[list[float]]] = defaultdict(list)
            visits = journal.execute(
                "SELECT body FROM visits WHERE session = ? ORDER BY rowid", (session,)
            )
            for (body,) in visits:
                for series in json.loads(body)["series"]:
                    for key, samples_us in series["samples_us"].items():
                        by_key[key].append(samples_us)
            for body in json.loads(operators):
                key = Operator.model_validate(body).key
                found[uuid5(UUID(session), key)] = by_key[key]
    return found
