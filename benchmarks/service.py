"""`python -m benchmarks.service`: how fast the service is, as ratios from one run.

For SQLite and for PostgreSQL: `GET /lut/{device}` of 300 and of 5,000 rows against a constant
answer of the same size from the same server, the same with an ETag, posted timings against plain
`executemany`, and `GET /lut/{device}` with a long history behind it against a short one. The two
sides take short turns, so that whatever else the computer does slows both alike.

The history is filled by SQL, with one sample per timing and ids in order; 10 million timings take
about 3 GB of the temporary folder and some minutes, for one database after the other. The private
PostgreSQL does not wait for the disk (`fsync=off`); give your own by `--postgres-url`.
"""

import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from statistics import median
from typing import Annotated
from uuid import UUID, uuid4

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table
from sqlalchemy import insert

from benchmarks.service_data import NOW, RUNTIME, SPACE, fill
from contract.cli import command_line, main
from contract.timings import Conditions, Session, Timing
from server.db import open_database
from server.tables import TimingRecord
from tests.postgres import any_server, database

TABLES = {"rows-300": 300, "rows-5000": 5000}
SHORT_HISTORY = 10_000
TURN_S = 0.2
ROUNDS, SAMPLES = 40, 5  # of a posted timing
POSTS = 40  # in a turn
SCREEN = Console(highlight=False)

app = command_line("python -m benchmarks.service", __doc__ or "")


