"""`python -m benchmarks.service.app URL`: the product's application, and beside it constant
answers of the same size through the same stack."""

import gzip
import sys
from typing import Annotated

from fastapi import Header, Response

from server.app import create_app
from server.database.engine import open_database, reading
from server.http import logs
from server.http.connections import Limits, make_room_for_connections
from server.serving import AnnouncingServer, configured, listen
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
    compressed = {device: gzip.compress(body, 6) for device, body in bodies.items()}

    @app.get("/constant/{device}")
    def constant(device: str, accept_encoding: Annotated[str, Header()] = "") -> Response:
        if "gzip" in accept_encoding:
            headers = {"Content-Encoding": "gzip"}
            return Response(compressed[device], media_type="application/json", headers=headers)
        return Response(bodies[device], media_type="application/json")

    @app.get("/forget")
    async def forget() -> None:
        """The next table is read and encoded anew, as after a new timing."""
        app.state.answers.clear()

    with listen("127.0.0.1", 0) as listener:
        config = configured(app, Limits(make_room_for_connections()))
        announcement = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server = AnnouncingServer(config, announcement=announcement, listeners=app.state.listeners)
        server.run([listener])


if __name__ == "__main__":
    serve(sys.argv[1])
