"""The journal's file: earlier ones open and keep all they hold, later ones are left alone."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from contract.client import table_client
from contract.errors import PhonebookError
from contract.timings import Failure, Timing
from device_agent.measuring.journal import TABLE, Journal
from device_agent.measuring.upload import send
from tests.device_agent.results import OPERATORS, timings_of
from tests.device_agent.servers import serving
from tests.fakes import DESCRIPTION, RUNTIME, fake_session

# As the version wrote it that knew neither descriptions nor what was sent.
FIRST_SCHEMA = """
CREATE TABLE IF NOT EXISTS sessions (
    id TEXT PRIMARY KEY,
    server TEXT NOT NULL,
    device TEXT NOT NULL,
    runtime TEXT NOT NULL,
    space TEXT NOT NULL,
    purpose TEXT NOT NULL,
    body TEXT NOT NULL,
    operators TEXT NOT NULL,
    is_open INTEGER NOT NULL DEFAULT 1
);
CREATE TABLE IF NOT EXISTS visits (
    session TEXT NOT NULL REFERENCES sessions(id),
    round INTEGER NOT NULL,
    program TEXT NOT NULL,
    body TEXT NOT NULL,
    made TEXT NOT NULL,
    PRIMARY KEY (session, round, program)
);
CREATE TABLE IF NOT EXISTS failures (
    session TEXT NOT NULL REFERENCES sessions(id),
    program TEXT NOT NULL,
    body TEXT NOT NULL,
    made TEXT NOT NULL,
    PRIMARY KEY (session, program)
);
CREATE TABLE IF NOT EXISTS outbox (
    id TEXT PRIMARY KEY,
    session TEXT NOT NULL REFERENCES sessions(id),
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    refused TEXT
);
"""
# What the version after it added, which kept visits booked and corrected all the same.
SECOND_SCHEMA = """
ALTER TABLE sessions ADD COLUMN description TEXT;
ALTER TABLE outbox ADD COLUMN sent TEXT;
CREATE INDEX outbox_waiting ON outbox (session) WHERE sent IS NULL AND refused IS NULL;
PRAGMA user_version = 1;
"""
CORRECTED_VISIT = '{"series": [{"samples_us": {"one": [1.0]}, "probes_us": [2.0, 2.0]}]}'
FAILURE = Failure(code="crashed", message="killed")


def old_journal(path: Path, server: str, *, version: int = 1) -> list[Timing]:
    """A session with eight results, the last one refused, and one that is not finished."""
    closed, still_open = fake_session(), fake_session()
    timings = timings_of(closed)
    operators = "[" + ",".join(operator.model_dump_json() for operator in OPERATORS) + "]"
    made = "2026-03-01T12:00:00+00:00"
    with closing(sqlite3.connect(path)) as file:
        file.executescript(f"PRAGMA journal_mode=WAL;{FIRST_SCHEMA}")
        for session, is_open in ((closed, 0), (still_open, 1)):
            row = (str(session.id), server, session.device, session.runtime.key, session.space)
            body = session.model_dump_json()
            file.execute(
                "INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*row, TABLE, body, operators, is_open),
            )
        identity = str(still_open.id)
        visit = (identity, 0, "one", CORRECTED_VISIT, made)
        file.execute("INSERT INTO visits VALUES (?, ?, ?, ?, ?)", visit)
        failure = (identity, "two", FAILURE.model_dump_json(), made)
        file.execute("INSERT INTO failures VALUES (?, ?, ?, ?)", failure)
        for timing in timings:
            result = (str(timing.id), str(closed.id), "Timing", timing.model_dump_json())
            refused = "http://server: no" if timing is timings[-1] else None
            file.execute("INSERT INTO outbox VALUES (?, ?, ?, ?, ?)", (*result, refused))
        file.commit()
        if version == 1:
            file.executescript(SECOND_SCHEMA)
    return timings


@pytest.mark.parametrize("version", [0, 1])
def test_a_journal_of_a_version_before_keeps_all_it_holds(tmp_path: Path, version: int) -> None:
    path = tmp_path / "journal.db"
    with serving(tmp_path / "server.db") as address, table_client(address) as client:
        timings = old_journal(path, address, version=version)
        with Journal(path) as journal:
            (held,) = journal.held(address)
            assert (held.waiting, held.refused, held.sent) == (7, 1, 0)
            assert journal.reasons(address) == [(held.session, "http://server: no", 1)]
            opened = journal.open_session(address, "bench", RUNTIME, "fbnet-32")
            assert opened is not None
            assert opened.operators == OPERATORS
            assert journal.began_corrected(opened.session.id)  # its visits are there, unmixed
            assert journal.visited(opened.session.id) == frozenset()
            assert journal.failures(opened.session.id)["two"][0] == FAILURE
        with Journal(path) as journal:
            client.register("bench", DESCRIPTION)
            assert send(journal, client).accepted == 7
            journal.put_back(address)
            assert send(journal, client).accepted == len(timings)


def test_what_was_sent_stays_and_waits_no_more(tmp_path: Path) -> None:
    session = fake_session()
    timings = timings_of(session)
    path = tmp_path / "journal.db"
    with Journal(path) as journal:
        journal.begin("http://server", session, OPERATORS, description=DESCRIPTION)
        journal.close(session, timings)
        entries = journal.entries(session.id)
        assert [journal.result(entry) for entry in entries] == timings
        journal.mark_sent([timing.id for timing in timings[:5]])
        journal.mark_refused({timings[5].id: "no"})
    with Journal(path) as journal:
        (held,) = journal.held("http://server")
        assert (held.waiting, held.refused, held.sent) == (2, 1, 5)
        assert [entry.id for entry in journal.entries(session.id)] == [
            timing.id for timing in timings[6:]
        ]
        assert journal.description("http://server", "bench") == DESCRIPTION
        assert journal.description("http://server", "another") is None


def test_the_newest_description_of_a_device_counts(tmp_path: Path) -> None:
    newer = DESCRIPTION.evolve(os="Test OS 2")
    with Journal(tmp_path / "journal.db") as journal:
        for description in (DESCRIPTION, newer, None):
            journal.begin("http://server", fake_session(), OPERATORS, description=description)
        assert journal.description("http://server", "bench") == newer


def test_a_journal_of_a_later_version_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA user_version = 99")
    with pytest.raises(PhonebookError, match=r"journal\.db was written by a later version"):
        Journal(path)
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)


def test_programs_that_open_an_old_journal_at_once_bring_it_to_one_version(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    old_journal(path, "http://server")
    code = (
        "import sys; from pathlib import Path; from device_agent.measuring.journal import Journal;"
        "print('ready', flush=True); sys.stdin.readline(); Journal(Path(sys.argv[1]))"
    )
    programs = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for program in programs:
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
    for program in programs:
        assert program.stdin is not None
        program.stdin.write("\n")
        program.stdin.flush()
    assert [program.communicate(timeout=60)[1] for program in programs] == [""] * 4
    with Journal(path) as journal:
        assert journal.waiting("http://server") == 7
