"""What a phone is, read once: its cores by speed, its memory, whether it is a phone at all."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from contract.devices import DeviceDescription, Serial
from contract.errors import PhonebookError
from device_agent.devices.android.adb.attached import own_serial
from device_agent.devices.android.adb.errors import CommandFailed
from device_agent.devices.android.adb.transport import Connection

READ_LIMIT_S = 20.0
_SCRIPT = (
    "uname -r; echo @memory; grep MemTotal /proc/meminfo; echo @boot; "
    "cat /proc/sys/kernel/random/boot_id; echo @allowed; grep Cpus_allowed_list "
    "/proc/self/status; echo @possible; cat /sys/devices/system/cpu/possible 2>/dev/null; "
    "echo @cpus; grep -H . "
    "/sys/devices/system/cpu/cpu[0-9]*/cpufreq/cpuinfo_max_freq 2>/dev/null; "
    "echo @cpuinfo; cat /proc/cpuinfo"
)
_FREQUENCY = re.compile(r"/cpu([0-9]+)/cpufreq/cpuinfo_max_freq:([0-9]+)")
_EMULATORS = frozenset({"goldfish", "ranchu", "cutf_cvm"})
_SOC_PROPERTIES = ("ro.soc.model", "ro.hardware.chipname", "ro.board.platform", "ro.hardware")


@dataclass(frozen=True, kw_only=True, slots=True)
class PhoneFacts:
    """A phone, as it describes itself.

    `fastest_khz` has the highest clock of each CPU that tells one; `allowed` are the CPUs that a
    command from adb may run on, `off` those that are switched off now, which tell no clock.
    """

    properties: Mapping[str, str]
    kernel: str
    boot: str  # another one after a restart
    memory_bytes: int
    cores: int
    fastest_khz: Mapping[int, int]
    allowed: frozenset[int]
    off: tuple[int, ...]
    emulated_by: str | None  # what gives an emulator away

    @property
    def serial(self) -> Serial | None:
        """The phone's own serial number, whatever way leads to it."""
        return own_serial(self.properties)

    @property
    def model(self) -> str:
        return self.properties.get("ro.product.model") or "Android phone"

    def describe(self) -> DeviceDescription:
        known = (self.properties.get(name) for name in _SOC_PROPERTIES)
        release = self.properties.get("ro.build.version.release", "?")
        return DeviceDescription(
            model=f"{self.model} (emulated)" if self.emulated_by else self.model,
            soc=next((name for name in known if name), "unknown"),
            cores=self.cores,
            memory_bytes=self.memory_bytes,
            os=f"Android {release}, Linux {self.kernel}",
        )

    def clusters(self) -> list[list[int]]:
        """The CPUs by their highest clock, the fastest cluster first."""
        clocks = sorted(set(self.fastest_khz.values()), reverse=True)
        return [
            sorted(cpu for cpu, khz in self.fastest_khz.items() if khz == clock)
            for clock in clocks
        ]

    def big_cores(self, threads: int) -> tuple[int, ...]:
        """The fastest cluster; where it has fewer CPUs than threads, the next one too.

        None where the phone does not tell its clocks, or is emulated on other CPUs than it tells.

        Raises:
            PhonebookError: CPUs are switched off, so that the fastest are not known.
        """
        if self.emulated_by and not self.allowed.issuperset(self.fastest_khz):
            return ()
        if self.fastest_khz and self.off:
            raise PhonebookError(
                f"{self.model} has switched off its CPUs {_numbers(self.off)}, which may be the "
                "fastest: wake it and switch power saving off, or choose with --cpus"
            )
        chosen: list[int] = []
        for cluster in self.clusters():
            chosen += cluster
            if len(chosen) >= threads:
                return tuple(sorted(chosen))
        return tuple(sorted(chosen))

    def must_allow(self, cpus: tuple[int, ...]) -> None:
        """Raises PhonebookError where commands from adb may not run on all of `cpus`."""
        if not self.allowed.issuperset(cpus):
            raise PhonebookError(
                f"{self.model} lets adb run on CPUs {_numbers(self.allowed)} only, not on all of "
                f"{_numbers(cpus)}: switch its screen on and power saving off, or choose with "
                "--cpus"
            )


def read_facts(connection: Connection) -> PhoneFacts:
    """Read the phone.

    Raises:
        CommandFailed: it does not tell what every Linux tells.
    """
    ran = connection.run(_SCRIPT, timeout_s=READ_LIMIT_S)
    try:
        return parse_facts(connection.properties(), ran.stdout)
    except (ValueError, KeyError, IndexError) as error:
        raise CommandFailed(
            f"{connection.address} hides what it is ({error!r}): {ran.stdout[:500]!r}; a phone's "
            "own Android lets adb read /proc/cpuinfo, /proc/meminfo and /proc/self/status"
        ) from error


def parse_facts(properties: Mapping[str, str], output: str) -> PhoneFacts:
    """What the phone answered to the script. Raises ValueError or KeyError where it makes no
    sense."""
    first, *rest = re.split(r"^@(.*)\n", output, flags=re.MULTILINE)
    parts = {name: text.strip() for name, text in zip(rest[::2], rest[1::2], strict=True)}
    online = len(re.findall(r"^processor\s*:", parts["cpuinfo"], re.MULTILINE))
    if not online:
        raise ValueError("no processor in /proc/cpuinfo")
    fastest_khz = {int(cpu): int(khz) for cpu, khz in _FREQUENCY.findall(parts["cpus"])}
    possible = _cpu_list(parts["possible"]) if parts["possible"] else list(fastest_khz)
    return PhoneFacts(
        properties=properties,
        kernel=first.strip(),
        boot=parts["boot"],
        memory_bytes=int(parts["memory"].split()[1]) * 1024,
        cores=max(online, len(possible)),
        fastest_khz=fastest_khz,
        allowed=frozenset(_cpu_list(parts["allowed"].split()[-1])),
        off=tuple(cpu for cpu in possible if cpu not in fastest_khz),
        emulated_by=_emulated_by(properties, parts["cpuinfo"]),
    )


def _emulated_by(properties: Mapping[str, str], cpuinfo: str) -> str | None:
    for name in ("ro.kernel.qemu", "ro.boot.qemu"):
        if properties.get(name) == "1":
            return f"{name} is 1"
    if properties.get("ro.hardware") in _EMULATORS:
        return f"ro.hardware is {properties['ro.hardware']}"
    if "CPU implementer" not in cpuinfo:  # on every ARM Linux
        return "its CPU is not a phone's"
    return None


def _cpu_list(text: str) -> list[int]:
    """`0-3,6` as numbers."""
    numbers: list[int] = []
    for piece in text.split(","):
        first, _, last = piece.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return numbers


def _numbers(cpus: Iterable[int]) -> str:
    return ",".join(map(str, sorted(cpus))) or "none"
