"""The state of a phone, read again and again: heat, clocks, battery, screen, who uses its CPUs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from contract.devices import Conditions
from device_agent.devices.android.adb.transport import Connection

READ_LIMIT_S = 30.0
_SCRIPT = (
    "cat /proc/loadavg; echo @uptime; cat /proc/uptime; echo @busy; grep '^cpu ' /proc/stat; "
    "echo @clocks; grep -H . /sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq "
    "/sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_max_freq "
    "/sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor 2>/dev/null; "
    "echo @heat; grep -H . /sys/class/thermal/thermal_zone[0-9]*/temp 2>/dev/null; "
    "echo @battery; dumpsys battery 2>/dev/null; "
    "echo @power; dumpsys power 2>/dev/null | grep mWakefulness="
)
_CPU_FILE = re.compile(r"/cpu([0-9]+)/cpufreq/(\w+):(\S+)")
_TEMPERATURE = re.compile(r"/temp:(-?[0-9]+)$", re.MULTILINE)
_PLAUSIBLE_C = (-20.0, 130.0)
_TICKS = 100.0  # a second, on every Linux


@dataclass(frozen=True, kw_only=True, slots=True)
class PhoneState:
    """A phone at one moment; None is what it does not tell."""

    load_1min: float | None
    uptime_s: float | None
    busy_s: float | None  # of all its CPUs, since it started
    clock_khz: Mapping[int, int]
    limit_khz: Mapping[int, int]  # how far each clock may rise now
    governors: Mapping[int, str]
    hottest_c: float | None
    battery_c: float | None
    battery: float | None  # 1 is full
    is_charging: bool | None
    is_awake: bool | None  # the screen is on

    def capped(self, expected_khz: Mapping[int, int]) -> int | None:
        """The lowest limit of a clock that may not rise as far as expected, mostly for heat."""
        return min(
            (
                self.limit_khz[cpu]
                for cpu, khz in expected_khz.items()
                if self.limit_khz.get(cpu, khz) < khz
            ),
            default=None,
        )

    def conditions(self, cpus: tuple[int, ...]) -> Conditions:
        """As a session states them; clock, limit and governor are those of `cpus`."""
        chosen = cpus or tuple(self.clock_khz)
        clocks = [self.clock_khz[cpu] for cpu in chosen if cpu in self.clock_khz]
        limits = [self.limit_khz[cpu] for cpu in chosen if cpu in self.limit_khz]
        governors = sorted({self.governors[cpu] for cpu in chosen if cpu in self.governors})
        return Conditions(
            load_1min=self.load_1min,
            clock_mhz=max(clocks) / 1000 if clocks else None,
            temperature_c=self.hottest_c,
            clock_limit_mhz=min(limits) / 1000 if limits else None,
            governor=", ".join(governors) or None,
            battery=self.battery,
            battery_c=self.battery_c,
            is_charging=self.is_charging,
            is_awake=self.is_awake,
        )


def read_state(connection: Connection) -> PhoneState:
    return parse_state(connection.run(_SCRIPT, timeout_s=READ_LIMIT_S).stdout)


def parse_state(output: str) -> PhoneState:
    """What the phone answered to the script, as far as it did."""
    first, *rest = re.split(r"^@(.*)\n", output, flags=re.MULTILINE)
    parts = dict(zip(rest[::2], rest[1::2], strict=True))
    files: dict[str, dict[int, str]] = {}
    for cpu, name, value in _CPU_FILE.findall(parts.get("clocks", "")):
        files.setdefault(name, {})[int(cpu)] = value
    battery = dict(re.findall(r"^\s*([\w ]+): (\S+)", parts.get("battery", ""), re.MULTILINE))
    level, scale = _number(battery.get("level")), _number(battery.get("scale"))
    tenths_c = _number(battery.get("temperature"))
    powered = [value for name, value in battery.items() if name.endswith("powered")]
    wakefulness = re.search(r"mWakefulness=(\w+)", parts.get("power", ""))
    return PhoneState(
        load_1min=_first_number(first),
        uptime_s=_first_number(parts.get("uptime", "")),
        busy_s=_busy_s(parts.get("busy", "")),
        clock_khz=_numbers(files.get("scaling_cur_freq", {})),
        limit_khz=_numbers(files.get("scaling_max_freq", {})),
        governors=files.get("scaling_governor", {}),
        hottest_c=_hottest_c(parts.get("heat", "")),
        battery_c=None if tenths_c is None else tenths_c / 10,
        battery=level / scale if level is not None and scale else None,
        is_charging="true" in powered if powered else None,
        is_awake=wakefulness[1] == "Awake" if wakefulness else None,
    )


def _busy_s(line: str) -> float | None:
    """All CPU time but idle (4th), waiting for input (5th), stolen (8th); guests' (9th, 10th) is
    in user time already."""
    ticks = [int(word) for word in line.split()[1:] if word.isdigit()]
    used = [*ticks[:3], *ticks[5:7]]
    return sum(used) / _TICKS if used else None


def _hottest_c(text: str) -> float | None:
    """Phones tell thousandths, tenths or whole degrees; sensors that are off tell nonsense."""
    raw = [int(word) for word in _TEMPERATURE.findall(text)]
    degrees = [
        value / (1000 if abs(value) >= 1000 else 10 if abs(value) >= 150 else 1) for value in raw
    ]
    coldest, hottest = _PLAUSIBLE_C
    return max((each for each in degrees if coldest < each < hottest and each), default=None)


def _number(word: str | None) -> float | None:
    try:
        return float(word) if word is not None else None
    except ValueError:
        return None


def _first_number(text: str) -> float | None:
    return _number(next(iter(text.split()), None))


def _numbers(words: Mapping[int, str]) -> dict[int, int]:
    return {cpu: int(word) for cpu, word in words.items() if word.isdigit()}
