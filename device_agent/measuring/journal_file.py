"""The journal's file: its tables, their versions, its transactions, and what its errors mean."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Self

from contract.errors import PhonebookError

# A visit does not wait for the disk; the end of a session does (`on_disk`).
_SETTINGS = "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;"
_VERSION = 2  # of the file, as its user_version
_TABLES = """
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
)
"""
# What each version added to the one before.
_STEPS = (
    """
ALTER TABLE sessions ADD COLUMN description TEXT;
ALTER TABLE outbox ADD COLUMN sent TEXT;
CREATE INDEX outbox_waiting ON outbox (session) WHERE sent IS NULL AND refused IS NULL
""",
    # Until then a visit had its samples booked and corrected.
    """
ALTER TABLE visits RENAME TO corrected_visits;
ALTER TABLE sessions ADD COLUMN space_document TEXT;
CREATE TABLE layouts (
    session TEXT NOT NULL REFERENCES sessions(id),
    program TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (session, program)
);
CREATE TABLE visits (
    session TEXT NOT NULL REFERENCES sessions(id),
    round INTEGER NOT NULL,
    program TEXT NOT NULL,
    body TEXT NOT NULL,
    counts INTEGER NOT NULL DEFAULT 0,
    sent TEXT,
    refused TEXT,
    PRIMARY KEY (session, round, program)
);
CREATE INDEX visits_waiting ON visits (session)
    WHERE counts AND sent IS NULL AND refused IS NULL
""",
)


class Unreadable(PhonebookError):
    """What the journal keeps there is damaged, or another version's."""


class JournalFile:
    """One SQLite file, brought to this version when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._clear_errors():
            self._db = sqlite3.connect(path, timeout=30.0, isolation_level=None)
            self._db.executescript(_SETTINGS)
        self._upgrade()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._db.close()

    def _execute(self, statement: str, values: tuple[object, ...] = ()) -> sqlite3.Cursor:
        with self._clear_errors():
            return self._db.execute(statement, values)

    @contextmanager
    def _transaction(self, *, on_disk: bool = False) -> Iterator[sqlite3.Cursor]:
        """All that is done with the cursor, or nothing; `on_disk`: it survives a power cut."""
        with self._clear_errors(), closing(self._db.cursor()) as cursor:
            if on_disk:
                cursor.execute("PRAGMA synchronous=FULL")
            cursor.execute("BEGIN IMMEDIATE")
            try:
                yield cursor
                cursor.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    cursor.execute("ROLLBACK")
                raise
            finally:
                cursor.execute("PRAGMA synchronous=NORMAL")

    def _version(self) -> int:
        (version,) = self._execute("PRAGMA user_version").fetchone()
        return int(version)

    def _upgrade(self) -> None:
        if self._version() == _VERSION:
            return
        with self._transaction() as cursor:
            version = self._version()  # as whoever opened it at the same time left it
            if version > _VERSION:
                raise PhonebookError(
                    f"{self.path} was written by a later version of this agent (its format is "
                    f"{version}, and this one knows {_VERSION}); install that version, or give "
                    "this one a folder of its own with PHONEBOOK_HOME"
                )
            if version < _VERSION:
                for statement in ";".join([_TABLES, *_STEPS[version:]]).split(";"):
                    cursor.execute(statement)
                cursor.execute(f"PRAGMA user_version = {_VERSION}")

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise PhonebookError(
                f"{self.path}: {error}; what was measured so far is kept there. Free the disk or "
                "mend the file's rights, then run the same command to go on"
            ) from error
