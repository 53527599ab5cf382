"""Servers in processes of their own, and how much memory they have."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

STOP_S = 30.0


@dataclass(frozen=True)
class Server:
    """A server's process, on this computer."""

    port: int
    pid: int

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def memory_mib(self) -> float:
        return self._memory("VmRSS")

    @property
    def peak_mib(self) -> float:
        """The most that it had since `forget_peak`."""
        return self._memory("VmHWM")

    def forget_peak(self) -> None:
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def _memory(self, field: str) -> float:
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(rf"{field}:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) / 1024


@contextmanager
def served(url: str) -> Iterator[Server]:
    """The product's server over that database, which takes as many writes as come."""
    with _process("server", "--port", "0", "--database-url", url) as server:
        yield server


@contextmanager
def served_with_constants(url: str) -> Iterator[Server]:
    """The product's application, and constant answers beside it."""
    with _process("benchmarks.service.app", url) as server:
        yield server


@contextmanager
def _process(*command: str) -> Iterator[Server]:
    environment = os.environ | {"PHONEBOOK_RATE": "0"}
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(
            [sys.executable, "-m", *command],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=environment,
        ) as process,
    ):
        assert process.stdout is not None
        said = re.search(r"http://127\.0\.0\.1:(\d+)", process.stdout.readline())
        if said is None:
            log.seek(0)
            raise SystemExit(log.read().decode())
        try:
            yield Server(int(said[1]), process.pid)
        finally:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
