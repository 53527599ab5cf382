"""`python -m server.backup create|restore`: all of the server's data in one file, and back."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from sqlalchemy import URL, delete, inspect

from contract import commands
from contract.cli import command_line, main
from contract.errors import PhonebookError
from server.database.engine import BUSY_TIMEOUT_MS, open_database, shown, writing
from server.database.records import SignInRecord, TokenRecord
from server.database.schema import explained, is_at_head, require_file
from server.http.clock import utc_now
from server.settings import read_settings
from server.store import tokens

Kind = Literal["sqlite", "postgresql"]
_NAMES: dict[Kind, str] = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
_BEGINNINGS: dict[bytes, Kind] = {b"SQLite format 3\0": "sqlite", b"PGDMP": "postgresql"}
DatabaseUrl = Annotated[
    str | None, Parameter(help="SQLite or PostgreSQL [default: $PHONEBOOK_DATABASE_URL].")
]

app = command_line(
    "python -m server.backup",
    "Copy the server's database to a file, and a file to an empty database. The server may go on "
    "serving while it is copied.",
)


@app.command
def create(
    *,
    to: Annotated[Path, Parameter(help="A new file.")],
    database_url: DatabaseUrl = None,
) -> None:
    """Copy the database as it is at one moment. Never overwrites a file."""
    url = _url(database_url)
    require_file(url)
    _refuse_existing(to)
    with _appearing_whole(to, lambda: _refuse_existing(to)) as partial:
        if _kind(url) == "sqlite":
            _copy_sqlite(Path(url.database or ""), partial)
        else:
            _run_tool("pg_dump", url, "--format=custom", f"--file={partial}")
    _say(f"{shown(url)} is in {to} ({to.stat().st_size / 1e6:,.1f} MB)")


@app.command
def restore(
    *,
    from_: Annotated[Path, Parameter(name="--from", help="A file that `create` made.")],
    keep_tokens: Annotated[
        bool, Parameter(negative="", help="Let those work that worked when the file was made.")
    ] = False,
    database_url: DatabaseUrl = None,
) -> None:
    """Fill an empty database from a file. A database that has tables is never touched.

    Every token in it is revoked, as some may have been since, and every browser signed out.
    """
    url = _url(database_url)
    kind = _kind_of_file(from_)
    if kind != _kind(url):
        raise PhonebookError(
            f"{from_} is a backup of a {_NAMES[kind]} database and cannot be restored into "
            f"{shown(url)}; give an empty {_NAMES[kind]} database with --database-url"
        )
    _refuse_tables(url)
    if kind == "sqlite":
        file = Path(url.database or "")
        with _appearing_whole(file, lambda: _refuse_tables(url)) as partial:
            _copy_sqlite(from_, partial)
            revoked = _shut_out(url.set(database=str(partial)), keep_tokens=keep_tokens)
    else:
        _run_tool("pg_restore", url, "--single-transaction", "--exit-on-error", str(from_))
        revoked = _shut_out(url, keep_tokens=keep_tokens)
    engine = open_database(url.render_as_string(hide_password=False))
    with explained(engine):
        newest = is_at_head(engine)
    engine.dispose()
    _say(
        f"{from_} is in {shown(url)}"
        + ("" if newest else f"; now run `{commands.upgrade_schema()}`")
    )
    if revoked:
        _say(
            f"its tokens ({revoked}) were revoked, as some may have been since it was made; make "
            "new ones of the same names with `python -m server.tokens create`, which go on with "
            "all that the old ones made, or restore with --keep-tokens"
        )


def _shut_out(url: URL, *, keep_tokens: bool) -> int:
    """Sign every browser out of a restored database, and revoke its tokens: how many did work."""
    engine = open_database(url.render_as_string(hide_password=False))
    revoked = 0
    with explained(engine):
        tables = inspect(engine).get_table_names()  # of whatever version it is
        with writing(engine).begin() as session:
            if SignInRecord.__tablename__ in tables:
                session.execute(delete(SignInRecord))
            if TokenRecord.__tablename__ in tables and not keep_tokens:
                revoked = tokens.revoke_all(session, utc_now())
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


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main(app)
