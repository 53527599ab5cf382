"""How much memory a program takes while it is loaded and run, as the native runner tells it."""

import ctypes
import platform
import re
from contextlib import suppress
from pathlib import Path

_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")


class PeakMemory:
    """From its construction on, whatever other programs the process ran before."""

    def __init__(self) -> None:
        self._before = _kib("VmRSS") if _give_back_freed() and _forget_peak() else None

    def added_bytes(self) -> int | None:
        """The most that was added at any moment; None where the system does not tell."""
        peak = _kib("VmHWM")
        if self._before is None or peak is None or peak < self._before:
            return None
        return (peak - self._before) * 1024


def _give_back_freed() -> bool:
    """As the native runner's peak_memory.h, which says why."""
    if platform.libc_ver()[0] != "glibc":
        return False
    ctypes.CDLL(None).malloc_trim(0)
    return True


def _forget_peak() -> bool:
    with suppress(OSError):
        _CLEAR_REFS.write_text("5")
        return True
    return False


def _kib(field: str) -> int | None:
    with suppress(OSError):
        found = re.search(rf"^{field}:\s+([0-9]+) kB$", _STATUS.read_text(), re.MULTILINE)
        return int(found[1]) if found else None
    return None
