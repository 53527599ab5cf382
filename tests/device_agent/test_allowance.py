"""What this process may use: real affinity and a real control group, and files as others have."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from device_agent.allowance import cpu_time, free_memory_bytes, usable_cpus
from tests.device_agent.conftest import ControlGroup
from tests.device_agent.runners import LINUX_ONLY

SHOW = """
from device_agent.allowance import *
print(allowed_cpus(), cpu_time(), usable_cpus())
"""


def files(root: Path, **contents: str) -> Path:
    for path, content in contents.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content + "\n")
    return root


@LINUX_ONLY
def test_cpus_that_taskset_leaves_are_those_that_count() -> None:
    one = min(os.sched_getaffinity(0))
    shown = subprocess.run(
        ["taskset", "-c", str(one), sys.executable, "-c", SHOW],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    assert shown.startswith(f"({one},) ")
    assert shown.endswith(" 1\n")


def test_a_real_control_groups_quota_is_read(control_group: ControlGroup) -> None:
    shown = subprocess.run(
        [*control_group(0.5), sys.executable, "-c", SHOW],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    ).stdout
    assert shown.endswith(") 0.5 1\n")


@pytest.mark.parametrize(
    ("contents", "granted"),
    [
        ({"proc/self/cgroup": "0::/"}, None),
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "max 100000"}, None),
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "150000 100000"}, 1.5),
        # The computer's path of a container, whose own files are at the top.
        ({"proc/self/cgroup": "0::/docker/ab", "sys/fs/cgroup/cpu.max": "200000 100000"}, 2.0),
        (
            {
                "proc/self/cgroup": "0::/a/b",
                "sys/fs/cgroup/a/cpu.max": "100000 100000",
                "sys/fs/cgroup/a/b/cpu.max": "800000 100000",
            },
            1.0,
        ),
        (
            {
                "proc/self/cgroup": "5:memory:/\n4:cpu,cpuacct:/x\n0::/",
                "sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us": "250000",
                "sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_period_us": "100000",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
            },
            2.5,
        ),
        ({}, None),
    ],
)
def test_quotas_of_either_kind_of_groups(
    tmp_path: Path, contents: dict[str, str], granted: float | None
) -> None:
    root = files(tmp_path, **contents)
    assert cpu_time(root) == granted
    if granted is not None:
        assert usable_cpus(root) == min(len(psutil.Process().cpu_affinity()), int(granted))


@pytest.mark.parametrize(
    "contents",
    [
        {
            "proc/self/cgroup": "0::/",
            "sys/fs/cgroup/memory.max": "2000000000",
            "sys/fs/cgroup/memory.current": "1900000000",
            "sys/fs/cgroup/memory.stat": "anon 1\ninactive_file 400000000",
        },
        {
            "proc/self/cgroup": "4:memory:/x",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": "1900000000",
            "sys/fs/cgroup/memory/x/memory.limit_in_bytes": "2000000000",
            "sys/fs/cgroup/memory/x/memory.usage_in_bytes": "1900000000",
            "sys/fs/cgroup/memory/x/memory.stat": "total_inactive_file 400000000",
        },
    ],
)
def test_memory_is_what_the_group_has_left(tmp_path: Path, contents: dict[str, str]) -> None:
    assert free_memory_bytes(files(tmp_path, **contents)) == 500_000_000


def test_without_groups_memory_is_the_computers(tmp_path: Path) -> None:
    assert free_memory_bytes(tmp_path) > 500_000_000
