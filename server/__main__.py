"""`python -m server`: the server on this machine."""

from typing import Annotated

from cyclopts import Parameter

from contract.cli import command_line, main

app = command_line("python -m server", "Keep timings and serve latency tables.")


@app.default
def run(
    *,
    host: Annotated[
        str | None,
        Parameter(
            help="The address to listen on; others than loopback need tokens "
            "[default: $PHONEBOOK_HOST or 127.0.0.1]."
        ),
    ] = None,
    port: Annotated[
        int | None, Parameter(help="0 takes a free one [default: $PHONEBOOK_PORT or 8420].")
    ] = None,
    database_url: Annotated[
        str | None,
        Parameter(
            help="SQLite or PostgreSQL "
            "[default: $PHONEBOOK_DATABASE_URL or the file phonebook.db in this folder]."
        ),
    ] = None,
    root_path: Annotated[
        str | None,
        Parameter(
            help="Below which path a proxy shows the server, as /phonebook "
            "[default: $PHONEBOOK_ROOT_PATH or none]."
        ),
    ] = None,
) -> None:
    """Serve until Ctrl-C. The address is printed once it answers."""
    # Not before: whoever asks for help does not wait for the whole server.
    from server.serving import serve
    from server.settings import read_settings

    serve(read_settings(host=host, port=port, database_url=database_url, root_path=root_path))


if __name__ == "__main__":
    main(app)
