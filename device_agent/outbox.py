"""`python -m device_agent.outbox`: see what waits to be sent and what was refused; send it."""

import sys
from collections.abc import Iterator
from typing import Annotated
from uuid import UUID

from cyclopts import Parameter

from contract.cli import command_line, main
from contract.client import TableClient, default_server, table_client
from contract.errors import NotStored, PhonebookError
from device_agent import screen
from device_agent.measuring import upload
from device_agent.measuring.journal import Journal
from device_agent.measuring.sent import results, visits, what_to_do
from device_agent.places import journal_path

app = command_line(
    "python -m device_agent.outbox", "Send what was measured here, or see what waits and why."
)


@app.default
def run(
    *,
    server: Annotated[
        str | None, Parameter(help="Its address [default: $PHONEBOOK_SERVER or port 8420 here].")
    ] = None,
    resend: Annotated[
        bool,
        Parameter(
            negative="",
            help="Also what was sent before or refused: for a server that was restored from an "
            "older backup, or repaired. What it still has is stored once all the same.",
        ),
    ] = False,
    session: Annotated[UUID | None, Parameter(help="Of that session alone.")] = None,
    only_list: Annotated[
        bool, Parameter(name="--list", negative="", help="Send nothing.")
    ] = False,
) -> None:
    """Send what waits in the outbox, and say what became of it."""
    if resend and only_list:
        raise PhonebookError("--list sends nothing and --resend everything; give one of them")
    with (
        table_client(server or default_server()) as client,
        Journal(journal_path()) as journal,
    ):
        if session is not None:
            _must_be_there(journal, client.server, session)
        if only_list:
            for line in listing(journal, client.server, session):
                sys.stdout.write(f"{line}\n")
            return
        if resend:
            journal.put_back(client.server, session)
        _send(journal, client, session)


def listing(journal: Journal, server: str, session: UUID | None = None) -> Iterator[str]:
    """A line for each session of that server with results in the outbox, and one for each reason
    for which some were refused."""
    held = [each for each in journal.held(server) if session in (None, each.session)]
    if held:
        rows = [("session", "device", "space", "waiting", "refused", "sent")] + [
            (
                *(str(each.session), each.device, each.space),
                *(str(each.waiting), str(each.refused), str(each.sent)),
            )
            for each in held
        ]
        yield from screen.columns(rows)
    else:
        yield f"the outbox holds nothing for {server}"
    for of, reason, count in journal.reasons(server):
        if session in (None, of):
            yield f"refused in session {of}: {results(count)}: {reason}"
    for each in journal.held_visits(server):
        if session in (None, each.session):
            if each.waiting:
                yield f"of session {each.session}: {visits(each.waiting)} to send"
            if each.refused:
                yield f"refused of session {each.session}: {visits(each.refused)}: {each.reason}"
    for other, count in journal.servers().items():
        if other != server:
            yield f"for {other}: {results(count)} to send; --server {other} lists them"


def _send(journal: Journal, client: TableClient, session: UUID | None) -> None:
    sent = upload.send(journal, client, session=session)
    screen.console.print(
        f"{results(sent.accepted)} stored by {client.server}", markup=False, highlight=False
    )
    if sent.kept:
        raise NotStored(f"{'; '.join(sent.lines)}. {what_to_do(client.server)}")
    if sent.visits:
        told = f"{'; '.join(sent.lines)}. {what_to_do(client.server)}"
        screen.console.print(told, markup=False, highlight=False)
    refused = sum(each.refused for each in journal.held(client.server))
    if refused:
        screen.console.print(
            f"{results(refused)} refused before; --list tells why, --resend tries again",
            markup=False,
            highlight=False,
        )


def _must_be_there(journal: Journal, server: str, session: UUID) -> None:
    """
    Raises:
        PhonebookError: the journal has no such session, or it was measured for another server.
    """
    its_server = journal.server_of(session)
    if its_server is None:
        raise PhonebookError(f"{journal.path} has no session {session}; --list shows those it has")
    if its_server != server:
        raise PhonebookError(
            f"session {session} was measured for {its_server}, not for {server}; "
            f"give --server {its_server}"
        )


if __name__ == "__main__":
    main(app)
