"""Agents, server and database killed at random moments: no timing lost, none twice, none wrong."""

import json
import random
import sqlite3
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Protocol
from uuid import UUID, uuid5

import numpy as np
import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session as DbSession

from contract.client import TableClient, table_client
from contract.derivation import Calm
from contract.estimates import Estimate, estimate
from contract.operators import Operator
from contract.sessions import Session
from contract.tables import LatencyTable, Row, SessionReport
from contract.timings import Failure
from contract.visits import Visit
from server.database.engine import open_database
from server.database.records import RowVersion, TimingRecord
from server.database.schema import upgrade
from server.store.pooling import MOST_SESSIONS, SessionFigures
from server.store.snapshots import Figures
from tests.e2e.processes import OwnServer, RestlessAgent
from tests.e2e.restless import KEYS, NAME, SPACE
from tests.postgres import PostgresServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

AGENTS = 3
LEAST_GOOD = 0.8  # of all timings have samples


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


@dataclass(frozen=True)
class Measured:
    """What a stored timing must be."""

    session: UUID
    operator: str
    measured_at: datetime
    rounds_us: list[list[float]]
    drift: list[list[float]]
    failure: Failure | None

    @property
    def estimate(self) -> Estimate | None:
        return estimate(self.rounds_us, self.drift) if self.rounds_us else None


@dataclass(frozen=True)
class Told:
    """What the server answered in the end."""

    table: LatencyTable
    of_space: LatencyTable
    again: tuple[LatencyTable, LatencyTable]  # the same two, by their snapshots' ids
    sessions: list[SessionReport]
    visits: dict[UUID, tuple[Visit, ...]]


@pytest.fixture
def kills(request: pytest.FixtureRequest) -> int:
    number: int = request.config.getoption("--kills")
    return number


def test_kill_agents_and_server(tmp_path: Path, kills: int) -> None:
    check_nothing_lost(f"sqlite:///{tmp_path}/phonebook.db", tmp_path, [], kills)


def test_kill_agents_server_and_database(
    tmp_path: Path, kills: int, own_postgres: PostgresServer
) -> None:
    engine = open_database(own_postgres.url)
    upgrade(engine)
    engine.dispose()
    check_nothing_lost(own_postgres.url, tmp_path, [Database(own_postgres)], kills)


def check_nothing_lost(url: str, folder: Path, others: Sequence[Victim], kills: int) -> None:
    """Every timing of every session is stored once, as its agent measured it; and served."""
    with ExitStack() as running:
        server = running.enter_context(OwnServer(url, rate=0))
        agents = [
            running.enter_context(
                RestlessAgent(server.address, folder / f"agent-{number}", number)
            )
            for number in range(AGENTS)
        ]
        with ThreadPoolExecutor() as pool:
            list(pool.map(RestlessAgent.start, agents))
        kill_each_in_turn([*agents, server, *others], kills)
        for agent in agents:
            agent.ask_to_finish()
        for agent in agents:
            agent.finish()

        sessions, visits, measured = of_all(agents)
        with table_client(server.address) as client:
            told = ask(client, sessions)
    good = [each for each in measured.values() if each.rounds_us]
    assert len(good) >= LEAST_GOOD * len(measured)
    engine = open_database(url)
    check_stored(engine, measured)
    check_sessions(told, sessions, visits, measured)
    check_rows(told, good)
    check_history(engine, told.table)
    engine.dispose()


def of_all(
    agents: Sequence[RestlessAgent],
) -> tuple[list[Session], dict[UUID, list[Visit]], dict[UUID, Measured]]:
    """What their journals say together; in none is less than was acknowledged."""
    sessions: list[Session] = []
    visits: dict[UUID, list[Visit]] = {}
    measured: dict[UUID, Measured] = {}
    for agent in agents:
        its_sessions, its_visits, its_timings = in_journal(agent.folder / "journal.db")
        acknowledged = (agent.folder / "acknowledged").read_text().split()
        assert {UUID(line) for line in acknowledged} <= its_timings.keys()
        assert len(acknowledged) >= len(KEYS)
        sessions += its_sessions
        visits |= its_visits
        measured |= its_timings
    return sessions, visits, measured


def kill_each_in_turn(victims: Sequence[Victim], kills: int) -> None:
    generator = random.Random(kills)
    for number in range(kills):
        time.sleep(generator.uniform(0, 1.5))
        victim = victims[number % len(victims)]
        victim.kill()
        time.sleep(generator.uniform(0, 0.5))
        victim.start()


def in_journal(
    path: Path,
) -> tuple[list[Session], dict[UUID, list[Visit]], dict[UUID, Measured]]:
    """An agent's sessions, their visits, and what their timings must be, by id. All was sent."""
    sessions: list[Session] = []
    visits: dict[UUID, list[Visit]] = {}
    timings: dict[UUID, Measured] = {}
    with closing(sqlite3.connect(path)) as journal:
        for waits in ("outbox WHERE sent IS NULL", "visits WHERE counts AND sent IS NULL"):
            assert journal.execute(f"SELECT count(*) FROM {waits}").fetchone() == (0,)
        assert journal.execute("SELECT count(*) FROM sessions WHERE is_open").fetchone() == (0,)
        for body, operators in journal.execute("SELECT body, operators FROM sessions").fetchall():
            session = Session.model_validate_json(body)
            sessions.append(session)
            keys = [Operator.model_validate(each).key for each in json.loads(operators)]
            visits[session.id] = visits_of(journal, session.id)
            for each in in_session(journal, session, visits[session.id], keys):
                timings[uuid5(session.id, each.operator)] = each
    return sessions, visits, timings


