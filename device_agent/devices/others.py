"""What the other programs of this computer do with its CPUs."""

import time
from collections.abc import Iterable

import psutil

LEAST_SPAN_S = 0.5  # the kernel counts CPU time in hundredths of a second


class OthersWork:
    """The CPU time that was spent since the last look, our own processes' left out."""

    def __init__(self) -> None:
        self._looked = time.monotonic()
        self._busy_s = _busy_s()
        self._own_s: dict[int, float] = {}

    def cpus(self, own: Iterable[int]) -> float:
        """How many CPUs' worth others used. A process of `own` counts from its first look on."""
        time.sleep(max(0.0, LEAST_SPAN_S - (time.monotonic() - self._looked)))
        now, busy_s = time.monotonic(), _busy_s()
        own_s = {pid: _process_s(pid) for pid in own}
        ours = sum(used - self._own_s.get(pid, 0.0) for pid, used in own_s.items())
        others_s = busy_s - self._busy_s - ours
        others = max(0.0, others_s / (now - self._looked))
        self._looked, self._busy_s, self._own_s = now, busy_s, own_s
        return others


def _busy_s() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - _guests(times))


def _guests(times: object) -> float:
    """Guests' time is in user time already."""
    return float(getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0))


def _process_s(pid: int) -> float:
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)
