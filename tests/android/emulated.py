"""An emulated arm64 phone: the root of a Galaxy S8 as a folder, in which real programs run.

proot gives processes that root, qemu runs what was built for ARM (as a Cortex-A53, which an S8
has), and Debian's static busybox is the shell. There is no kernel of a phone, no bionic and no
SELinux: it shows that a bundle starts where the system has no C library, and that it computes the
right outputs, by the commands that a phone would get. How long anything takes means nothing.
"""

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from device_agent.devices.android.bundle import PHONE

HERE = Path(__file__).resolve().parent
BUSYBOX = HERE.parent.parent / "build" / "android" / "busybox"
TEMPORARY = "/data/local/tmp"
CORES = 8

# Of an Exynos 8895: cores 0 to 3 are Cortex-A53, 4 to 7 Exynos M2.
_LITTLE = ("0x41", "0x0", "0xd03", "4", "0x410fd034")
_BIG = ("0x53", "0x4", "0x001", "0", "0x534f0010")
_CLUSTERS = ((range(4), _LITTLE, 455_000, 1_690_000), (range(4, 8), _BIG, 741_000, 2_314_000))
_PROCESSOR = """\
processor\t: {number}
BogoMIPS\t: 52.00
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32
CPU implementer\t: {implementer}
CPU architecture: 8
CPU variant\t: {variant}
CPU part\t: {part}
CPU revision\t: {revision}
"""
_MEMORY = "MemTotal:        3689508 kB\nMemFree:          612340 kB\nMemAvailable:    1894120 kB\n"

# Binding to CPUs that this computer has not: granted where the phone would have them, and told so.
_GRANT_CPUS = f"""
#include <cerrno>
#include <cstring>
#include <sched.h>
namespace {{
cpu_set_t all() {{
  cpu_set_t set;
  CPU_ZERO(&set);
  for (int cpu = 0; cpu < {CORES}; ++cpu) CPU_SET(cpu, &set);
  return set;
}}
cpu_set_t granted = all();
}}
extern "C" int sched_setaffinity(pid_t, size_t, const cpu_set_t* cpus) noexcept {{
  cpu_set_t wanted = all();
  CPU_AND(&wanted, &wanted, cpus);
  if (CPU_COUNT(&wanted) == 0) {{
    errno = EINVAL;
    return -1;
  }}
  granted = wanted;
  return 0;
}}
extern "C" int sched_getaffinity(pid_t, size_t size, cpu_set_t* cpus) noexcept {{
  std::memcpy(cpus, &granted, size < sizeof granted ? size : sizeof granted);
  return 0;
}}
"""
_STATUS = "/data/system/status"
_GRANT_LIBRARY = "/system/lib64/grant_cpus.so"

# With qemu 7.2's default CPU, int8 outputs come out wrong.
_QEMU = "qemu-aarch64-static -cpu cortex-a53"
_PACKAGES = {
    "adb": "adb",
    "cmake": "cmake",
    PHONE.compiler: "g++-aarch64-linux-gnu",
    "proot": "proot",
    "qemu-aarch64-static": "qemu-user-static",
}


class PackagesMissing(Exception):
    """What emulates a phone is not installed; the message names the packages."""


def check_packages() -> None:
    """Raise PackagesMissing unless everything is here."""
    missing = [_PACKAGES[name] for name in _PACKAGES if shutil.which(name) is None]
    if not BUSYBOX.exists():
        missing.append(f"busybox-static:arm64 (its bin/busybox as {BUSYBOX})")
    if missing:
        raise PackagesMissing(
            f"the emulated phone needs {', '.join(missing)}; `.ci/android.sh` installs all of "
            "it on Debian 12, as root, and runs these tests"
        )


