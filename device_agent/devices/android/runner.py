"""The runner on a phone, at the other end of adb."""

import re
import shlex
from collections.abc import Sequence

from device_agent.devices.android.adb.transport import Connection, Remote
from device_agent.devices.android.storage import LOG, ROOT
from device_agent.runner.conversation import SILENCE_LIMIT_S, Conversation, ending

LIMIT_S = 20.0
_TICKS = 100.0
_CWD = re.compile(r"/proc/([0-9]+)/cwd -> ")


class PhoneRunner(Conversation):
    """One runner, started in `folder` by `command`."""

    def __init__(
        self,
        connection: Connection,
        folder: str,
        command: Sequence[str],
        *,
        silence_limit_s: float = SILENCE_LIMIT_S,
    ) -> None:
        words = shlex.join(command)
        self._remote = connection.start(f"cd {folder} && exec {words} 2>{LOG}")
        super().__init__(_Line(connection, self._remote), silence_limit_s=silence_limit_s)

    @property
    def pid(self) -> int:
        return self._remote.pid


class _Line:
    """The link of a conversation, over a connection."""

    def __init__(self, connection: Connection, remote: Remote) -> None:
        self._connection = connection
        self._remote = remote
        self._has_ended = False

    def send(self, line: bytes) -> None:
        self._remote.send(line)

    def receive(self, timeout_s: float) -> bytes | None:
        piece = self._remote.receive(timeout_s)
        self._has_ended = piece == b""
        return piece

    def ending(self) -> str | None:
        if not self._has_ended and self._remote.receive(LIMIT_S) != b"":
            return None
        self._has_ended = True
        code = self._remote.code()
        log = self._connection.run(f"tail -c 500 {LOG}", timeout_s=LIMIT_S).stdout
        return ending(128 - code if code > 128 else code, log)

    def close(self) -> None:
        if not self._has_ended:
            self._remote.kill()


def end_leftovers(connection: Connection, *, spare: int) -> int:
    """Kill what an earlier agent left running on a phone that is claimed, but for the process
    `spare`, and say how much that was.

    A phone does not end a command whose agent went away, and one runner disturbs the next.
    """
    ours = f"ls -ld /proc/[0-9]*/cwd 2>/dev/null | grep -F -- '-> {ROOT}/'"
    found = _CWD.findall(connection.run(ours, timeout_s=LIMIT_S).stdout)
    left = [pid for pid in found if int(pid) != spare]
    if left:
        connection.run(f"kill -9 {' '.join(left)}", timeout_s=LIMIT_S)
    return len(left)


def cpu_s(connection: Connection, pid: int) -> float | None:
    """The CPU time that a process used so far; None where it has ended."""
    stat = connection.run(f"cat /proc/{pid}/stat", timeout_s=LIMIT_S).stdout
    _, _, rest = stat.rpartition(")")  # a name may hold anything
    words = rest.split()
    # man 5 proc: utime and stime are the fields 14 and 15; the third is the first here.
    return (int(words[11]) + int(words[12])) / _TICKS if len(words) > 12 else None