def visits_of(journal: sqlite3.Connection, session: UUID) -> list[Visit]:
    """Those that count, in the order made."""
    rows = journal.execute(
        "SELECT body FROM visits WHERE session = ? AND counts ORDER BY rowid", (str(session),)
    )
    return [Visit.model_validate_json(body) for (body,) in rows]


def calm(probes_ns: list[int]) -> float:
    """The median of those within a tenth of the best."""
    best_ns = np.quantile(probes_ns, 0.02)
    return round(float(np.median([ns for ns in probes_ns if ns <= 1.1 * best_ns])), 1)


def in_session(
    journal: sqlite3.Connection, session: Session, visits: list[Visit], keys: list[str]
) -> list[Measured]:
    """One timing for each operator: its visits in order, or why there are none."""
    failures = {
        operator_of(program): (Failure.model_validate_json(body), datetime.fromisoformat(made))
        for program, body, made in journal.execute(
            "SELECT program, body, made FROM failures WHERE session = ?", (str(session.id),)
        )
    }
    usual = session.derivation.usual if session.derivation else None
    probes_ns = [ns for visit in visits for one in visit.series for ns in one.probes_ns]
    calm_ns = usual.probe_ns if usual else calm(probes_ns)
    rounds_us: defaultdict[str, list[list[float]]] = defaultdict(list)
    drift: defaultdict[str, list[list[float]]] = defaultdict(list)
    last: dict[str, datetime] = {}
    for visit in visits:
        key = operator_of(visit.program)
        for one in visit.series:
            rounds_us[key].append([ns / 1000 for ns in one.samples_ns])
            assert one.memory_probes_ns is None, "this runner has no such probe"
            slower = [max(pair) / calm_ns for pair in pairwise(one.probes_ns)]
            drift[key].append([round(float(factor), 4) for factor in slower])
        last[key] = visit.made_at
    return [
        Measured(session.id, key, last[key], rounds_us[key], drift[key], None)
        if key in last
        else Measured(session.id, key, failures[key][1], [], [], failures[key][0])
        for key in keys
    ]


def operator_of(program: str) -> str:
    return program.rpartition("-")[0]


def ask(client: TableClient, sessions: Sequence[Session]) -> Told:
    table, of_space = client.table(NAME), client.table(NAME, space=SPACE.name)
    return Told(
        table,
        of_space,
        (
            client.table(NAME, snapshot=table.snapshot),
            client.table(NAME, snapshot=of_space.snapshot),
        ),
        [client.session_report(str(session.id)) for session in sessions],
        {session.id: client.visits(str(session.id)).visits for session in sessions},
    )


def check_stored(engine: Engine, measured: dict[UUID, Measured]) -> None:
    with DbSession(engine) as session:
        records = session.scalars(select(TimingRecord)).all()
    assert Counter(record.id for record in records) == dict.fromkeys(measured, 1)
    for record in records:
        failure = record.failure_code and Failure(
            code=record.failure_code, message=record.failure_message or ""
        )
        assert measured[record.id] == Measured(
            record.session,
            record.operator,
            record.measured_at,
            record.rounds_us or [],
            record.drift or [],
            failure or None,
        )


def check_sessions(
    told: Told,
    sessions: Sequence[Session],
    visits: dict[UUID, list[Visit]],
    measured: dict[UUID, Measured],
) -> None:
    """Reports tell each session as it ended, its visits, and the figures of all it measured."""
    assert [report.session for report in told.sessions] == sessions
    for report in told.sessions:
        its_visits = told.visits[report.session.id]
        assert sorted(its_visits, key=place) == sorted(visits[report.session.id], key=place)
        assert {
            (each.id, each.operator, each.estimate, each.failure) for each in report.timings
        } == {
            (id, each.operator, each.estimate, each.failure)
            for id, each in measured.items()
            if each.session == report.session.id
        }


def place(visit: Visit) -> tuple[int, str]:
    return visit.round, visit.program


def check_rows(told: Told, good: Sequence[Measured]) -> None:
    """Each row rests on all timings of its operator that have samples, whoever measured them."""
    by_operator: defaultdict[str, list[Measured]] = defaultdict(list)
    for each in sorted(good, key=lambda timing: timing.measured_at, reverse=True):
        by_operator[each.operator].append(each)
    calm = {
        report.session.id: report.session.derivation.told_against
        for report in told.sessions
        if report.session.derivation is not None
    }
    rows = {key: row_of(of, calm) for key, of in by_operator.items()}
    assert {row.operator: row for row in told.table.entries} == rows
    assert told.of_space.complete
    assert told.of_space.entries == tuple(rows[key] for key in KEYS)
    for table, again in zip((told.table, told.of_space), told.again, strict=True):
        assert (again.snapshot, again.entries) == (table.snapshot, table.entries)


def row_of(timings: list[Measured], calm: dict[UUID, Calm | None]) -> Row:
    """`timings` are of one operator, the newest first."""
    pool = tuple(
        SessionFigures.of(each.session, each.measured_at, each.estimate, calm.get(each.session))
        for each in timings[:MOST_SESSIONS]
        if each.estimate is not None
    )
    (last, *_) = timings
    assert last.estimate is not None
    return Figures(last.operator, last.session, last.measured_at, last.estimate, pool).row(
        "measured"
    )


def check_history(engine: Engine, table: LatencyTable) -> None:
    """The newest version of each row is the row itself."""
    with engine.connect() as connection:
        versions = connection.execute(
            select(RowVersion.operator, RowVersion.content).order_by(RowVersion.revision)
        )
        last = {operator: Row.model_validate_json(content) for operator, content in versions}
    assert last == {row.operator: row for row in table.entries}