@dataclass(frozen=True, slots=True)
class EmulatedPhone:
    """A phone's root in a folder of this computer's."""

    root: Path

    @property
    def emulator(self) -> tuple[str, ...]:
        """What runs the phone's shell, whose `-c COMMAND` follows, in a process group of its own.

        The bundle's loader reads LD_PRELOAD, as any glibc's does; busybox is static. A file that
        tells of this computer's cores is another one in a command.
        """
        binds = [f"{self.root / 'host' / name}:/proc/{name}" for name in ("cpuinfo", "meminfo")]
        return (
            *("env", "-i", "PATH=/system/bin:/usr/bin:/bin", "HOME=/", "ANDROID_DATA=/data"),
            *("proot", "-q", _QEMU, "-r", str(self.root), "-b", "/proc", "-b", "/dev", "-w", "/"),
            *(word for bind in binds for word in ("-b", bind)),
            *("/system/bin/sh", "-c"),
            f"LD_PRELOAD={_GRANT_LIBRARY} "
            f'exec setsid "$0" "$1" "${{2//\\/proc\\/self\\/status/{_STATUS}}}"',
        )

    def argv(self, command: str) -> list[str]:
        """What runs that command in the phone's shell, with this process's stdin and stdout."""
        return [*self.emulator, "/system/bin/sh", "-c", command]

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command that ends by itself."""
        return subprocess.run(
            self.argv(command), capture_output=True, text=True, timeout=60, check=False
        )

    def running(self) -> list[int]:
        """This computer's processes that emulate a command of this phone's."""
        return [
            process.pid
            for process in psutil.process_iter(["cmdline"])
            if "proot" in (words := process.info["cmdline"] or []) and str(self.root) in words
        ]

    def here(self, path: str) -> Path:
        """Where a path of the phone's lies on this computer."""
        return self.root / path.lstrip("/")

    def write(self, path: str, text: str) -> None:
        """Write a file, as the phone's kernel does when something changes."""
        place = self.here(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    @property
    def properties(self) -> Mapping[str, str]:
        """What getprop says."""
        lines = self.here("/system/build.prop").read_text().splitlines()
        return {name: value for name, _, value in (line.partition("=") for line in lines)}


def make_phone(root: Path) -> EmulatedPhone:
    """Make the phone in an empty folder, asleep, on the cable, at 30 degrees.

    Raises:
        PackagesMissing: not everything it needs is installed.
    """
    check_packages()
    phone = EmulatedPhone(root)
    for folder in ("dev", "proc", "sys", "host", "data/system/settings", TEMPORARY[1:]):
        (root / folder).mkdir(parents=True)
    shutil.copytree(HERE / "system", root / "system")
    shutil.copy(BUSYBOX, root / "system" / "bin")
    applets = subprocess.run(
        [*_QEMU.split(), BUSYBOX, "--list"], capture_output=True, text=True, timeout=60, check=True
    )
    for applet in applets.stdout.split():
        link = root / "system" / "bin" / applet
        if not link.exists():
            link.symlink_to("busybox")
    _write_cpus(phone)
    _write_sensors(phone)
    phone.write("host/meminfo", _MEMORY)
    phone.write(_STATUS, f"Cpus_allowed_list:\t0-{CORES - 1}\n")
    phone.write("/data/system/wakefulness", "Asleep\n")
    _grant_cpus(phone)
    return phone


def _write_cpus(phone: EmulatedPhone) -> None:
    cpu = "/sys/devices/system/cpu"
    for name in ("possible", "present", "online"):
        phone.write(f"{cpu}/{name}", f"0-{CORES - 1}\n")
    processors = []
    for cluster, (numbers, core, lowest_khz, highest_khz) in enumerate(_CLUSTERS):
        implementer, variant, part, revision, midr = core
        siblings = f"{numbers[0]}-{numbers[-1]}"
        policy = f"{cpu}/cpufreq/policy{numbers[0]}"
        for name, value in (
            ("affected_cpus", " ".join(map(str, numbers))),
            ("related_cpus", " ".join(map(str, numbers))),
            ("cpuinfo_min_freq", lowest_khz),
            ("cpuinfo_max_freq", highest_khz),
            ("scaling_min_freq", lowest_khz),
            ("scaling_max_freq", highest_khz),
            ("scaling_cur_freq", highest_khz),
            ("scaling_governor", "interactive"),
            ("scaling_available_governors", "interactive performance powersave"),
        ):
            phone.write(f"{policy}/{name}", f"{value}\n")
        for number in numbers:
            for name, value in (
                ("online", 1),
                ("topology/physical_package_id", cluster),
                ("topology/core_id", number % 4),
                ("topology/core_siblings_list", siblings),
                ("topology/thread_siblings_list", number),
                ("regs/identification/midr_el1", f"0x{int(midr, 16):016x}"),
            ):
                phone.write(f"{cpu}/cpu{number}/{name}", f"{value}\n")
            phone.here(f"{cpu}/cpu{number}/cpufreq").symlink_to(f"../cpufreq/policy{numbers[0]}")
            processors.append(
                _PROCESSOR.format(
                    number=number,
                    implementer=implementer,
                    variant=variant,
                    part=part,
                    revision=revision,
                )
            )
    phone.write("host/cpuinfo", "\n".join(processors))


def _write_sensors(phone: EmulatedPhone) -> None:
    for number, kind in enumerate(("BIG", "LITTLE", "G3D", "ISP", "battery")):
        phone.write(f"/sys/class/thermal/thermal_zone{number}/type", f"{kind}\n")
        phone.write(f"/sys/class/thermal/thermal_zone{number}/temp", f"{30_000 + number * 100}\n")
    for name, value in (("capacity", 83), ("status", "Charging"), ("temp", 296)):
        phone.write(f"/sys/class/power_supply/battery/{name}", f"{value}\n")


def _grant_cpus(phone: EmulatedPhone) -> None:
    library = phone.here(_GRANT_LIBRARY)
    library.parent.mkdir()
    subprocess.run(
        [PHONE.compiler, "-x", "c++", "-", "-shared", "-fPIC", "-O1", "-o", library],
        input=_GRANT_CPUS,
        text=True,
        timeout=60,
        check=True,
    )
