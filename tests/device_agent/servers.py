"""Real servers on loopback, over a database of their own, and a proxy before one that gets in the
way."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import uvicorn
from sqlalchemy import select

from server.app import create_app
from server.database.engine import open_database, reading, writing
from server.database.records import TimingRecord
from server.database.schema import prepare
from server.http.clock import Clock, utc_now
from server.roles import Role
from server.settings import Settings
from server.store import tokens

Answer = tuple[int, str, bytes]  # status, content type, body
HTML = "text/html"


@contextmanager
def serving(database: Path, *, clock: Clock = utc_now, port: int = 0) -> Iterator[str]:
    """A server over that SQLite file, which is made if it is not there; yields its address."""
    engine = open_database(f"sqlite:///{database}")
    prepare(engine)
    with socket.create_server(("127.0.0.1", port)) as listener:
        server = uvicorn.Server(
            uvicorn.Config(
                create_app(engine, Settings(rate=0), local=True, clock=clock),
                log_config=None,
                lifespan="off",
            )
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()
    engine.dispose()


def new_token(database: Path, name: str, role: Role) -> str:
    engine = open_database(f"sqlite:///{database}")
    with writing(engine).begin() as session:
        token = tokens.create(session, name, role, datetime.now(UTC))
    engine.dispose()
    return token


def stored_operators(database: Path) -> list[str]:
    """Of every timing in the database, in order."""
    engine = open_database(f"sqlite:///{database}")
    with reading(engine)() as session:
        found = list(
            session.scalars(select(TimingRecord.operator).order_by(TimingRecord.operator))
        )
    engine.dispose()
    return found


class Proxy:
    """Passes requests on to `server`, unless `instead` answers one itself, by its path and body.

    `posts` has the path and the size of each.
    """

    def __init__(self, server: str) -> None:
        self.server = server
        self.instead: Callable[[str, bytes], Answer | None] = lambda path, body: None
        self.posts: list[tuple[str, int]] = []


@contextmanager
def before(server: str) -> Iterator[tuple[Proxy, str]]:
    """The proxy, and its address."""
    proxy = Proxy(server)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle(self) -> None:
            try:
                super().handle()
            except ConnectionError:
                self.close_connection = True

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            proxy.posts.append((self.path, len(body)))
            status, kind, answer = proxy.instead(self.path, body) or self._of_server(body)
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = do_PUT = pass_on

        def _of_server(self, body: bytes) -> Answer:
            given = httpx.request(
                self.command,
                f"{proxy.server}{self.path}",
                content=body,
                headers={"content-type": "application/json"},
                timeout=30,
            )
            return given.status_code, given.headers["content-type"], given.content

        def log_message(self, format: str, *args: object) -> None:
            """Nothing on the screen."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        listener.daemon_threads = True
        thread = threading.Thread(target=listener.serve_forever, args=(0.05,))
        thread.start()
        yield proxy, f"http://127.0.0.1:{listener.server_address[1]}"
        listener.shutdown()
        thread.join()
