"""Engines for SQLite and PostgreSQL, and sessions on them."""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from psycopg.errors import DiskFull
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, OperationalError
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry, Pool

from contract.errors import PhonebookError, listing

POOL_SIZE = 25
BUSY_TIMEOUT_MS = 15_000
CONNECT_TIMEOUT_S = 5
# PostgreSQL ends what waits for a lock, or holds one and does nothing, and a connection whose
# other end is gone.
LOCK_TIMEOUT_MS = 15_000
IDLE_TIMEOUT_MS = 60_000
GONE_TIMEOUT_MS = 20_000
LEAST_FREE_BYTES = 2**20  # less than a batch of timings takes


class FileReplaced(PhonebookError):
    """The SQLite file that was opened is no longer at its path: what is written there is lost."""


def open_database(database_url: str) -> Engine:
    """An engine for a SQLite file or a PostgreSQL database. Nothing connects yet.

    Raises:
        PhonebookError: the URL is not one of those two.
    """
    try:
        url = make_url(database_url)
        if url.get_backend_name() not in ("sqlite", "postgresql"):
            raise PhonebookError(
                f"database {shown(url)}: Phonebook keeps its tables in SQLite "
                "(sqlite:///phonebook.db) or PostgreSQL (postgresql://user@host/name)"
            )
        if url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:"):
            raise PhonebookError("an SQLite database in memory is lost at once; name a file")
        engine = create_engine(
            url, pool_size=POOL_SIZE, max_overflow=0, connect_args=_connect_args(url)
        )
    except (ArgumentError, ImportError) as error:
        raise PhonebookError(f"the database URL cannot be used: {error}") from error
    if engine.dialect.name == "sqlite":
        file = _FILES[engine.pool] = _OpenFile(Path(url.database or "").resolve())
        event.listen(engine, "do_connect", file.make)
        event.listen(engine, "connect", file.opened)
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", file.begun)
        event.listen(engine, "begin", _begin_sqlite)
        event.listen(engine, "commit", file.end)
        event.listen(engine, "close", file.closing)
        event.listen(engine, "engine_disposed", file.closed)
    else:
        event.listen(engine, "checkout", _as_the_database_says)
    return engine


class _OpenFile:
    """The SQLite file of an engine: its owner's alone if it is new, and always the same one.

    So are the two files that SQLite keeps beside it, from when they are there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._beside = [Path(f"{path}{suffix}") for suffix in ("-wal", "-shm")]
        self._opened: dict[Path, _Identity] = {}

    def make(self, *_of_connection: object) -> None:
        """Only its owner may read it: it holds all that the server knows.

        Raises:
            FileReplaced: it was there before; SQLite would make another.
        """
        if self._opened:
            self.check()
            return
        with suppress(OSError):  # it is there, or SQLite tells why it cannot be
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL, 0o600))

    def opened(self, _connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
        if not self._opened:
            self._note(self._path)
        self.check()

    def begun(self, connection: Connection) -> None:
        """The connection has all three open by now, so that no other program removes them."""
        for path in self._beside:
            if path not in self._opened:
                self._note(path)
        self.end(connection)

    def end(self, connection: Connection) -> None:
        """Raises as `check` does, with nothing left to be committed."""
        try:
            self.check()
        except FileReplaced:
            _gather(connection.connection.driver_connection)
            raise

    def closing(self, connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
        try:
            self.check()
        except FileReplaced:
            _gather(connection)

    def closed(self, _engine: Engine) -> None:
        """No connection is left: whoever opens it next may find another."""
        self._opened.clear()

    def check(self, *_of_connection: object) -> None:
        """
        Raises:
            FileReplaced: it was removed, or another took its place, since it was opened.
        """
        for path, opened in self._opened.copy().items():
            if _identity(path) != opened:
                raise FileReplaced(
                    f"{path}, of the database, was removed or replaced while it was open, and "
                    "what is written now would be lost; put it back, or restart the server to "
                    "serve what is there"
                )

    def _note(self, path: Path) -> None:
        found = _identity(path)
        if found is not None:
            self._opened[path] = found


def _gather(connection: object) -> None:
    """Let the file itself, wherever it is now, hold all that was committed to those beside it.

    They would stay behind, and SQLite would take them for changes of what is in its place.
    """
    assert isinstance(connection, sqlite3.Connection)
    with suppress(sqlite3.Error):
        connection.rollback()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


_Identity = tuple[int, int]


def _identity(path: Path) -> _Identity | None:
    """Which file is there, whatever it is called."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


_FILES: WeakKeyDictionary[Pool, _OpenFile] = WeakKeyDictionary()


def check_file(engine: Engine) -> None:
    """For whoever asks the driver itself: what every transaction checks by itself.

    Raises:
        FileReplaced: the SQLite file is no longer the one that was opened.
    """
    file = _FILES.get(engine.pool)
    if file is not None:
        file.check()


