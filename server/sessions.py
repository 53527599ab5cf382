"""`python -m server.sessions`: withdraw sessions and bring them back, and write notes on them."""

from typing import Annotated
from uuid import UUID

from cyclopts import Parameter

from contract.cli import command_line, main
from contract.errors import PhonebookError
from server.http.clock import utc_now
from server.keeper import KEEPER, DatabaseUrl, changing, given_reason, say

Id = Annotated[UUID, Parameter(help="The session's id.")]
Why = Annotated[str, Parameter(help="Kept with the session, for whoever wonders.")]

app = command_line(
    "python -m server.sessions",
    "Withdraw sessions whose numbers are wrong, and write notes on sessions. Nothing is deleted, "
    "and the server may go on serving meanwhile.",
)


@app.command
def withdraw(id: Id, /, *, reason: Why, database_url: DatabaseUrl = None) -> None:
    """Let a session count for nothing: rows become what they were without it."""
    from server.store import withdrawals

    why = given_reason(reason)
    with changing(database_url) as session:
        report = withdrawals.withdraw(session, id, why, KEEPER, utc_now())
    say(f"session {id} of {report.session.device} is withdrawn: {len(report.timings)} timings")


@app.command
def bring_back(id: Id, /, *, reason: Why, database_url: DatabaseUrl = None) -> None:
    """Let a withdrawn session count again."""
    from server.store import withdrawals

    why = given_reason(reason)
    with changing(database_url) as session:
        report = withdrawals.bring_back(session, id, why, KEEPER, utc_now())
    say(f"session {id} of {report.session.device} counts: {len(report.timings)} timings")


@app.command
def annotate(
    id: Id,
    /,
    *,
    note: Annotated[str, Parameter(help="What people should know who read its figures.")],
    database_url: DatabaseUrl = None,
) -> None:
    """Write a note on a session, which pages show beside its figures."""
    from server.store import notes

    if not note.strip():
        raise PhonebookError("--note: write down what people should know")
    with changing(database_url) as session:
        found = notes.annotate(session, id, note, KEEPER, utc_now())
    say(f"session {id} has {len(found)} note{'s' if len(found) > 1 else ''}")


if __name__ == "__main__":
    main(app)
