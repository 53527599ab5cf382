"""What the agent needs of a connection to a phone, and nothing more."""

import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Ran:
    """A command that ended. An old phone has one stream: its stderr is in `stdout`."""

    code: int  # 128 + N after signal N
    stdout: str
    stderr: str


class Remote(typing.Protocol):
    """A command that runs on the phone, with its stdin and stdout."""

    pid: int  # of its shell, which leads a process group

    def send(self, data: bytes) -> None:
        """Raises BrokenPipeError where the command has ended."""
        ...

    def receive(self, timeout_s: float) -> bytes | None:
        """Some of its stdout; empty at its end, and None where nothing came in time."""
        ...

    def code(self) -> int:
        """Its exit code, once `receive` has told its end; 128 + N after signal N."""
        ...

    def kill(self) -> None:
        """End the command with all that it started."""
        ...


class Connection(typing.Protocol):
    """To one phone. It belongs to the thread that opened it.

    Every method raises PhoneLost where the connection ends, at once.
    """

    address: str  # where the phone was reached: its number on USB, or HOST:PORT
    model: str

    def run(self, command: str, *, timeout_s: float) -> Ran:
        """Have a shell command done.

        Raises:
            CommandTimedOut: it took longer, and was killed with all that it started.
        """
        ...

    def start(self, command: str) -> Remote:
        """Start a shell command and leave it running, beside what else this connection does."""
        ...

    def push(self, source: Path, target: str, *, executable: bool = False) -> None:
        """Copy a file, or a folder with all that it holds; folders above `target` are made.

        Raises:
            StorageFull: no room. What is there of the file is no use.
            CommandFailed: the phone refuses the path.
        """
        ...

    def pull(self, path: str) -> bytes:
        """A file's content.

        Raises:
            CommandFailed: no such file.
        """
        ...

    def properties(self) -> Mapping[str, str]:
        """What `getprop` tells."""
        ...

    def close(self) -> None: ...