def _connect_args(url: URL) -> dict[str, Any]:
    """For PostgreSQL, unless the URL says otherwise: nobody waits for ever."""
    if url.get_backend_name() == "sqlite":
        return {}
    ours = {
        "connect_timeout": CONNECT_TIMEOUT_S,
        "tcp_user_timeout": GONE_TIMEOUT_MS,
        "options": f"-c lock_timeout={LOCK_TIMEOUT_MS} "
        f"-c idle_in_transaction_session_timeout={IDLE_TIMEOUT_MS}",
    }
    return {name: value for name, value in ours.items() if name not in url.query}


def _as_the_database_says(connection: psycopg.Connection[Any], *_of_pool: object) -> None:
    # After a transaction that only read SQLAlchemy would begin all others as READ WRITE, which
    # a standby refuses, and a database that was made read-only does not.
    if connection.read_only is False:
        connection.read_only = None


def shown(url: URL) -> str:
    """The URL without its password, and with the whole path of an SQLite file."""
    if url.get_backend_name() == "sqlite" and url.database:
        url = url.set(database=str(Path(url.database).absolute()))
    return url.difference_update_query(["password"]).render_as_string(hide_password=True)


def _configure_sqlite(connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # the driver must not begin by itself; _begin_sqlite does
    for pragma in (
        f"busy_timeout = {BUSY_TIMEOUT_MS}",  # first: entering WAL takes a lock
        "journal_mode = WAL",
        "synchronous = FULL",  # what was answered 201 outlives a power cut
        "foreign_keys = ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    # A deferred transaction that reads and then writes fails when another writes in between;
    # an immediate one waits. Reads must not wait, so they stay deferred.
    reads_only = connection.get_execution_options().get("reads_only", False)
    connection.exec_driver_sql("BEGIN" if reads_only else "BEGIN IMMEDIATE")


@contextmanager
def migrating(engine: Engine) -> Iterator[Connection]:
    """A transaction to change the schema in.

    SQLite alters a table by making a new one and dropping the old, which foreign keys forbid
    where others refer to it. So they rest meanwhile, and are checked before the commit.

    Raises:
        PhonebookError: rows refer to rows that are not there; nothing was changed.
    """
    with engine.connect() as connection:
        is_sqlite = connection.dialect.name == "sqlite"
        if is_sqlite:
            _pragma(connection, "foreign_keys = OFF")  # has no effect within a transaction
        try:
            with connection.begin():
                if not is_sqlite:  # a migration may compute for long
                    connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
                yield connection
                if is_sqlite:
                    _check_foreign_keys(connection)
        finally:
            if is_sqlite:
                _pragma(connection, "foreign_keys = ON")


def _pragma(connection: Connection, pragma: str) -> None:
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    driver.execute(f"PRAGMA {pragma}")


def _check_foreign_keys(connection: Connection) -> None:
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    if broken:
        pairs = sorted({f"{found.table} to {found.parent}" for found in broken})
        raise PhonebookError(
            f"{len(broken)} rows would refer to rows that are not there, from "
            f"{listing(pairs)}; the schema was left as it was. Restore a backup, or remove "
            "those rows"
        )


def is_disk_full(error: OperationalError) -> bool:
    """Whether that is why the database did not do it."""
    if isinstance(error.orig, sqlite3.Error):
        return error.orig.sqlite_errorcode == sqlite3.SQLITE_FULL
    return isinstance(error.orig, DiskFull)


def writing(engine: Engine) -> sessionmaker[Session]:
    """Sessions that take the write lock when they begin."""
    return sessionmaker(engine)


def reading(engine: Engine) -> sessionmaker[Session]:
    """Sessions that see the database at one moment, never wait for a writer, and cannot write to
    PostgreSQL."""
    options: dict[str, Any] = {"reads_only": True}
    if engine.dialect.name == "postgresql":
        options |= {"postgresql_readonly": True, "isolation_level": "REPEATABLE READ"}
    return sessionmaker(engine.execution_options(**options))


def glancing(engine: Engine) -> Engine:
    """For one small query at a time: no transaction around it costs PostgreSQL a way to and fro.

    SQLite begins one in the same process, at no cost.
    """
    if engine.dialect.name == "sqlite":
        return engine.execution_options(reads_only=True)
    return engine.execution_options(isolation_level="AUTOCOMMIT")


def has_room(engine: Engine) -> bool:
    """Whether the disk of an SQLite file has room for a write; PostgreSQL does not tell."""
    if engine.dialect.name != "sqlite":
        return True
    folder = Path(engine.url.database or "").absolute().parent
    return shutil.disk_usage(folder).free >= LEAST_FREE_BYTES


def takes_writes(engine: Engine) -> bool:
    """Whether the database can be written to: not a standby, nor a file that may only be read."""
    if engine.dialect.name == "sqlite":
        return os.access(engine.url.database or "", os.W_OK)
    with engine.connect() as connection:
        asked = "SELECT current_setting('transaction_read_only') = 'off'"
        return bool(connection.exec_driver_sql(asked).scalar())
