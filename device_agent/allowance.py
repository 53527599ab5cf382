"""What of this computer this process may use: CPUs by its affinity, time and memory by its control
groups.

A container sees all CPUs of its computer and all its memory, and may use less of both.
`root` is where /proc and /sys are looked for.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import psutil

_ROOT = Path("/")


def may_choose_cpus() -> bool:
    """Whether this system lets a program say which CPUs it runs on."""
    return hasattr(os, "sched_setaffinity")


def allowed_cpus() -> tuple[int, ...]:
    """The CPUs that this process may run on."""
    if may_choose_cpus():
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(psutil.cpu_count() or 1))


def is_restricted() -> bool:
    """Whether this process may run on some of the computer's CPUs alone."""
    return len(allowed_cpus()) < (psutil.cpu_count() or 1)


def cpu_time(root: Path = _ROOT) -> float | None:
    """How many CPUs' worth of time the control groups grant; None where they set no limit."""
    granted = [*_quotas(root), *_old_quotas(root)]
    return min(granted, default=None)


def usable_cpus(root: Path = _ROOT) -> int:
    """How many processes that compute may run at once."""
    granted = cpu_time(root)
    there = len(allowed_cpus())
    return there if granted is None else max(1, min(there, int(granted)))


def free_memory_bytes(root: Path = _ROOT) -> int:
    """What is left, of the computer's memory and of what the control groups grant."""
    left = [psutil.virtual_memory().available, *_memory_left(root)]
    return max(0, min(left))


def _quotas(root: Path) -> Iterator[float]:
    for folder in _folders(root, "", ("", "unified")):
        quota, _, period = _text(folder / "cpu.max").partition(" ")
        if quota.isdigit() and period.isdigit():
            yield int(quota) / int(period)


def _old_quotas(root: Path) -> Iterator[float]:
    for folder in _folders(root, "cpu", ("cpu", "cpu,cpuacct")):
        quota, period = _text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")
        if quota.isdigit() and period.isdigit():  # -1 is no limit
            yield int(quota) / int(period)


def _memory_left(root: Path) -> Iterator[int]:
    new = _folders(root, "", ("", "unified"))
    old = _folders(root, "memory", ("memory",))
    for folder, limit, used, cached in (
        *((folder, "memory.max", "memory.current", "inactive_file") for folder in new),
        *(
            (folder, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            for folder in old
        ),
    ):
        granted, taken = _text(folder / limit), _text(folder / used)
        if granted.isdigit() and taken.isdigit():
            # Files that were read count as used, and make room when it is needed.
            words = _text(folder / "memory.stat").split()
            stats = dict(zip(words[::2], words[1::2], strict=False))
            yield int(granted) - int(taken) + int(stats.get(cached, 0))


def _folders(root: Path, controller: str, mounts: tuple[str, ...]) -> Iterator[Path]:
    """This process's group and all above it: each may set a limit. The new kind of groups has no
    controller in its line, `0::/path`, the old one has: `4:cpu,cpuacct:/path`."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            for mount in mounts:
                top = root / "sys/fs/cgroup" / mount
                group = top / path.lstrip("/")
                yield from (each for each in (group, *group.parents) if each.is_relative_to(top))


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
