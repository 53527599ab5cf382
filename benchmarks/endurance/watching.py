"""The server looked at from a process of its own: does it live, how much memory has it."""

import time
from dataclasses import dataclass
from statistics import median

from benchmarks.service.asking import Line, Request
from benchmarks.service.serving import Server

HEALTH_EVERY_S = 0.5
MEMORY_EVERY_S = 5.0


@dataclass(frozen=True)
class Watched:
    """Sizes in MiB, in order, and the seconds of the slowest sign of life of so many."""

    sizes: tuple[float, ...]
    peak: float
    slowest_s: float
    asked: int

    @property
    def first_quarter(self) -> float:
        return median(self.sizes[: max(1, len(self.sizes) // 4)])

    @property
    def last_quarter(self) -> float:
        return median(self.sizes[-max(1, len(self.sizes) // 4) :])


def watch(server: Server, seconds: float) -> Watched:
    """Look at it for so long."""
    sizes, slowest, asked = [server.memory_mib], 0.0, 0
    until = time.monotonic() + seconds
    next_size = time.monotonic() + MEMORY_EVERY_S
    while time.monotonic() < until:
        began = time.perf_counter()
        with Line(server.port) as line:
            line.ask(Request("/healthz"))
        slowest, asked = max(slowest, time.perf_counter() - began), asked + 1
        if time.monotonic() >= next_size:
            sizes.append(server.memory_mib)
            next_size += MEMORY_EVERY_S
        time.sleep(HEALTH_EVERY_S)
    return Watched(tuple(sizes), server.peak_mib, slowest, asked)
