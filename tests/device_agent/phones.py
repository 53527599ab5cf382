"""Fake Galaxy S8s: a folder with what an S8 tells of itself, and a runner that obeys."""

import hashlib
import shutil
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import psutil

from device_agent.device import Plan, ProgramFile
from device_agent.devices.android.bundle import Bundle
from device_agent.devices.android.care import Limits
from device_agent.devices.android.phone import AndroidPhone
from tests.adbd import FakePhone
from tests.fakes import write_beside

LITTLE_KHZ, BIG_KHZ = 1_690_000, 2_314_000
PLAN = Plan(warmup_runs=1, min_runs=5, max_runs=10, min_duration_s=0.01, deadline_s=30.0)
QUICK = Limits(look_every_s=0, pause_s=0.1, patience_s=0.5)
Opens = Callable[..., AbstractContextManager[AndroidPhone]]
SYSTEM = "sys/devices/system/cpu/cpu{}/cpufreq"
PROPERTIES = {
    "ro.product.model": "SM-G950F",
    "ro.hardware.chipname": "exynos8895",
    "ro.build.version.release": "9",
    "sys.boot_completed": "1",
}
# Android's own commands, as far as the agent uses them. Settings and the screen are files.
_COMMANDS = {
    "getprop": 'cat "$PHONE_ROOT/properties"',
    "dumpsys": 'cat "$PHONE_ROOT/$1" 2>/dev/null',
    "settings": """
file="$PHONE_ROOT/setting"
case $1 in
    get) cat "$file" 2>/dev/null || echo null;;
    put) echo "$4" > "$file";;
    delete) rm -f "$file";;
esac""",
    "input": """
case $2 in
    KEYCODE_WAKEUP) [ -e "$PHONE_ROOT/stubborn" ] || echo mWakefulness=Awake;;
    KEYCODE_SLEEP) echo mWakefulness=Asleep;;
esac > "$PHONE_ROOT/power.new"
[ ! -s "$PHONE_ROOT/power.new" ] || mv "$PHONE_ROOT/power.new" "$PHONE_ROOT/power\"""",
    "df": 'echo "Filesystem 1K-blocks Used Available Use% Mounted"; '
    'echo "/dev/block/dm-0 9 9 $(cat "$PHONE_ROOT/free_kib") 9% /data"',
}


class FakeS8:
    """A phone whose state a test may change at any time."""

    def __init__(self, root: Path, **traits: object) -> None:
        self.adb = FakePhone(root, **traits)  # type: ignore[arg-type]  # passed through
        for name, script in _COMMANDS.items():
            command = root / "system" / "bin" / name
            command.parent.mkdir(parents=True, exist_ok=True)
            command.write_text(f"#!/bin/sh\n{script}\n")
            command.chmod(0o755)
        self.properties(PROPERTIES)
        self.write("free_kib", "50000000")
        self.write("power", "mWakefulness=Awake")
        self.battery(c=31.0)
        cores = "".join(f"processor\t: {n}\nCPU implementer\t: 0x41\n\n" for n in range(8))
        self.write("proc/cpuinfo", cores)
        self.write("proc/meminfo", "MemTotal:        3850000 kB\nMemFree: 1 kB")
        self.write("proc/self/status", "Cpus_allowed_list:\t0-7")
        self.write("proc/sys/kernel/random/boot_id", "first")
        self.write("proc/loadavg", "1.50 1.20 1.10 1/900 999")
        self.busy(uptime_s=100.0, busy_s=50.0)
        self.write("sys/class/thermal/thermal_zone0/temp", "41000")
        self.write("sys/devices/system/cpu/possible", "0-7")
        for cpu in range(8):
            khz = BIG_KHZ if cpu >= 4 else LITTLE_KHZ
            for name in ("cpuinfo_max_freq", "scaling_max_freq", "scaling_cur_freq"):
                self.write(f"{SYSTEM.format(cpu)}/{name}", str(khz))
            self.write(f"{SYSTEM.format(cpu)}/scaling_governor", "interactive")

    def write(self, path: str, content: str) -> None:
        file = self.adb.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content + "\n")

    def read(self, path: str) -> str:
        return (self.adb.root / path).read_text()

    def has(self, path: str) -> bool:
        return (self.adb.root / path).exists()

    def properties(self, values: dict[str, str]) -> None:
        self.write("properties", "\n".join(f"[{key}]: [{values[key]}]" for key in values))

    def battery(self, *, c: float) -> None:
        self.write(
            "battery",
            f"  AC powered: false\n  USB powered: true\n  level: 80\n  scale: 100\n"
            f"  temperature: {c * 10:.0f}",
        )

    def busy(self, *, uptime_s: float, busy_s: float) -> None:
        self.write("proc/uptime", f"{uptime_s} 0.0")
        self.write("proc/stat", f"cpu  {busy_s * 100:.0f} 0 0 12345 6 0 0 0 0 0")

    def switch_off_big_cores(self) -> None:
        for cpu in range(4, 8):
            shutil.rmtree(self.adb.root / SYSTEM.format(cpu))

    def hold_clock_down(self, khz: int) -> None:
        for cpu in range(4, 8):
            self.write(f"{SYSTEM.format(cpu)}/scaling_max_freq", str(khz))

    @property
    def programs(self) -> list[str]:
        """What the agent keeps there."""
        folder = self.adb.root / "data/local/tmp/phonebook/programs"
        return sorted(path.name for path in folder.iterdir())


def fake_bundle(folder: Path) -> Bundle:
    """A bundle whose loader starts the fake runner by this Python."""
    (folder / "lib").mkdir(parents=True)
    shutil.copyfile(Path(__file__).with_name("fake_runner.py"), folder / "phonebook-runner")
    loader = folder / "ld-linux-aarch64.so.1"
    loader.write_text(f'#!/bin/sh\nshift 2\nexec {sys.executable} "$@"\n')
    for path in (loader, folder / "phonebook-runner"):
        path.chmod(0o755)
    digest = hashlib.sha256(str(folder).encode()).hexdigest()
    return Bundle(path=folder, sha256=digest, runner="native")


def program(folder: Path, content: str) -> ProgramFile:
    """A program that makes the fake runner do that; without a word for it, it runs well."""
    file = ProgramFile(folder / f"{content}.pte")
    file.path.write_text(content)
    write_beside(file)
    return file


def once_at_work(s8: FakeS8, act: Callable[[], object]) -> None:
    """Do it, elsewhere, in the middle of the first visit to that phone."""

    def wait_and_act() -> None:
        until = time.monotonic() + 30
        while not s8.has("at-work"):
            assert time.monotonic() < until
            time.sleep(0.02)
        act()

    threading.Thread(target=wait_and_act).start()


def runners(s8: FakeS8) -> list[psutil.Process]:
    """The fake runners of that phone that are alive."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            words = process.cmdline()
            if words[1:2] == ["./phonebook-runner"] and str(s8.adb.root) in process.cwd():
                found.append(process)
    return found
