"""A server and a folder for a whole story, by the commands that a person types."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

LIMIT_S = 600


@dataclass(frozen=True)
class World:
    """A running server, and how to call the programs against it."""

    server: str
    folder: Path

    @property
    def journal(self) -> Path:
        return self.folder / "home" / "state" / "journal-2.db"

    def start(self, command: str, *arguments: str) -> subprocess.Popen[str]:
        """`python -m COMMAND ...`, with this world's server and folders."""
        environment = os.environ | {
            "PHONEBOOK_HOME": str(self.folder / "home"),
            "PHONEBOOK_SERVER": self.server,
        }
        return subprocess.Popen(
            [sys.executable, "-m", *command.split(), *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, command: str, *arguments: str) -> "Finished":
        process = self.start(command, *arguments)
        output, errors = process.communicate(timeout=LIMIT_S)
        return Finished(process.returncode, output, errors)


@dataclass(frozen=True)
class Finished:
    code: int
    output: str
    errors: str


@contextmanager
def opened(folder: Path) -> Iterator[World]:
    """A world whose server runs meanwhile, with everything in that folder."""
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "server", "--port", "0"),
                *("--database-url", f"sqlite:///{folder / 'phonebook.db'}"),
            ],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        assert process.stdout is not None
        address = re.search(r"http://\S+", process.stdout.readline())
        assert address is not None, (folder / "server.log").read_text()
        yield World(address[0], folder)
        process.terminate()
        process.communicate(timeout=30)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The one that tests share which need none of their own."""
    with opened(tmp_path_factory.mktemp("world")) as world:
        yield world
