"""A runner as a child process: whatever happens to it costs one program."""

import os
import selectors
import subprocess
from collections.abc import Sequence
from pathlib import Path

from device_agent.runner.conversation import SILENCE_LIMIT_S, Conversation, ending

EXIT_LIMIT_S = 2.0


class RunnerProcess(Conversation):
    """One runner, started by `command`; its stderr goes to the file `log`."""

    def __init__(
        self, command: Sequence[str], *, log: Path, silence_limit_s: float = SILENCE_LIMIT_S
    ) -> None:
        self._child = _Child(command, log)
        super().__init__(self._child, silence_limit_s=silence_limit_s)

    @property
    def pid(self) -> int:
        return self._child.pid


class _Child:
    """The pipes of a child process."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self._log = log
        with log.open("wb") as stderr:
            # A session of its own: Ctrl-C reaches the agent, which stops the runner itself.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,
            )
        assert self._process.stdout is not None
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._process.stdout, selectors.EVENT_READ)

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, line: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line)
        self._process.stdin.flush()

    def receive(self, timeout_s: float) -> bytes | None:
        assert self._process.stdout is not None
        if not self._selector.select(timeout=timeout_s):
            return None
        return os.read(self._process.stdout.fileno(), 1 << 20)

    def ending(self) -> str | None:
        try:
            code = self._process.wait(EXIT_LIMIT_S)
        except subprocess.TimeoutExpired:
            return None
        return ending(code, self._log.read_text(errors="replace"))

    def close(self) -> None:
        self._selector.close()
        self._process.kill()
        self._process.communicate()
