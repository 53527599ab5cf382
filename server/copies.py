"""A whole database copied to a file, and a file to an empty database."""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from sqlalchemy import URL, delete, inspect

from contract.errors import PhonebookError
from server.database.engine import BUSY_TIMEOUT_MS, open_database, shown, writing
from server.database.records import SignInRecord, TokenRecord
from server.database.schema import explained, is_at_head, require_file
from server.settings import read_settings
from server.store import tokens

Kind = Literal["sqlite", "postgresql"]
_NAMES: dict[Kind, str] = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
_BEGINNINGS: dict[bytes, Kind] = {b"SQLite format 3\0": "sqlite", b"PGDMP": "postgresql"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Restored:
    """A database that was filled from a file.

    Attributes:
        name: its URL, without the password.
        is_newest: whether it has this version's schema.
        revoked: how many of its tokens worked until then.
    """

    name: str
    is_newest: bool
    revoked: int


def copy_to_file(database_url: str | None, to: Path) -> str:
    """Copy the database as it is at one moment; its URL, without the password.

    Raises:
        PhonebookError: there is no such database, it cannot be copied, or the file exists.
    """
    url = _url(database_url)
    require_file(url)
    _refuse_existing(to)
    with _appearing_whole(to, lambda: _refuse_existing(to)) as partial:
        if _kind(url) == "sqlite":
            _copy_sqlite(Path(url.database or ""), partial)
        else:
            _run_tool("pg_dump", url, "--format=custom", f"--file={partial}")
    return shown(url)


def fill_from_file(
    file: Path, database_url: str | None, now: datetime, *, keep_tokens: bool
) -> Restored:
    """Fill an empty database from a file; unless they are kept, revoke its tokens, and sign every
    browser out.

    Raises:
        PhonebookError: the file is no backup of such a database, or the database is not empty.
    """
    url = _url(database_url)
    kind = _kind_of_file(file)
    if kind != _kind(url):
        raise PhonebookError(
            f"{file} is a backup of a {_NAMES[kind]} database and cannot be restored into "
            f"{shown(url)}; give an empty {_NAMES[kind]} database with --database-url"
        )
    _refuse_tables(url)
    if kind == "sqlite":
        target = Path(url.database or "")
        with _appearing_whole(target, lambda: _refuse_tables(url)) as partial:
            _copy_sqlite(file, partial)
            revoked = _shut_out(url.set(database=str(partial)), now, keep_tokens=keep_tokens)
    else:
        _run_tool("pg_restore", url, "--single-transaction", "--exit-on-error", str(file))
        revoked = _shut_out(url, now, keep_tokens=keep_tokens)
    engine = open_database(url.render_as_string(hide_password=False))
    with explained(engine):
        is_newest = is_at_head(engine)
    engine.dispose()
    return Restored(name=shown(url), is_newest=is_newest, revoked=revoked)


def _shut_out(url: URL, now: datetime, *, keep_tokens: bool) -> int:
    """Sign every browser out of a restored database, and revoke its tokens: how many did work."""
    engine = open_database(url.render_as_string(hide_password=False))
    revoked = 0
    with explained(engine):
        tables = inspect(engine).get_table_names()  # of whatever version it is
        with writing(engine).begin() as session:
            if SignInRecord.__tablename__ in tables:
                session.execute(delete(SignInRecord))
            if TokenRecord.__tablename__ in tables and not keep_tokens:
                revoked = tokens.revoke_all(session, now)
    engine.dispose()
    return revoked


def _url(given: str | None) -> URL:
    """The database's URL, checked."""
    engine = open_database(read_settings(database_url=given).database_url)
    engine.dispose()
    return engine.url


def _kind(url: URL) -> Kind:
    return "sqlite" if url.get_backend_name() == "sqlite" else "postgresql"


def _kind_of_file(path: Path) -> Kind:
    try:
        with path.open("rb") as file:
            beginning = file.read(max(map(len, _BEGINNINGS)))
    except OSError as error:
        raise PhonebookError(f"cannot read {path}: {error.strerror}") from error
    for known, kind in _BEGINNINGS.items():
        if beginning.startswith(known):
            return kind
    raise PhonebookError(f"{path} is no backup; give a file that `create --to FILE` made")


def _refuse_existing(path: Path) -> None:
    if path.exists():
        raise PhonebookError(f"{path} exists and is left as it is; give the name of a new file")


def _refuse_tables(url: URL) -> None:
    if _kind(url) == "sqlite" and not Path(url.database or "").exists():
        return
    engine = open_database(url.render_as_string(hide_password=False))
    with explained(engine):
        tables = inspect(engine).get_table_names()
    engine.dispose()
    if tables:
        raise PhonebookError(
            f"{shown(url)} has tables ({', '.join(sorted(tables)[:3])}, ...) and is left as it "
            "is; restore into an empty database, then serve that one"
        )


@contextmanager
def _appearing_whole(path: Path, refuse: Callable[[], None]) -> Iterator[Path]:
    """A file to write to, which gets its name once it is complete and on the disk, unless
    something that `refuse` refuses took the name meanwhile.

    Raises:
        PhonebookError: it cannot be written, or was refused.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.touch(mode=0o600, exist_ok=False)  # it holds all that the database holds
        yield partial
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        refuse()
        partial.rename(path)
    except OSError as error:
        raise PhonebookError(f"cannot write {path}: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)


def _copy_sqlite(source: Path, target: Path) -> None:
    """Copy at one moment; others may read and write `source` meanwhile."""
    try:
        with (
            closing(sqlite3.connect(source.resolve().as_uri() + "?mode=ro", uri=True)) as from_,
            closing(sqlite3.connect(target)) as to,
        ):
            from_.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
            from_.execute("SELECT version_num FROM alembic_version")  # fails where it is not ours
            (found,) = from_.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                raise PhonebookError(f"{source} is damaged and was not copied: {found}")
            from_.backup(to)
            to.execute("PRAGMA journal_mode = DELETE")  # one file, with nothing beside it
    except sqlite3.Error as error:
        raise PhonebookError(f"cannot copy {source} to {target}: {error}") from error


def _run_tool(name: str, url: URL, *arguments: str) -> None:
    """Run a program of PostgreSQL's against that database. The password is not among its words."""
    tool = shutil.which(name)
    if tool is None:
        raise PhonebookError(
            f"{name} is not installed here; it comes with PostgreSQL's client programs, of the "
            "server's version or newer (on Debian: apt-get install postgresql-client)"
        )
    plain = url.set(drivername="postgresql", password=None).render_as_string()
    password = {} if url.password is None else {"PGPASSWORD": str(url.password)}
    done = subprocess.run(
        [tool, "--no-owner", "--no-privileges", f"--dbname={plain}", "--no-password", *arguments],
        env=os.environ | password,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        reason = done.stderr.strip() or f"exit code {done.returncode}"
        raise PhonebookError(f"{name} failed with {shown(url)}: {reason}")
