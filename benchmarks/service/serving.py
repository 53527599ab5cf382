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
def served(url: str, *, log: Path | None = None) -> Iterator[Server]:
    """The product's server over that database, which takes as many writes as come.

    It logs to the file `log`, or to one that nobody sees unless the server does not start.
    """
    with _process("server", "--port", "0", "--database-url", url, log=log) as server:
        yield server


@contextmanager
def served_with_constants(url: str) -> Iterator[Server]:
    """The product's application, and constant answers beside it."""
    with _process("benchmarks.service.app", url) as server:
        yield server


@contextmanager
def _process(*command: str, log: Path | None = None) -> Iterator[Server]:
    environment = os.environ | {"PHONEBOOK_RATE": "0"}
    with (
        log.open("w+b") if log else tempfile.TemporaryFile() as output,
        subprocess.Popen(
            [sys.executable, "-m", *command],
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
            env=environment,
        ) as process,
    ):
        assert process.stdout is not None
        said = re.search(r"http://127\.0\.0\.1:(\d+)", process.stdout.readline())
        if said is None:
            output.seek(0)
            raise SystemExit(output.read().decode())
        try:
            yield Server(int(said[1]), process.pid)
        finally:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
