"""Starting a command of the product, stopping it in a rude way, and looking at what it left."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

MARK = "PHONEBOOK_BENCHMARK_MARK"  # in the environment of a command, which its children inherit
END_LIMIT_S = 60.0
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
# How a command ends that was told to: by the signal, or as a shell says it; a server ends well.
EXPECTED = {
    signal.SIGKILL: {-signal.SIGKILL},
    signal.SIGTERM: {-signal.SIGTERM, 128 + signal.SIGTERM, 128 + signal.SIGINT, 0},
    signal.SIGINT: {-signal.SIGINT, 128 + signal.SIGINT, 0},
}


@dataclass
class Command:
    """One start of `python -m ...`, with a home of its own; what it says goes to `log`."""

    words: Sequence[str]
    home: Path
    log: Path
    mark: str = field(default_factory=lambda: str(uuid4()))

    def __post_init__(self) -> None:
        environment = os.environ | {"PHONEBOOK_HOME": str(self.home), MARK: self.mark}
        self._log = self.log.open("w+b")
        self._process = subprocess.Popen(
            [sys.executable, "-m", *self.words],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def wait(self, limit_s: float) -> int | None:
        """Its exit code, or None where it still runs after that time."""
        try:
            return self._process.wait(limit_s)
        except subprocess.TimeoutExpired:
            return None

    def stop(self, by: signal.Signals) -> int | None:
        """Its exit code. Ctrl-C reaches the whole group, as from a terminal; others it alone."""
        if by == signal.SIGINT:
            os.killpg(self._process.pid, by)
        else:
            self._process.send_signal(by)
        return self.wait(END_LIMIT_S)

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def left_behind(self) -> list[str]:
        """The command lines of its processes that still run some seconds after its end; killed."""
        until = time.monotonic() + 10
        while (found := _marked(self.mark)) and time.monotonic() < until:
            time.sleep(0.1)
        lines = []
        for process in found:
            lines.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:100])
            os.kill(int(process.name), signal.SIGKILL)
        self._log.close()
        return lines


def _marked(mark: str) -> list[Path]:
    wanted = f"{MARK}={mark}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (process / "environ").read_bytes().split(b"\0"):
                found.append(process)
        except OSError:
            continue  # it has just ended
    return found
