"""The journal: what was measured, kept on disk before it is sent, so that nothing is measured
twice and nothing is lost when the agent, the server or the network goes away."""

import json
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self
from uuid import UUID

from contract.operators import Operator
from contract.timings import Failure, Runtime, Session, Timing

_SCHEMA = """
CREATE TABLE IF NOT EXISTS sessions (
    id TEXT PRIMARY KEY,
    server TEXT NOT NULL,
    device TEXT NOT NULL,
    runtime TEXT NOT NULL,
    space TEXT NOT NULL,
    body TEXT NOT NULL,
    operators TEXT NOT NULL,
    is_open INTEGER NOT NULL DEFAULT 1
);
CREATE TABLE IF NOT EXISTS visits (
    session TEXT NOT NULL REFERENCES sessions(id),
    round INTEGER NOT NULL,
    program TEXT NOT NULL,
    samples_us TEXT NOT NULL,
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
    body TEXT NOT NULL,
    refused TEXT
);
"""


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session that was begun and not finished, with the operators it set out to measure."""

    session: Session
    operators: tuple[Operator, ...]


class Journal:
    """One SQLite file. Each method is one transaction, on disk when it returns."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, timeout=30.0, isolation_level=None)
        self._db.executescript("PRAGMA journal_mode=WAL; PRAGMA foreign_keys=ON;" + _SCHEMA)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._db.close()

    def begin(self, server: str, session: Session, operators: Sequence[Operator]) -> OpenSession:
        bodies = json.dumps([operator.model_dump(mode="json") for operator in operators])
        row = (str(session.id), server, session.device, session.runtime.key, session.space)
        self._db.execute(
            "INSERT INTO sessions (id, server, device, runtime, space, body, operators) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*row, session.model_dump_json(), bodies),
        )
        return OpenSession(session, tuple(operators))

    def open_session(
        self, server: str, device: str, runtime: Runtime, space: str
    ) -> OpenSession | None:
        """The unfinished session of exactly this work, if there is one."""
        row = self._db.execute(
            "SELECT body, operators FROM sessions "
            "WHERE server = ? AND device = ? AND runtime = ? AND space = ? AND is_open",
            (server, device, runtime.key, space),
        ).fetchone()
        if row is None:
            return None
        operators = tuple(Operator.model_validate(body) for body in json.loads(row[1]))
        return OpenSession(Session.model_validate_json(row[0]), operators)

    def add_visit(
        self,
        session: UUID,
        round_number: int,
        program: str,
        samples_us: Mapping[str, Sequence[float]],
    ) -> None:
        """Keep one visit's samples, by operator key."""
        self._db.execute(
            "INSERT INTO visits VALUES (?, ?, ?, ?, ?)",
            (str(session), round_number, program, json.dumps(samples_us), _now()),
        )

    def visited(self, session: UUID) -> frozenset[tuple[int, str]]:
        """(round, program) of every visit so far."""
        rows = self._db.execute(
            "SELECT round, program FROM visits WHERE session = ?", (str(session),)
        )
        return frozenset((round_number, program) for round_number, program in rows)

    def add_failure(self, session: UUID, program: str, failure: Failure) -> None:
        self._db.execute(
            "INSERT OR IGNORE INTO failures VALUES (?, ?, ?, ?)",
            (str(session), program, failure.model_dump_json(), _now()),
        )

    def failures(self, session: UUID) -> dict[str, tuple[Failure, datetime]]:
        """The session's failures by program, with the time of each."""
        rows = self._db.execute(
            "SELECT program, body, made FROM failures WHERE session = ?", (str(session),)
        )
        return {
            program: (Failure.model_validate_json(body), datetime.fromisoformat(made))
            for program, body, made in rows
        }

    def samples_us(
        self, session: UUID, programs: Collection[str]
    ) -> dict[str, tuple[list[list[float]], datetime]]:
        """By operator key: the samples of each visit to `programs`, and the last visit's time.

        Visits to other programs are those of an agent whose exporter has changed since.
        """
        collected: dict[str, tuple[list[list[float]], datetime]] = {}
        for program, body, made in self._db.execute(
            "SELECT program, samples_us, made FROM visits WHERE session = ? ORDER BY rowid",
            (str(session),),
        ):
            if program not in programs:
                continue
            for operator, samples in json.loads(body).items():
                rounds, _ = collected.get(operator, ([], None))
                collected[operator] = ([*rounds, samples], datetime.fromisoformat(made))
        return collected

    def close(self, session: UUID, timings: Sequence[Timing]) -> None:
        """Finish a session: its timings go to the outbox, all or none."""
        with closing(self._db.cursor()) as cursor:
            cursor.execute("BEGIN IMMEDIATE")
            cursor.executemany(
                "INSERT INTO outbox (id, session, body) VALUES (?, ?, ?)",
                [(str(timing.id), str(session), timing.model_dump_json()) for timing in timings],
            )
            cursor.execute("UPDATE sessions SET is_open = 0 WHERE id = ?", (str(session),))
            cursor.execute("COMMIT")

    def unsent(self, server: str) -> list[tuple[Session, Timing]]:
        """What waits in the outbox for this server, oldest first; refused ones excluded."""
        rows = self._db.execute(
            "SELECT sessions.body, outbox.body FROM outbox JOIN sessions ON session = sessions.id "
            "WHERE server = ? AND refused IS NULL ORDER BY outbox.rowid",
            (server,),
        )
        return [
            (Session.model_validate_json(session), Timing.model_validate_json(timing))
            for session, timing in rows
        ]

    def sent(self, timing: UUID) -> None:
        self._db.execute("DELETE FROM outbox WHERE id = ?", (str(timing),))

    def refused(self, timing: UUID, reason: str) -> None:
        """Keep a timing that the server will never take, with its reason."""
        self._db.execute("UPDATE outbox SET refused = ? WHERE id = ?", (reason, str(timing)))


def _now() -> str:
    return datetime.now(UTC).isoformat()
