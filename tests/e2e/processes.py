"""Processes that tests kill at any moment and start again."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

LIMIT_S = 120.0


class OwnServer:
    """A server that comes back at the same address, with the same database; it runs in a `with`.

    `rate` is that of its settings: so many writes a second of one sender, 0 for no limit.
    """

    def __init__(self, database_url: str, *, rate: int | None = None) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self._database_url = database_url
        self._environment = os.environ | ({} if rate is None else {"PHONEBOOK_RATE": str(rate)})
        self.address = f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self.kill()

    def start(self) -> None:
        """Returns once it answers."""
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "server", "--port", str(self._port)),
                *("--database-url", self._database_url),
            ],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        assert self.address in self._process.stdout.readline()

    def stop(self) -> None:
        """End it as its keeper does."""
        self._process.terminate()
        try:
            self._process.communicate(timeout=LIMIT_S)
        finally:
            self._process.kill()  # where it did not end
        assert self._process.returncode in (0, -signal.SIGTERM)

    def kill(self) -> None:
        end(self._process)


class RestlessAgent:
    """`tests.e2e.restless` in a process: measures again and again until it is told to finish.

    It runs in a `with`, from `start` on.
    """

    def __init__(self, server: str, folder: Path, number: int) -> None:
        folder.mkdir()
        self.folder = folder
        self._command = [sys.executable, "-m", "tests.e2e.restless"]
        self._command += [server, str(folder), str(number)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.kill()

    def start(self) -> None:
        """Returns once it has measured or sent something."""
        with (self.folder / "said").open("a") as said:  # nobody reads along
            self._process = subprocess.Popen(
                self._command, stdout=subprocess.PIPE, stderr=said, text=True
            )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "began\n", self._said()

    def kill(self) -> None:
        end(self._process)

    def ask_to_finish(self) -> None:
        """Let it end the session at hand and complete the table."""
        (self.folder / "finish").touch()

    def finish(self) -> None:
        """Returns once it has."""
        self._process.communicate(timeout=LIMIT_S)
        assert self._process.returncode == 0, self._said()

    def _said(self) -> str:
        return (self.folder / "said").read_text()[-4000:]


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


@contextmanager
def asked_for_health(server: str) -> Iterator[list[float]]:
    """Meanwhile a process asks every 50 ms. In the end the list has how many seconds each answer
    took."""
    took_s: list[float] = []
    url = urlsplit(server)
    with subprocess.Popen(
        [sys.executable, "-m", "tests.e2e.watching", str(url.hostname), str(url.port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "began\n"
        try:
            yield took_s
        finally:
            told, _ = process.communicate(timeout=LIMIT_S)
        assert process.returncode == 0
        took_s += json.loads(told)
