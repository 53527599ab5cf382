"""This computer as a device. Its runner is a child process: a crash costs one program."""

import json
import os
import platform
import selectors
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from contract.errors import DeviceFailed
from contract.timings import Conditions, DeviceDescription, Dtype, MemoryFormat, Origin, Runtime
from device_agent.devices import Plan, ProgramFailed, ProgramTiming
from device_agent.programs import ProgramFile

RUNNER_MODULE = "device_agent.runner.python_runner"
START_LIMIT_S = 120.0


class Host:
    """This computer, through ExecuTorch's Python runtime in a child process."""

    origin: Origin = "measured"

    def __init__(self, *, dtype: Dtype, threads: int, memory_format: MemoryFormat) -> None:
        self.runtime = Runtime(
            dtype=dtype,
            threads=threads,
            memory_format=memory_format,
            executorch=version("executorch"),
            runner="python",
            affinity="any",
            protocol="isolated",
        )
        self._runner: _Runner | None = None
        self._scratch = tempfile.TemporaryDirectory(prefix="phonebook-")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()
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
        clock = psutil.cpu_freq()
        sensors = psutil.sensors_temperatures() if hasattr(psutil, "sensors_temperatures") else {}
        temperatures = [reading.current for chip in sensors.values() for reading in chip]
        return Conditions(
            load_1min=os.getloadavg()[0],
            clock_mhz=clock.current or None if clock else None,
            temperature_c=max(temperatures, default=None),
        )

    def time_program(self, file: ProgramFile, plan: Plan) -> ProgramTiming:
        if self._runner is None:
            self._runner = _Runner(self.runtime, Path(self._scratch.name))
        output = Path(self._scratch.name) / "output"
        job = {
            "program": str(file.path),
            "output": str(output),
            "warmup_runs": plan.warmup_runs,
            "min_runs": plan.min_runs,
            "max_runs": plan.max_runs,
            "min_duration_ns": round(plan.min_duration_s * 1e9),
        }
        try:
            answer = self._runner.ask(job, limit_s=plan.deadline_s)
        except ProgramFailed:
            self._stop()
            raise
        if "error" in answer:
            raise ProgramFailed(answer["error"], answer["message"])
        return ProgramTiming(
            samples_ns=tuple(answer["samples_ns"]),
            first_run_ns=answer["first_run_ns"],
            load_ns=answer["load_ns"],
            output=output.read_bytes(),
        )

    def _stop(self) -> None:
        if self._runner is not None:
            self._runner.stop()
            self._runner = None


class _Runner:
    """The child process: one JSON job a line in, one JSON answer a line out."""

    def __init__(self, runtime: Runtime, scratch: Path) -> None:
        self._log = scratch / "runner.log"
        with self._log.open("wb") as log:
            # A session of its own: Ctrl-C reaches the agent, which stops the runner itself.
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", RUNNER_MODULE),
                    *("--threads", str(runtime.threads)),
                    *("--memory-format", runtime.memory_format),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        assert self._process.stdout is not None
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._process.stdout, selectors.EVENT_READ)
        self._unread = b""
        try:
            self._answer(START_LIMIT_S)
        except ProgramFailed as failed:
            self.stop()
            raise DeviceFailed(f"host: the runner did not start: {failed.message}") from failed

    def ask(self, job: dict[str, Any], *, limit_s: float) -> dict[str, Any]:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(job).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._crashed() from None
        return self._answer(limit_s)

    def stop(self) -> None:
        self._selector.close()
        self._process.kill()
        self._process.communicate()

    def _answer(self, limit_s: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        until = time.monotonic() + limit_s
        while b"\n" not in self._unread:
            if not self._selector.select(timeout=max(0.0, until - time.monotonic())):
                raise ProgramFailed("timed_out", f"no answer within {limit_s:g} s; stopped")
            piece = os.read(self._process.stdout.fileno(), 1 << 20)
            if not piece:
                raise self._crashed()
            self._unread += piece
        line, _, self._unread = self._unread.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _crashed(self) -> ProgramFailed:
        code = self._process.wait()
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        last_words = self._log.read_text(errors="replace").strip()[-500:]
        return ProgramFailed("crashed", f"the runner ended with {how}: {last_words}".strip(" :"))


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
