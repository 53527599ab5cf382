"""This computer as a device. Its runner is a child process: a crash costs one program."""

import errno
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Self

import psutil

from contract.devices import Conditions, DeviceDescription, Serial
from contract.errors import DeviceFailed, PhonebookError
from contract.runtime import Runner, RuntimeRequest, cpu_list
from contract.sessions import Origin
from device_agent import screen
from device_agent.allowance import allowed_cpus, cpu_time, is_restricted
from device_agent.device import (
    Plan,
    ProgramFailed,
    ProgramFile,
    ProgramTiming,
    must_have_cpus,
)
from device_agent.devices.host.others_work import OthersWork
from device_agent.places import full_folder
from device_agent.runner.build import NativeRunnerUnavailable, native_runner
from device_agent.runner.conversation import Elsewhere
from device_agent.runner.process import RunnerProcess
from device_agent.runner.protocol import Job, Timed

MAKE_ROOM = (
    "free some, or let TMPDIR name another folder; what was measured is kept, and the same "
    "command goes on"
)
PYTHON_RUNNER = "device_agent.runner.python_runner"


def host_serial() -> str:
    """This computer's name in its network, as far as a serial number may hold it."""
    return re.sub(r"[^A-Za-z0-9._:-]+", "-", platform.node())[:100].strip("._:-") or "host"


class Host:
    """This computer, through the native runner where it can be built, or else the Python one."""

    origin: Origin = "measured"

    def __init__(self, request: RuntimeRequest) -> None:
        cpus = sorted(set(request.cpus))
        self._cpus = cpus or allowed_cpus()
        _must_be_allowed(request.threads, cpus)
        runner, command = _choose(request.runner, cpus)
        self.runtime = request.granted(
            executorch=version("executorch"),
            runner=runner,
            cpus=self._cpus if cpus or is_restricted() else (),
        )
        self.serial: Serial = host_serial()
        self._command = [*command, "--threads", str(request.threads)]
        self._runner: RunnerProcess | None = None
        self._work = OthersWork()
        try:
            self._scratch = tempfile.TemporaryDirectory(prefix="phonebook-")
        except OSError as error:
            raise DeviceFailed(
                f"this computer has no room for temporary files ({error}); {MAKE_ROOM}"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        if self._runner is not None:
            self._runner.close()
        self._scratch.cleanup()

    def describe(self) -> DeviceDescription:
        system = platform.uname()
        return DeviceDescription(
            model=_model() or system.machine,
            soc=_cpu_name() or system.processor or system.machine,
            cores=psutil.cpu_count() or 1,
            memory_bytes=psutil.virtual_memory().total,
            os=f"{_os_name()}, {system.system} {system.release}",
        )

    def conditions(self) -> Conditions:
        return Conditions(
            load_1min=os.getloadavg()[0],
            clock_mhz=_clock_mhz(),
            temperature_c=_hottest_c(),
        )

    def others_cpus(self) -> float:
        return self._work.cpus([self._runner.pid] if self._runner else [])

    def time_program(self, file: ProgramFile, plan: Plan) -> ProgramTiming:
        scratch = Path(self._scratch.name)
        output = scratch / "output"
        job = Job.visit(
            plan,
            program=str(file.path),
            output=str(output),
            memory_format=self.runtime.memory_format,
        )
        try:
            return self._time(job).timing(output.read_bytes())
        except OSError as error:
            raise DeviceFailed(
                f"this computer's files at {scratch}: {error.strerror}; {MAKE_ROOM}"
            ) from error
        except (ProgramFailed, DeviceFailed) as failed:  # the latter where no runner starts
            _blame(failed, scratch)
            raise

    def _time(self, job: Job) -> Timed:
        try:
            return self._ensure_runner().time_program(job, cpus=self._cpus)
        except Elsewhere:
            screen.console.print("the runner was moved to other CPUs; its visit is made again")
            return self._ensure_runner().time_program(job, cpus=self._cpus)

    def _ensure_runner(self) -> RunnerProcess:
        if self._runner is None or self._runner.is_closed:
            log = Path(self._scratch.name) / "runner.log"
            self._runner = RunnerProcess(self._command, log=log)
        return self._runner


def _must_be_allowed(threads: int, cpus: Sequence[int]) -> None:
    """Raises PhonebookError where this process may not use those CPUs, or has too few."""
    allowed = allowed_cpus()
    denied = set(cpus).difference(allowed)
    if denied:
        raise PhonebookError(
            f"--cpus {cpu_list(cpus)}: this computer lets the agent run on CPUs "
            f"{cpu_list(allowed)} alone, not on {cpu_list(denied)}; choose among them"
        )
    if cpus:
        must_have_cpus(threads, len(cpus), "--cpus names")
    must_have_cpus(threads, len(allowed), "this computer lets the agent run on")
    granted = cpu_time()
    if granted is not None:
        must_have_cpus(threads, granted, "the control group of the agent grants the time of")


def _choose(runner: Runner | None, cpus: Sequence[int]) -> tuple[Runner, list[str]]:
    """The runner and the command that starts it, without its number of threads."""
    if runner != "python":
        try:
            options = ["--cpus", ",".join(map(str, cpus))] if cpus else []
            return "native", [str(native_runner()), *options]
        except NativeRunnerUnavailable as unavailable:
            if runner == "native" or cpus:
                raise
            screen.console.print(f"using the Python runner: {unavailable}", markup=False)
    if cpus and tuple(cpus) != allowed_cpus():  # which it has anyway
        raise PhonebookError("only the native runner can be bound to CPUs; leave out --cpus")
    return "python", [sys.executable, "-m", PYTHON_RUNNER]


def _model() -> str | None:
    """The computer's product name, from its firmware (Linux) or the system (macOS)."""
    if platform.system() == "Darwin":
        return _sysctl("hw.model")
    try:
        return Path("/sys/class/dmi/id/product_name").read_text().strip() or None
    except OSError:
        return None


def _cpu_name() -> str | None:
    if platform.system() == "Darwin":
        return _sysctl("machdep.cpu.brand_string")
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return None
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    return next((v.strip() for k, v in fields.items() if k.strip() == "model name"), None)


def _clock_mhz() -> float | None:
    """None also where the system hides its files from us."""
    try:
        clock = psutil.cpu_freq()
    except (OSError, NotImplementedError):
        return None
    return clock.current or None if clock else None


def _hottest_c() -> float | None:
    try:
        sensors = psutil.sensors_temperatures()
    except (AttributeError, OSError):  # no such function on this system, or no right to read
        return None
    return max((reading.current for chip in sensors.values() for reading in chip), default=None)


def _os_name() -> str:
    if platform.system() == "Darwin":
        return f"macOS {platform.mac_ver()[0]}"
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return platform.system()


def _sysctl(name: str) -> str | None:
    done = subprocess.run(["sysctl", "-n", name], capture_output=True, text=True, timeout=10)
    return done.stdout.strip() or None


def _blame(failed: ProgramFailed | DeviceFailed, scratch: Path) -> None:
    """Raises DeviceFailed where there was no room for temporary files."""
    if os.strerror(errno.ENOSPC) in str(failed) or full_folder([scratch]):
        raise DeviceFailed(f"the disk of {scratch.parent} is full ({failed}); {MAKE_ROOM}") from (
            failed
        )
