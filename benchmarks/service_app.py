"""The server that `benchmarks/service.py` measures: the product's application, and beside it
constant answers of the same size through the same stack."""

import sys

import uvicorn
from fastapi import Response

from server import logs
from server.__main__ import AnnouncingServer, listen
from server.answers import Answers
from server.app import create_app
from server.db import open_database, reading
from server.settings import Settings
from server.store import devices, lookup


def serve(database_url: str) -> None:
    """Serve until terminated. `/constant/{device}` answers what that device's table was."""
    logs.configure()
    engine = open_database(database_url)
    app = create_app(engine, Settings(rate=0), local=True)
    with reading(engine)() as session:
        bodies = {
            device.name: lookup.read(session, lookup.ask(session, device.name))
            .model_dump_json()
            .encode()
            for device in devices.devices(session)
        }

    @app.get("/constant/{device}")
    def constant(device: str) -> Response:
        return Response(bodies[device], media_type="application/json")

    @app.get("/forget")
    def forget() -> None:
        """The next table is read and encoded anew, as after a new timing."""
        app.state.answers = Answers()

    with listen("127.0.0.1", 0) as listener:
        config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off")
        port = str(listener.getsockname()[1])
        server = AnnouncingServer(config, announcement=port, listeners=app.state.listeners)
        server.run([listener])


if __name__ == "__main__":
    serve(sys.argv[1])
