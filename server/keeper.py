"""What the commands of whoever keeps the database have in common: one change, or one look."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from contract.errors import PhonebookError
from server.errors import Refusal
from server.roles import Caller

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.orm import Session

KEEPER = Caller(None, "admin")  # whoever has the database

DatabaseUrl = Annotated[
    str | None,
    Parameter(
        help="SQLite or PostgreSQL "
        "[default: $PHONEBOOK_DATABASE_URL or the file phonebook.db in this folder]."
    ),
]
Why = Annotated[str, Parameter(help="Kept in the log of who did what.")]


@contextmanager
def kept_database(database_url: str | None) -> Iterator["Engine"]:
    """The database, which has the newest schema; a refusal ends the command.

    Raises:
        PhonebookError: it cannot be used as it is, or what was asked for was refused.
    """
    from server.database.engine import open_database
    from server.database.schema import explained, require_head
    from server.settings import read_settings

    engine = open_database(read_settings(database_url=database_url).database_url)
    try:
        require_head(engine)
        with explained(engine):
            yield engine
    except Refusal as refusal:
        raise PhonebookError(str(refusal)) from refusal
    finally:
        engine.dispose()


@contextmanager
def changing(database_url: str | None) -> Iterator["Session"]:
    """One transaction that writes. Raises as `kept_database` does."""
    from server.database.engine import writing

    with kept_database(database_url) as engine, writing(engine).begin() as session:
        yield session


def given_reason(reason: str) -> str:
    """The reason that a person gave.

    Raises:
        PhonebookError: none.
    """
    if not reason.strip():
        raise PhonebookError("--reason: say why, in a few words")
    return reason


def say(line: str) -> None:
    """A line on standard output."""
    sys.stdout.write(f"{line}\n")
