"""Servers as clients meet them: on a port, in a thread or as the program."""

import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from server.http.connections import Limits, limited

LIMIT_S = 60


@dataclass(frozen=True, slots=True)
class Served:
    """A server in a thread of this process."""

    address: str
    connections: Callable[[], int]


@contextmanager
def serving(app: ASGIApp, limits: Limits) -> Iterator[Served]:
    """`app` behind connections with these limits, until the end of the block."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # What a client does not take stays with the server, and not with the system.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                http=limited(limits),
                ws="none",
                log_config=None,
                lifespan="off",
                timeout_graceful_shutdown=LIMIT_S,
            )
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            yield Served(address, lambda: len(server.server_state.connections))
        finally:
            server.should_exit = True
            thread.join()


@dataclass(frozen=True, slots=True)
class Program:
    """`python -m server`, once it answers."""

    address: str
    process: subprocess.Popen[str]


@contextmanager
def program(database_url: str, *, log: Path, files: int | None = None) -> Iterator[Program]:
    """The program with its log in a file, which may open so many files; ended in the end."""
    ours = {name: value for name, value in os.environ.items() if "PHONEBOOK" not in name}
    command = [sys.executable, "-m", "server", "--port", "0"]
    if files is not None:
        command = ["sh", "-c", f'ulimit -n {files}; exec "$@"', "sh", *command]
    with (
        log.open("w") as errors,
        subprocess.Popen(
            command,
            env={**ours, "PHONEBOOK_DATABASE_URL": database_url},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        try:
            assert process.stdout is not None
            found = re.search(r"http://\S+", process.stdout.readline())
            assert found is not None, log.read_text()
            yield Program(found[0], process)
        finally:
            process.terminate()
            process.wait(LIMIT_S)


def connected(address: str) -> socket.socket:
    """A connection on which nothing was sent yet."""
    host, _, port = address.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=LIMIT_S)


def rest(connection: socket.socket) -> bytes:
    """All that comes until the other end closes."""
    said = b""
    try:
        while some := connection.recv(65_536):
            said += some
    except ConnectionResetError:
        pass
    return said


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)
