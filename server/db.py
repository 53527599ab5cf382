"""Engines, and one session per request. The only commit in the project is here."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry

from contract.errors import PhonebookError, listing

# FastAPI runs plain `def` routes in at most 40 threads, each with one connection.
POOL_SIZE = 40
BUSY_TIMEOUT_MS = 15_000
CONNECT_TIMEOUT_S = 5


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
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _connect_args(url: URL) -> dict[str, int]:
    """An address where nobody answers is given up soon, unless the URL says when."""
    if url.get_backend_name() == "sqlite" or "connect_timeout" in url.query:
        return {}
    return {"connect_timeout": CONNECT_TIMEOUT_S}


def shown(url: URL) -> str:
    """The URL without its password."""
    return url.difference_update_query(["password"]).render_as_string(hide_password=True)


def _configure_sqlite(connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # the driver must not begin by itself; _begin_sqlite does
    for pragma in (
        f"busy_timeout = {BUSY_TIMEOUT_MS}",  # first: entering WAL takes a lock
        "journal_mode = WAL",
        "synchronous = NORMAL",
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


def writing(engine: Engine) -> sessionmaker[Session]:
    """Sessions that take the write lock when they begin."""
    return sessionmaker(engine)


def reading(engine: Engine) -> sessionmaker[Session]:
    """Sessions that never wait for a writer, and cannot write to PostgreSQL."""
    return sessionmaker(engine.execution_options(reads_only=True, postgresql_readonly=True))


def glancing(engine: Engine) -> Engine:
    """For one small query at a time: no transaction around it costs PostgreSQL a way to and fro.

    SQLite begins one in the same process, at no cost.
    """
    if engine.dialect.name == "sqlite":
        return engine.execution_options(reads_only=True)
    return engine.execution_options(isolation_level="AUTOCOMMIT")


def _write_session(request: Request) -> Iterator[Session]:
    sessions: sessionmaker[Session] = request.app.state.writing
    with sessions.begin() as session:
        yield session


def _read_session(request: Request) -> Iterator[Session]:
    sessions: sessionmaker[Session] = request.app.state.reading
    with sessions() as session:
        yield session


# `scope="function"`: the transaction ends before the answer leaves, so that a failed commit is
# never answered 201.
WriteSession = Annotated[Session, Depends(_write_session, scope="function")]
ReadSession = Annotated[Session, Depends(_read_session, scope="function")]
