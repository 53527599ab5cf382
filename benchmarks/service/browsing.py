"""Browsers that load pages over a long history, all at once, after a change."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import median

import httpx

from benchmarks.service.asking import ask_once
from benchmarks.service.figures import Figure
from benchmarks.service.making import a_session, opening, single, some_timings
from benchmarks.service.serving import Server

PAGES = ("/", "/history", "/fleet")
LIMIT_S = 120


def load_pages(
    server: Server, device: str, *, browsers: int, versions: int, turns: int
) -> list[Figure]:
    """Seconds until all browsers have the pages, against one of them, and the server's memory."""
    session = a_session(device)
    ask_once(server.port, opening(session))
    changes = iter([single(session.id, timing) for timing in some_timings()])
    _seconds(server, 1)  # the first one compiles templates
    before, peaks = server.memory_mib, []
    many, one = [], []
    for _ in range(turns):
        ask_once(server.port, next(changes))
        one.append(_seconds(server, 1))
        ask_once(server.port, next(changes))
        server.forget_peak()
        many.append(_seconds(server, browsers))
        peaks.append(server.peak_mib)
    after = server.memory_mib
    return [
        Figure(
            f"{', '.join(PAGES)} of {versions:,} versions: s of {browsers} browsers; of one",
            f"{median(many):.2f}",
            f"{median(one):.2f}",
            median(many) / median(one),
        ),
        Figure(
            "    memory in MiB, at peak / after; before; peak to before",
            f"{max(peaks):,.0f} / {after:,.0f}",
            f"{before:,.0f}",
            max(peaks) / before,
            most=1.5,
        ),
    ]


def _seconds(server: Server, browsers: int) -> float:
    with ThreadPoolExecutor(browsers) as pool:
        began = time.perf_counter()
        for done in [pool.submit(_load, server, PAGES) for _ in range(browsers)]:
            done.result()
        return time.perf_counter() - began


def _load(server: Server, paths: Sequence[str]) -> None:
    with httpx.Client(
        base_url=server.address, headers={"accept": "text/html"}, timeout=LIMIT_S
    ) as http:
        for path in paths:
            http.get(path).raise_for_status()