class Line:
    """One connection to the server, kept open."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, request: bytes, *, status: int = 200) -> bytes:
        """Head and body of the answer."""
        self._socket.sendall(request)
        answer = self._socket.recv(1 << 18)
        while b"\r\n\r\n" not in answer:
            answer += self._socket.recv(1 << 18)
        head, _, body = answer.partition(b"\r\n\r\n")
        if int(head[9:12]) != status:
            raise SystemExit(f"{head[:200]!r} {body[:500]!r}")
        length = re.search(rb"content-length: (\d+)", head)
        missing = (int(length[1]) if length and status != 304 else 0) - len(body)
        parts = [head, body]
        while missing > 0:
            parts.append(self._socket.recv(1 << 18))
            missing -= len(parts[-1])
        return b"\r\n".join(parts)

    def close(self) -> None:
        self._socket.close()


def get(path: str, header: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nhost: benchmark\r\n{header}\r\n".encode()


def post(path: str, body: str) -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nhost: benchmark\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n{body}"
    ).encode()


@app.default
def run(
    *,
    history: Annotated[int, Parameter(help="Timings in the long history.")] = 10_000_000,
    turns: Annotated[int, Parameter(help="Of each side of each comparison.")] = 30,
    connections: Annotated[int, Parameter(help="At once, to ask for tables.")] = 4,
    postgres_url: Annotated[
        str | None, Parameter(help="A server whose user may create databases [default: private].")
    ] = None,
) -> None:
    """Measure both databases and print the ratios."""
    for name in ("sqlite", "postgresql"):
        with ExitStack() as stack:
            if name == "sqlite":
                folder = stack.enter_context(tempfile.TemporaryDirectory())
                urls = [f"sqlite:///{folder}/{length}.db" for length in ("short", "long")]
            else:
                server = postgres_url or stack.enter_context(any_server())
                urls = [
                    stack.enter_context(database(server, f"benchmark-{uuid4()}"))
                    for _ in ("short", "long")
                ]
            measure(name, urls, history=history, turns=turns, connections=connections)


def measure(name: str, urls: list[str], *, history: int, turns: int, connections: int) -> None:
    """Fill the two databases, serve both, and print the comparisons."""
    for url, timings in zip(urls, (SHORT_HISTORY, history), strict=True):
        began = time.monotonic()
        engine = open_database(url)
        fill(engine, rows=TABLES, history=timings)
        engine.dispose()
        SCREEN.print(f"{name}: {timings:,} timings filled in {time.monotonic() - began:.0f} s")
    before = os.getloadavg()[0]
    table = Table(title=name)
    for column in ("", "this", "against", "ratio"):
        table.add_column(column, justify="right" if column else "left")
    with served(urls[0]) as short, served(urls[1]) as long:
        for device in TABLES:
            constant = get(f"/constant/{device}")
            whole = get(f"/lut/{device}")
            tag = re.search(rb"etag: (\S+)", Line(short).ask(whole))
            assert tag is not None
            tagged = get(f"/lut/{device}", f"if-none-match: {tag[1].decode()}\r\n")
            for what, request, status in (("", whole, 200), (" with its ETag", tagged, 304)):
                rates = compare_rates(short, request, constant, status, turns, connections)
                add_rates(table, f"GET /lut, {TABLES[device]:,} rows{what}: requests/s", rates)
        for what, forget in (("kept", False), ("made anew", True)):
            times = compare_times(long, short, forget=forget, turns=turns)
            label = f"GET /lut, 300 rows, {what}, {history:,} timings: ms"
            table.add_row(
                label, *(f"{time * 1000:.2f}" for time in times), f"{times[0] / times[1]:.2f}"
            )
        rates = compare_posts(short, urls[0], turns)
        add_rates(table, f"POST timings of {ROUNDS} x {SAMPLES} samples: timings/s", rates)
    SCREEN.print(table)
    SCREEN.print(f"load {before:.1f} to {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs\n")


def add_rates(table: Table, what: str, rates: list[tuple[float, float]]) -> None:
    """The medians of both sides, and of the ratio within each turn."""
    ours, others = (median(side) for side in zip(*rates, strict=True))
    ratio = median(one / another for one, another in rates)
    table.add_row(what, f"{ours:,.0f}", f"{others:,.0f}", f"{ratio:.3g}")


def compare_rates(
    port: int, request: bytes, constant: bytes, status: int, turns: int, connections: int
) -> list[tuple[float, float]]:
    """Requests/s of both, turn by turn."""
    lines = [Line(port) for _ in range(connections)]
    with ThreadPoolExecutor(connections) as pool:

        def rate(asked: bytes, expected: int) -> float:
            began = time.perf_counter()

            def ask(line: Line) -> int:
                count = 0
                while time.perf_counter() - began < TURN_S:
                    line.ask(asked, status=expected)
                    count += 1
                return count

            return sum(pool.map(ask, lines)) / (time.perf_counter() - began)

        found = [(rate(request, status), rate(constant, 200)) for _ in range(turns + 1)]
    for line in lines:
        line.close()
    return found[1:]  # the first turn warms up


def compare_times(long: int, short: int, *, forget: bool, turns: int) -> tuple[float, float]:
    """The median seconds of one request after the other, at both servers."""
    lines = (Line(long), Line(short))
    seconds: tuple[list[float], list[float]] = ([], [])
    request = get(f"/lut/{next(iter(TABLES))}")
    for _ in range(turns * 10):
        for line, taken in zip(lines, seconds, strict=True):
            if forget:
                line.ask(get("/forget"))
            began = time.perf_counter()
            line.ask(request)
            taken.append(time.perf_counter() - began)
    for line in lines:
        line.close()
    return median(seconds[0]), median(seconds[1])


def compare_posts(port: int, url: str, turns: int) -> list[tuple[float, float]]:
    """Timings/s posted one by one, and inserted at once into the same table, turn by turn."""
    line, engine, device = Line(port), open_database(url), next(iter(TABLES))
    found = []
    for _ in range(turns):
        session = _a_session(device)
        line.ask(post("/sessions", session.model_dump_json()), status=201)
        requests = [
            post(f"/sessions/{session.id}/timings", timing.model_dump_json())
            for timing in _timings()
        ]
        began = time.perf_counter()
        for request in requests:
            line.ask(request, status=201)
        posted = POSTS / (time.perf_counter() - began)

        other = _a_session(device)
        line.ask(post("/sessions", other.model_dump_json()), status=201)
        records = [_record(other.id, timing) for timing in _timings()]
        began = time.perf_counter()
        with engine.begin() as connection:
            connection.execute(insert(TimingRecord), records)
        found.append((posted, POSTS / (time.perf_counter() - began)))
    line.close()
    engine.dispose()
    return found


def _a_session(device: str) -> Session:
    return Session(
        id=uuid4(),
        device=device,
        runtime=RUNTIME,
        space=SPACE.name,
        origin="measured",
        effort="standard",
        started_at=NOW,
        agent_version="0",
        conditions=Conditions(load_1min=0.1, clock_mhz=None, temperature_c=None),
    )


def _timings() -> list[Timing]:
    rounds = tuple(
        tuple(100 + number % 7 + sample / 8 for sample in range(SAMPLES))
        for number in range(ROUNDS)
    )
    calm = ((1.0,) * SAMPLES,) * ROUNDS
    return [
        Timing(id=uuid4(), operator=operator, measured_at=NOW, rounds_us=rounds, drift=calm)
        for operator in SPACE.operators[:POSTS]
    ]


def _record(session: UUID, timing: Timing) -> dict[str, object]:
    return {
        "id": timing.id,
        "session": session,
        "operator": timing.operator.key,
        "measured_at": timing.measured_at,
        "rounds_us": timing.rounds_us,
        "drift": timing.drift,
    }


@contextmanager
def served(url: str) -> Iterator[int]:
    """The port of a server of that database's, which lasts as long as this."""
    command = [sys.executable, "-m", "benchmarks.service_app", url]
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as server,
    ):
        assert server.stdout is not None
        said = server.stdout.readline()
        if not said:
            log.seek(0)
            raise SystemExit(log.read().decode())
        try:
            yield int(said)
        finally:
            server.terminate()


if __name__ == "__main__":
    main(app)
