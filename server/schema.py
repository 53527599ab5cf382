"""`python -m server.schema upgrade` brings a database to the newest schema."""

from typing import Annotated

from cyclopts import Parameter

from contract.cli import command_line, main

app = command_line("python -m server.schema", "Look after the schema of the server's database.")


@app.command(name="upgrade")
def upgrade_configured(
    *,
    database_url: Annotated[
        str | None, Parameter(help="SQLite or PostgreSQL [default: $PHONEBOOK_DATABASE_URL].")
    ] = None,
) -> None:
    """Bring the database to the newest schema. Stop older servers first."""
    from server.database.engine import open_database
    from server.database.schema import explained, upgrade
    from server.settings import read_settings

    engine = open_database(read_settings(database_url=database_url).database_url)
    with explained(engine):
        upgrade(engine)
    engine.dispose()


if __name__ == "__main__":
    main(app)
