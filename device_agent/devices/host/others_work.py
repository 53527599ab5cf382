"""What the other programs of this computer do with its CPUs."""

import os
import time
from collections.abc import Iterable

import psutil

LEAST_SPAN_S = 0.5  # the kernel counts CPU time in hundredths of a second


class OthersWork:
    """The CPU time that was spent since the last look, our own processes' left out."""

    def __init__(self) -> None:
        self._looked = time.monotonic()
        self._busy_s = _busy_s()
        self._own_s = _process_s(os.getpid())

    def cpus(self, children: Iterable[int]) -> float:
        """How many CPUs' worth others used. This process and `children` that live are not others;
        what a child used that has ended is this process's."""
        time.sleep(max(0.0, LEAST_SPAN_S - (time.monotonic() - self._looked)))
        now, busy_s = time.monotonic(), _busy_s()
        own_s = sum(map(_process_s, (os.getpid(), *children)))
        others_s = busy_s - self._busy_s - (own_s - self._own_s)
        others = max(0.0, others_s / (now - self._looked))
        self._looked, self._busy_s, self._own_s = now, busy_s, own_s
        return others


def _busy_s() -> float:
    times = psutil.cpu_times()
    # Guests' time is in user time already; what a hypervisor stole, no program here used.
    left_out = ("idle", "iowait", "guest", "guest_nice", "steal")
    return float(sum(times) - sum(getattr(times, name, 0.0) for name in left_out))


def _process_s(pid: int) -> float:
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)
