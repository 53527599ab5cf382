"""The emulated phone itself: what stands in its files, and that a command can be killed whole."""

import contextlib
import os
import signal
import subprocess

import psutil
import pytest

from tests.android.emulated import EmulatedPhone

pytestmark = pytest.mark.android


def test_it_is_an_s8_that_says_it_is_emulated(phone: EmulatedPhone) -> None:
    told = phone.run("getprop ro.product.model; getprop ro.kernel.qemu; getprop none; uname -m")
    assert told.stdout.splitlines() == ["SM-G950F", "1", "", "aarch64"]
    everything = phone.run("getprop").stdout.splitlines()
    assert [f"[{name}]: [{value}]" for name, value in phone.properties.items()] == everything


def test_it_has_two_clusters_of_cores(phone: EmulatedPhone) -> None:
    cpu = "/sys/devices/system/cpu"
    told = phone.run(
        f"cat {cpu}/possible {cpu}/cpu*/cpufreq/cpuinfo_max_freq; grep -c CPU.part /proc/cpuinfo"
    )
    assert told.stdout.split() == ["0-7", *["1690000"] * 4, *["2314000"] * 4, "8"]


def test_its_files_change_as_a_phones_do(phone: EmulatedPhone) -> None:
    zone = "/sys/class/thermal/thermal_zone0/temp"
    before = phone.here(zone).read_text()
    phone.write(zone, "71000\n")
    assert phone.run(f"cat {zone}").stdout == "71000\n"
    phone.write(zone, before)


def test_a_command_leads_a_process_group_and_tells_its_exit_code(phone: EmulatedPhone) -> None:
    assert phone.run("exit 37").returncode == 37
    command = phone.argv("echo $$; sleep 1000 & sleep 1000")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        group = int(running.stdout.readline())
        assert phone.running()
        os.killpg(group, signal.SIGKILL)
        running.wait(20)
    assert _alive(group) == []
    assert phone.running() == []


def _alive(group: int) -> list[int]:
    """The processes of that group, without dead ones that nobody has asked after yet."""
    found = []
    for process in psutil.process_iter(["status"]):
        with contextlib.suppress(ProcessLookupError):
            if os.getpgid(process.pid) == group and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
    return found


def test_it_wakes_and_keeps_settings(phone: EmulatedPhone) -> None:
    done = phone.run(
        "dumpsys power | grep mWakefulness=; input keyevent KEYCODE_WAKEUP; dumpsys power | "
        "grep mWakefulness=; settings get global here; settings put global here 7; settings get "
        "global here; settings delete global here; settings get global here; "
        "grep Cpus_allowed_list /proc/self/status; input keyevent KEYCODE_SLEEP"
    )
    assert done.stdout.split() == [
        *("mWakefulness=Asleep", "mWakefulness=Awake", "null", "7", "Deleted", "1", "rows"),
        *("null", "Cpus_allowed_list:", "0-7"),
    ]
