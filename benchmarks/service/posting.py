"""Timings posted: by one, by many agents at once, and whether the server tells that it lives."""

import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from statistics import median
from threading import Barrier
from typing import Any
from uuid import UUID

from sqlalchemy import Engine, insert

from benchmarks.service.asking import Line, Request
from benchmarks.service.figures import Figure
from benchmarks.service.making import (
    ROUNDS,
    SAMPLES,
    a_session,
    at_once,
    in_batches,
    opening,
    single,
    some_timings,
)
from benchmarks.service.serving import Server
from benchmarks.service_data import SPACE
from contract.timings import BatchReport, Timing
from server.database.records import TimingRecord

POSTED = 40  # timings, of each side of a turn
HEALTH_EVERY_S = 0.1
SINGLES = 5  # timings of each of many writers
SHAPE = f"{ROUNDS} x {SAMPLES} samples"


def compare_posts(server: Server, engine: Engine, device: str, *, turns: int) -> list[Figure]:
    """Timings/s of one poster, and inserted at once into the same table, turn by turn."""
    rates: dict[str, list[float]] = {"batch": [], "single": [], "insert": []}
    with Line(server.port) as line:
        for _ in range(turns):
            for how, taken in rates.items():
                session, timings = a_session(device), some_timings(POSTED)
                line.ask(opening(session))
                if how == "insert":
                    records = [_record(session.id, timing) for timing in timings]
                    began = time.perf_counter()
                    with engine.begin() as connection:
                        connection.execute(insert(TimingRecord), records)
                else:
                    requests = (
                        [at_once(session.id, timings)]
                        if how == "batch"
                        else [single(session.id, timing) for timing in timings]
                    )
                    began = time.perf_counter()
                    for request in requests:
                        _stored(line, request)
                taken.append(POSTED / (time.perf_counter() - began))
    plain = rates.pop("insert")
    return [
        Figure(
            f"POST timings of {SHAPE}, {what}; executemany: timings/s",
            f"{median(rates[how]):,.0f}",
            f"{median(plain):,.0f}",
            median(one / another for one, another in zip(rates[how], plain, strict=True)),
            least=least,
        )
        for how, what, least in (
            ("batch", f"{POSTED} at once", 0.1),
            ("single", "one by one", None),
        )
    ]


def upload(
    server: Server, device: str, *, agents: int, sessions: int, least: float | None
) -> Figure:
    """Agents that each post whole sessions in batches, all together; and how fast that is."""
    each = -(-sessions // agents)
    work = [_sessions(device, each) for _ in range(agents)]
    start, busy = Barrier(agents + 1), Counter[int]()

    def post(requests: Sequence[Request]) -> None:
        with Line(server.port) as line:
            start.wait()
            for request in requests:
                busy.update(_stored(line, request))

    with ThreadPoolExecutor(agents) as pool:
        posts = [pool.submit(post, requests) for requests in work]
        start.wait()
        began = time.perf_counter()
        for done in posts:
            done.result()
    seconds = time.perf_counter() - began
    timings = agents * each * len(SPACE.operators)
    again = f", busy {busy.total():,} times" if busy else ""
    return Figure(
        f"uploads of {agents} at once, {timings:,} timings{again}: timings/s",
        f"{timings / seconds:,.0f}",
        "",
        timings / seconds,
        least=least,
    )


def ask_for_health(server: Server, device: str, *, writers: int) -> list[Figure]:
    """The slowest sign of life while many post, and how their posts were answered."""
    slowest, asked = 0.0, 0
    with (
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool,
        Line(server.port) as line,
    ):
        writing = pool.submit(_write_at_once, server.port, device, writers)
        while not writing.done():
            began = time.perf_counter()
            line.ask(Request("/healthz"), 200)
            taken = time.perf_counter() - began
            slowest, asked = max(slowest, taken), asked + 1
            time.sleep(max(0.0, HEALTH_EVERY_S - taken))
        statuses, seconds = writing.result()
    stored = sum(count for status, count in statuses.items() if status < 300)
    if set(statuses) - {200, 201, 503}:
        raise SystemExit(f"{writers} writers at once: posts were answered {dict(statuses)}")
    return [
        Figure(
            f"GET /healthz, slowest of {asked}, while {writers} write at once: s",
            f"{slowest:.3f}",
            "",
            slowest,
            most=1,
        ),
        Figure(
            f"    their {statuses.total()} posts in {seconds:.1f} s: stored; answered 503",
            f"{stored}",
            f"{statuses.total() - stored}",
            stored / statuses.total(),
        ),
    ]


def _sessions(device: str, count: int) -> list[Request]:
    requests = []
    for _ in range(count):
        session = a_session(device)
        requests += [opening(session), *in_batches(session.id, some_timings())]
    return requests


def _stored(line: Line, request: Request) -> Counter[int]:
    """Post until it is stored, waiting as long as the server says: how often it was too busy."""
    busy = Counter[int]()
    while (answer := line.answer_to(request)).status in (429, 503):
        busy[answer.status] += 1
        time.sleep(float(answer.header("retry-after") or 1))
    refused = request.path.endswith("/batch") and [
        outcome.refused
        for outcome in BatchReport.model_validate_json(answer.body).outcomes
        if outcome.refused
    ]
    if answer.status not in (200, 201) or refused:
        raise SystemExit(f"{request.path} was answered {answer.status}: {answer.body[:500]!r}")
    return busy


def _write_at_once(port: int, device: str, writers: int) -> tuple[Counter[int], float]:
    """How the posts of so many writers were answered, each with a session of its own."""
    work = []
    with Line(port) as line:
        for _ in range(writers):
            session = a_session(device)
            line.ask(opening(session))
            work.append([single(session.id, timing) for timing in some_timings(SINGLES)])

    def post(requests: Sequence[Request]) -> list[int]:
        with Line(port) as line:
            start.wait()
            return [line.answer_to(request).status for request in requests]

    start = Barrier(writers)
    began = time.perf_counter()
    with ThreadPoolExecutor(writers) as pool:
        statuses = Counter(status for part in pool.map(post, work) for status in part)
    return statuses, time.perf_counter() - began


def _record(session: UUID, timing: Timing) -> dict[str, Any]:
    return {
        "id": timing.id,
        "session": session,
        "operator": timing.operator.key,
        "measured_at": timing.measured_at,
        "rounds_us": timing.rounds_us,
        "drift": timing.drift,
    }
