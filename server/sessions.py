"""`python -m server.sessions withdraw|bring-back`: let a session count for nothing, and again."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from cyclopts import Parameter
from sqlalchemy.orm import Session as DbSession

from contract.cli import command_line, main
from contract.errors import PhonebookError
from contract.tables import SessionReport
from server.database.engine import open_database, writing
from server.database.schema import explained, require_head
from server.errors import Refusal
from server.roles import Caller
from server.settings import read_settings
from server.store import withdrawals

KEEPER = Caller(None, "admin")  # whoever has the database

Change = Callable[[DbSession, UUID, str, Caller, datetime], SessionReport]
Id = Annotated[UUID, Parameter(help="The session's id.")]
Why = Annotated[str, Parameter(help="Kept with the session, for whoever wonders.")]
DatabaseUrl = Annotated[
    str | None, Parameter(help="SQLite or PostgreSQL [default: $PHONEBOOK_DATABASE_URL].")
]

app = command_line(
    "python -m server.sessions",
    "Withdraw sessions whose numbers are wrong. Nothing is deleted, and the server may go on "
    "serving meanwhile.",
)


@app.command
def withdraw(id: Id, /, *, reason: Why, database_url: DatabaseUrl = None) -> None:
    """Let a session count for nothing: rows become what they were without it."""
    report = _change(withdrawals.withdraw, id, reason, database_url)
    _say(f"session {id} of {report.session.device} is withdrawn: {len(report.timings)} timings")


@app.command
def bring_back(id: Id, /, *, reason: Why, database_url: DatabaseUrl = None) -> None:
    """Let a withdrawn session count again."""
    report = _change(withdrawals.bring_back, id, reason, database_url)
    _say(f"session {id} of {report.session.device} counts: {len(report.timings)} timings")


def _change(change: Change, id: UUID, reason: str, database_url: str | None) -> SessionReport:
    if not reason.strip():
        raise PhonebookError("--reason: say why, in a few words")
    engine = open_database(read_settings(database_url=database_url).database_url)
    require_head(engine)
    try:
        with explained(engine), writing(engine).begin() as session:
            return change(session, id, reason, KEEPER, datetime.now(UTC))
    except Refusal as refusal:
        raise PhonebookError(str(refusal)) from refusal
    finally:
        engine.dispose()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main(app)
