"""`python -m server.tokens`: make tokens, list them, take them back."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import uuid4

from cyclopts import Parameter

from contract import commands
from contract.cli import command_line, main
from contract.errors import PhonebookError
from server.errors import Unauthenticated
from server.http.clock import utc_now
from server.keeper import DatabaseUrl
from server.roles import Role
from server.spans import span

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.orm import Session

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

Name = Annotated[str, Parameter(help="Whose it is: letters, digits, dots, dashes.")]
GivenRole = Annotated[
    Role, Parameter(help="reader: reads; agent: posts besides; admin: everything.")
]
app = command_line("python -m server.tokens", "Say who may use the server from elsewhere.")


def require_one(engine: "Engine", why: str) -> None:
    """Refuse to serve before anybody has a token, and say why one is needed.

    Raises:
        PhonebookError: no token works; the message tells the command that makes one.
    """
    from server.database.engine import reading
    from server.store import tokens

    with reading(engine)() as session:
        if not tokens.any_live(session, utc_now()):
            raise PhonebookError(
                f"{why}, and there is no token that works; make one with "
                f"`{commands.create_token(role='agent')}` and the same database, or "
                "listen on 127.0.0.1 without PHONEBOOK_PROXIES"
            )


@app.command
def create(
    *,
    name: Name,
    role: GivenRole,
    expires: Annotated[
        str | None, Parameter(help="After how long it works no more: 90d, 12w or 36h.")
    ] = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Make a token and print it. It is shown this once; the server keeps its digest alone."""
    from server.store import tokens

    _check_name(name)
    lasts = None if expires is None else span("--expires", expires)
    if lasts == timedelta(0):
        raise PhonebookError(f"--expires: {expires} is over at once; give at least 1h")
    with _database(database_url) as session:
        token = tokens.create(session, name, role, utc_now(), lasts=lasts)
    sys.stdout.write(f"{token}\n")


@app.command(name="list")
def list_all(*, database_url: DatabaseUrl = None) -> None:
    """List the tokens: their names, roles and times (UTC), not themselves."""
    from server.store import tokens

    with _database(database_url) as session:
        found = tokens.reports(session)
    lines = [("name", "role", "created", "expires", "last used", "revoked")] + [
        (
            token.name,
            token.role,
            *map(
                _shown,
                (token.created_at, token.expires_at, token.last_used_at, token.revoked_at),
            ),
        )
        for token in found
    ]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        sys.stdout.write("  ".join(cells).rstrip() + "\n")


@app.command
def revoke(name: str, /, *, database_url: DatabaseUrl = None) -> None:
    """Refuse the token of that name from now on."""
    from server.store import tokens

    with _database(database_url) as session:
        tokens.revoke(session, name, utc_now())
    sys.stderr.write(f"token {name} is revoked\n")


@app.command
def ensure(
    *,
    name: Name,
    role: GivenRole,
    file: Annotated[Path, Parameter(help="Where the token is kept, readable by its owner alone.")],
    database_url: DatabaseUrl = None,
) -> None:
    """Make a token and write it to a file, unless the file holds one that works.

    An older token of that name stops working.
    """
    from server.store import tokens

    _check_name(name)
    with _database(database_url) as session:
        if _holds(session, file, name, role):
            sys.stderr.write(f"token {name} ({role}) is in {file}\n")
            return
        _write(file, tokens.renew(session, name, role, utc_now()))
    sys.stderr.write(f"token {name} ({role}) was made and is in {file}\n")


@contextmanager
def _database(database_url: str | None) -> Iterator["Session"]:
    from server.database.engine import open_database, writing
    from server.database.schema import explained, prepare
    from server.settings import read_settings

    engine = open_database(read_settings(database_url=database_url).database_url)
    try:
        prepare(engine)
        with explained(engine), writing(engine).begin() as session:
            yield session
    finally:
        engine.dispose()


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise PhonebookError(
            f"--name: {name!r} cannot name a token; use at most 64 letters, digits, dots and "
            "dashes, a letter or digit first"
        )


def _holds(session: "Session", file: Path, name: str, role: Role) -> bool:
    from server.store import tokens

    try:
        held = file.read_text().strip()
    except FileNotFoundError:
        return False
    except (OSError, UnicodeDecodeError) as error:
        raise PhonebookError(f"--file: cannot read {file}: {error}") from error
    found = tokens.find(session.connection(), held)
    try:
        holder = tokens.check(found, utc_now())
    except Unauthenticated:
        return False
    if (holder.name, holder.role) != (name, role):
        return False
    if file.stat().st_mode & 0o077:
        file.chmod(0o600)
    return True


def _write(file: Path, token: str) -> None:
    """All of it or nothing, and never readable by others, not even for a moment."""
    fresh = file.with_name(f".{file.name}.{uuid4().hex}")
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(f"{token}\n")
        fresh.replace(file)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise PhonebookError(f"--file: cannot write {file}: {error.strerror}") from error


def _shown(at: datetime | None) -> str:
    return "-" if at is None else f"{at:%Y-%m-%d %H:%M}"


if __name__ == "__main__":
    main(app)
