"""The journal: what was measured, kept on disk before it is sent, so that nothing is measured
twice and nothing is lost when the agent, the server or the network goes away."""

import json
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self
from uuid import UUID

from contract.audits import Audit
from contract.errors import PhonebookError
from contract.operators import Operator
from contract.timings import Failure, Runtime, Session, Timing
from device_agent.visits import Recorded, Visit

TABLE = "table"  # a session's purpose: rows of the device's table

_KINDS: Mapping[str, type[Timing] | type[Audit]] = {"Timing": Timing, "Audit": Audit}

# No wait for the disk at each commit: a kill loses nothing, a power cut some visits to repeat.
_SETTINGS = "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;"
_SCHEMA = """
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


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session that was begun and not finished, with the operators it set out to measure."""

    session: Session
    operators: tuple[Operator, ...]


class Journal:
    """One SQLite file. Each method is one transaction.

    Every method raises PhonebookError where the file cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._clear_errors():
            self._db = sqlite3.connect(path, timeout=30.0, isolation_level=None)
            self._db.executescript(_SETTINGS + _SCHEMA)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._db.close()

    def begin(
        self,
        server: str,
        session: Session,
        operators: Sequence[Operator],
        *,
        purpose: str = TABLE,
    ) -> OpenSession:
        bodies = json.dumps([operator.model_dump(mode="json") for operator in operators])
        row = (
            str(session.id),
            server,
            session.device,
            session.runtime.key,
            session.space,
            purpose,
        )
        self._execute(
            "INSERT INTO sessions (id, server, device, runtime, space, purpose, body, operators) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (*row, session.model_dump_json(), bodies),
        )
        return OpenSession(session, tuple(operators))

    def open_session(
        self,
        server: str,
        device: str,
        runtime: Runtime,
        space: str,
        *,
        purpose: str = TABLE,
        unit: str | None = None,
    ) -> OpenSession | None:
        """The unfinished session of exactly this work, if there is one.

        With `unit` only one of that unit: a session is one phone's, and others of its kind differ.
        """
        rows = self._execute(
            "SELECT body, operators FROM sessions WHERE server = ? AND device = ? "
            "AND runtime = ? AND space = ? AND purpose = ? AND is_open",
            (server, device, runtime.key, space, purpose),
        ).fetchall()
        for body, bodies in rows:
            session = Session.model_validate_json(body)
            if unit is None or session.unit in (None, unit):
                operators = tuple(Operator.model_validate(each) for each in json.loads(bodies))
                return OpenSession(session, operators)
        return None

    def add_visit(self, session: UUID, round_number: int, program: str, visit: Visit) -> None:
        self._execute(
            "INSERT INTO visits VALUES (?, ?, ?, ?, ?)",
            (str(session), round_number, program, visit.model_dump_json(), _now()),
        )

    def visited(self, session: UUID) -> frozenset[tuple[int, str]]:
        """(round, program) of every visit so far."""
        rows = self._execute(
            "SELECT round, program FROM visits WHERE session = ?", (str(session),)
        )
        return frozenset((round_number, program) for round_number, program in rows)

    def add_failure(self, session: UUID, program: str, failure: Failure) -> None:
        self._execute(
            "INSERT OR IGNORE INTO failures VALUES (?, ?, ?, ?)",
            (str(session), program, failure.model_dump_json(), _now()),
        )

    def failures(self, session: UUID) -> dict[str, tuple[Failure, datetime]]:
        """The session's failures by program, with the time of each."""
        rows = self._execute(
            "SELECT program, body, made FROM failures WHERE session = ?", (str(session),)
        )
        return {
            program: (Failure.model_validate_json(body), datetime.fromisoformat(made))
            for program, body, made in rows
        }

    def visits(self, session: UUID, programs: Collection[str]) -> list[Recorded]:
        """The visits to `programs`, in the order made.

        Visits to other programs are those of an agent whose exporter has changed since.
        """
        rows = self._execute(
            "SELECT program, body, made FROM visits WHERE session = ? ORDER BY rowid",
            (str(session),),
        )
        return [
            Recorded(program, Visit.model_validate_json(body), datetime.fromisoformat(made))
            for program, body, made in rows
            if program in programs
        ]

    def close(self, session: Session, results: Sequence[Timing | Audit]) -> None:
        """Finish a session as it ended: its results go to the outbox, all or none."""
        identity = str(session.id)
        with self._clear_errors(), closing(self._db.cursor()) as cursor:
            cursor.execute("BEGIN IMMEDIATE")
            try:
                cursor.executemany(
                    "INSERT INTO outbox (id, session, kind, body) VALUES (?, ?, ?, ?)",
                    [
                        (
                            str(each.id),
                            identity,
                            type(each).__name__,
                            each.model_dump_json(),
                        )
                        for each in results
                    ],
                )
                cursor.execute(
                    "UPDATE sessions SET is_open = 0, body = ? WHERE id = ?",
                    (session.model_dump_json(), identity),
                )
            except BaseException:
                cursor.execute("ROLLBACK")
                raise
            cursor.execute("COMMIT")

    def unsent(self, server: str) -> list[tuple[Session, Timing | Audit]]:
        """What waits in the outbox for this server, oldest first; refused ones excluded."""
        rows = self._execute(
            "SELECT sessions.body, kind, outbox.body FROM outbox JOIN sessions "
            "ON session = sessions.id WHERE server = ? AND refused IS NULL ORDER BY outbox.rowid",
            (server,),
        )
        return [
            (Session.model_validate_json(session), _KINDS[kind].model_validate_json(body))
            for session, kind, body in rows
        ]

    def sent(self, result: UUID) -> None:
        self._execute("DELETE FROM outbox WHERE id = ?", (str(result),))

    def refused(self, result: UUID, reason: str) -> None:
        """Keep a result that the server will never take, with its reason."""
        self._execute("UPDATE outbox SET refused = ? WHERE id = ?", (reason, str(result)))

    def _execute(self, statement: str, values: tuple[object, ...] = ()) -> sqlite3.Cursor:
        with self._clear_errors():
            return self._db.execute(statement, values)

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise PhonebookError(
                f"{self.path}: {error}; what was measured so far is kept there. Free the disk or "
                "mend the file's rights, then run the same command to go on"
            ) from error


def _now() -> str:
    return datetime.now(UTC).isoformat()
