"""Tables asked for: by many at once, with a long history behind them, and after a change."""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from statistics import median

from benchmarks.service.asking import Line, Load, Request, ask_at_once, ask_once
from benchmarks.service.figures import Figure
from benchmarks.service.making import a_session, opening, single, some_timings
from benchmarks.service.serving import Server

TABLES = {"rows-300": 300, "rows-5000": 5000}
SMALL_TABLE, LARGE_TABLE = TABLES
TURN_S = 1  # of one side
CROWD = 64  # clients whose slowest answers have a bar
GZIP = {"accept-encoding": "gzip"}


def compare_with_constants(
    server: Server, *, clients: Mapping[str, Sequence[int]], turns: int
) -> list[Figure]:
    """`GET /lut` of each device against a constant answer of that size, turn by turn."""
    found = []
    for device, counts in clients.items():
        path = f"/lut/{device}"
        tag = ask_once(server.port, Request(path)).header("etag")
        assert tag is not None
        for count in counts:
            for what, headers, status, constant_headers in (
                ("", {}, 200, {}),
                (", ETag", {"if-none-match": tag}, 304, {}),
                (", gzip", GZIP, 200, GZIP),
            ):
                this = Request(path, headers)
                constant = Request(f"/constant/{device}", constant_headers)
                loads = _by_turns(server, this, status, constant, clients=count, turns=turns)
                name = f"GET /lut, {TABLES[device]:,} rows{what}, clients: {count}"
                least = None
                if device == SMALL_TABLE and what != ", gzip":
                    least = 0.75 if status == 304 else 0.6
                most = 5 if count == CROWD else None
                found += [_rates(name, loads, least), _latencies(name, loads, most)]
    return found


def compare_histories(long: Server, short: Server, *, timings: int, turns: int) -> list[Figure]:
    """The same table from a server with so many timings, and from one with few."""
    found = []
    for what, forget in (("kept", False), ("made anew", True)):
        request = Request(f"/lut/{SMALL_TABLE}")
        seconds: tuple[list[float], list[float]] = ([], [])
        with Line(long.port) as first, Line(short.port) as second:
            for _ in range(turns * 10):
                for line, taken in zip((first, second), seconds, strict=True):
                    if forget:
                        line.ask(Request("/forget"))
                    began = time.perf_counter()
                    line.ask(request)
                    taken.append(time.perf_counter() - began)
        ours, others = map(median, seconds)
        found.append(
            Figure(
                f"GET /lut, 300 rows, {what}, {timings:,} timings; few: ms",
                f"{ours * 1000:.2f}",
                f"{others * 1000:.2f}",
                ours / others,
            )
        )
    return found


def compare_crowd(server: Server, *, readers: int, turns: int) -> list[Figure]:
    """Seconds until all readers have the large table after a change, against one reader."""
    session = a_session(LARGE_TABLE)
    ask_once(server.port, opening(session))
    changes = iter([single(session.id, timing) for timing in some_timings()])
    found = []
    for what, headers in (("", {}), (", gzip", GZIP)):
        request = Request(f"/lut/{LARGE_TABLE}", headers)
        seconds: tuple[list[float], list[float]] = ([], [])
        for _ in range(turns):
            for count, taken in zip((readers, 1), seconds, strict=True):
                ask_once(server.port, next(changes))
                taken.append(_until_all_have(server, request, count))
        ours, others = map(median, seconds)
        found.append(
            Figure(
                f"5,000 rows changed{what}: s until {readers} have them; until one has",
                f"{ours:.2f}",
                f"{others:.2f}",
                ours / others,
            )
        )
    return found


def _by_turns(
    server: Server, this: Request, status: int, constant: Request, *, clients: int, turns: int
) -> list[tuple[Load, Load]]:
    with Line(server.port) as line:
        for _ in range(10):
            line.ask(this, status)
            line.ask(constant)
    return [
        (
            ask_at_once(server.port, this, clients=clients, seconds=TURN_S),
            ask_at_once(server.port, constant, clients=clients, seconds=TURN_S),
        )
        for _ in range(turns)
    ]


def _rates(name: str, loads: Sequence[tuple[Load, Load]], least: float | None) -> Figure:
    ours, others = (median(load.rate for load in side) for side in zip(*loads, strict=True))
    ratio = median(one.rate / another.rate for one, another in loads)
    return Figure(f"{name}: requests/s", f"{ours:,.0f}", f"{others:,.0f}", ratio, least=least)


def _latencies(name: str, loads: Sequence[tuple[Load, Load]], most: float | None) -> Figure:
    """Our p99 to our own median is the number."""
    ours, others = (
        " / ".join(
            f"{each:.1f}"
            for each in (
                median(load.p50_ms for load in side),
                median(load.p99_ms for load in side),
            )
        )
        for side in zip(*loads, strict=True)
    )
    spread = median(load.p99_ms / load.p50_ms for load, _ in loads)
    return Figure("    p50 / p99 in ms; p99 to p50", ours, others, spread, most=most)


def _until_all_have(server: Server, request: Request, count: int) -> float:
    with ExitStack() as stack:
        lines = [stack.enter_context(Line(server.port)) for _ in range(count)]
        began = time.perf_counter()
        for line in lines:
            line.send(request)
        answers = {line.receive().body for line in lines}
        seconds = time.perf_counter() - began
    if len(answers) != 1 or answers == {b""}:
        raise SystemExit(f"{count} readers of one table got {len(answers)} different ones")
    return seconds
