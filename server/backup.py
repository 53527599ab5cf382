"""`python -m server.backup create|restore`: all of the server's data in one file, and back."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from contract import commands
from contract.cli import command_line, main
from server.http.clock import utc_now
from server.keeper import DatabaseUrl, say

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
    from server.copies import copy_to_file

    name = copy_to_file(database_url, to)
    say(f"{name} is in {to} ({to.stat().st_size / 1e6:,.1f} MB)")


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
    from server.copies import fill_from_file

    restored = fill_from_file(from_, database_url, utc_now(), keep_tokens=keep_tokens)
    then = "" if restored.is_newest else f"; now run `{commands.upgrade_schema()}`"
    say(f"{from_} is in {restored.name}{then}")
    if restored.revoked:
        say(
            f"its tokens ({restored.revoked}) were revoked, as some may have been since it was "
            f"made; make new ones of the same names with `{commands.create_token(role='ROLE')}`, "
            "which go on with all that the old ones made, or restore with --keep-tokens"
        )


if __name__ == "__main__":
    main(app)
