"""Requests to a server: one by one over a connection of ours, or from many clients at once.

Many clients at once are `wrk` where that is installed (on Debian: apt-get install wrk), and else
connections of ours in a process of its own, which are slower: it says which.
"""

import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

TIMEOUT_S = 60
_SCRIPT = Path(__file__).with_name("wrk.lua")
_WRK = shutil.which("wrk")
ASKER = "wrk, 1 thread" if _WRK else "connections of ours, as wrk is not installed"
_FIGURES = re.compile(r"^figures (\d+) (\d+) (\d+) (\d+) (\d+)$", re.MULTILINE)


@dataclass(frozen=True)
class Request:
    """A request to one of the servers; a body makes it a POST."""

    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None

    def encoded(self, port: int) -> bytes:
        method = "GET" if self.body is None else "POST"
        headers = {"host": f"127.0.0.1:{port}", **self.headers}
        body = (self.body or "").encode()
        if self.body is not None:
            headers |= {"content-type": "application/json", "content-length": str(len(body))}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"{method} {self.path} HTTP/1.1\r\n{lines}\r\n".encode() + body


@dataclass(frozen=True)
class Answer:
    status: int
    head: str
    body: bytes

    def header(self, name: str) -> str | None:
        found = re.search(rf"^{name}: (.*)\r$", self.head, re.MULTILINE | re.IGNORECASE)
        return found and found[1]


class Line:
    """One connection to a server, kept open."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._socket.close()

    def ask(self, request: Request, *expected: int) -> Answer:
        """The answer, which must have one of these statuses, or else be a good one."""
        answer = self.answer_to(request)
        if answer.status not in (expected or (200, 201)):
            raise SystemExit(f"{request.path} was answered {answer.status}: {answer.body[:500]!r}")
        return answer

    def answer_to(self, request: Request) -> Answer:
        self.send(request)
        return self.receive()

    def send(self, request: Request) -> None:
        self._socket.sendall(request.encoded(self._port))

    def receive(self) -> Answer:
        received = bytearray()
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += self._some()
        head, body = bytes(received[: end + 2]).decode("latin-1"), received[end + 4 :]
        answer = Answer(int(head[9:12]), head, b"")
        length = 0 if answer.status in (204, 304) else int(answer.header("content-length") or 0)
        while len(body) < length:
            body += self._some()
        return Answer(answer.status, head, bytes(body))

    def _some(self) -> bytes:
        some = self._socket.recv(1 << 18)
        if not some:
            raise SystemExit("the server closed the connection")
        return some


def ask_once(port: int, request: Request, *expected: int) -> Answer:
    """As `Line.ask`, over a connection of its own: the server ends those that are idle."""
    with Line(port) as line:
        return line.ask(request, *expected)


@dataclass(frozen=True)
class Load:
    """How a server did under many clients."""

    rate: float  # answers a second
    p50_ms: float
    p99_ms: float


def ask_at_once(port: int, request: Request, *, clients: int, seconds: int) -> Load:
    """Let so many clients ask for the same, each anew as soon as it is answered."""
    if _WRK is not None:
        command = [
            *(_WRK, "--threads", "1", "--connections", str(clients)),
            *("--duration", f"{seconds}s", "--timeout", f"{TIMEOUT_S}s", "--script", str(_SCRIPT)),
            *(part for item in request.headers.items() for part in ("-H", ": ".join(item))),
            f"http://127.0.0.1:{port}{request.path}",
        ]
    else:
        options = [f"{name}={value}" for name, value in request.headers.items()]
        command = [
            *(sys.executable, "-m", "benchmarks.service.asking", str(port), str(clients)),
            *(str(seconds), request.path, *options),
        ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = _FIGURES.search(done.stdout)
    if found is None:
        raise SystemExit(f"{ASKER}: {done.stdout}{done.stderr}")
    requests, lasted_us, p50_us, p99_us, errors = map(int, found.groups())
    if errors or not requests:
        raise SystemExit(f"{request.path}, {clients} clients: {errors} errors\n{done.stdout}")
    return Load(requests / lasted_us * 1e6, p50_us / 1000, p99_us / 1000)


def _ask(port: int, clients: int, seconds: int, request: Request) -> str:
    """What `wrk.lua` tells, from a thread for each client."""
    began = time.perf_counter()

    def latencies(line: Line) -> list[float]:
        taken: list[float] = []
        with line:
            while (sent := time.perf_counter()) - began < seconds:
                line.ask(request, 200, 304)
                taken.append(time.perf_counter() - sent)
        return taken

    with ThreadPoolExecutor(clients) as pool:
        lines = [Line(port) for _ in range(clients)]
        taken = sorted(each for part in pool.map(latencies, lines) for each in part)
    lasted = time.perf_counter() - began
    figures = (lasted, taken[len(taken) // 2], taken[len(taken) * 99 // 100])
    return f"figures {len(taken)} {' '.join(f'{each * 1e6:.0f}' for each in figures)} 0\n"


if __name__ == "__main__":
    _port, _clients, _seconds = map(int, sys.argv[1:4])
    _headers = dict(option.split("=", 1) for option in sys.argv[5:])
    sys.stdout.write(_ask(_port, _clients, _seconds, Request(sys.argv[4], _headers)))
