"""A runner as a child process: whatever happens to it costs one program."""

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from contract.errors import DeviceFailed
from device_agent.devices import ProgramFailed
from device_agent.runner.protocol import ANSWERS, Alive, Answer, Failed, Job, Ready, Timed

START_LIMIT_S = 120.0
SILENCE_LIMIT_S = 60.0  # a runner speaks every second, but not while one run or one load lasts
GRACE_S = 30.0  # after the deadline: for the last run to end and its answer to be written
EXIT_LIMIT_S = 2.0


class RunnerProcess:
    """One runner, started by `command`; its stderr goes to the file `log`.

    A runner that crashed or fell silent is closed for good.
    """

    def __init__(
        self, command: Sequence[str], *, log: Path, silence_limit_s: float = SILENCE_LIMIT_S
    ) -> None:
        self._log = log
        self._silence_limit_s = silence_limit_s
        self.is_closed = False
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
        self._unread = b""
        try:
            self.ready = self._started()
        except ProgramFailed as failed:
            raise DeviceFailed(f"the runner did not start: {failed.message}") from failed

    def time_program(self, job: Job) -> Timed:
        """Have one job done.

        Raises:
            ProgramFailed: the runner said why not, or crashed, or fell silent.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(job.line().encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._crashed() from None
        answer = self._answer(job.deadline_ns / 1e9 + GRACE_S)
        if isinstance(answer, Failed):
            raise ProgramFailed(answer.error, answer.message)
        if not isinstance(answer, Timed):
            raise self._failed("crashed", f"the runner answered a job with {answer!r}")
        return answer

    def close(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            self._selector.close()
            self._process.kill()
            self._process.communicate()

    def _started(self) -> Ready:
        answer = self._line(
            time.monotonic() + START_LIMIT_S, f"not ready within {START_LIMIT_S:g} s"
        )
        if isinstance(answer, Ready):
            return answer
        raise self._failed("crashed", answer.message if isinstance(answer, Failed) else "no Ready")

    def _answer(self, limit_s: float) -> Answer:
        """The next answer that is not merely a sign of life."""
        until = time.monotonic() + limit_s
        while True:
            silent_until = time.monotonic() + self._silence_limit_s
            if silent_until < until:
                answer = self._line(
                    silent_until, f"no sign of life for {self._silence_limit_s:g} s"
                )
            else:
                answer = self._line(until, f"no answer within {limit_s:g} s")
            if not isinstance(answer, Alive):
                return answer

    def _line(self, until: float, otherwise: str) -> Answer:
        """The next line; `otherwise` says what it means that there was none until then."""
        assert self._process.stdout is not None
        while b"\n" not in self._unread:
            if not self._selector.select(timeout=max(0.0, until - time.monotonic())):
                raise self._failed("timed_out", f"{otherwise}; stopped")
            piece = os.read(self._process.stdout.fileno(), 1 << 20)
            if not piece:
                raise self._crashed()
            self._unread += piece
        line, _, self._unread = self._unread.partition(b"\n")
        try:
            return ANSWERS.validate_json(line)
        except ValidationError:
            start = line[:200].decode(errors="replace")
            raise self._failed("crashed", f"the runner said what is no answer: {start}") from None

    def _crashed(self) -> ProgramFailed:
        try:
            code = self._process.wait(EXIT_LIMIT_S)
        except subprocess.TimeoutExpired:
            return self._failed("crashed", "the runner closed its output and lived on; stopped")
        last_words = self._log.read_text(errors="replace").strip()[-500:]
        message = f"the runner ended with {_ending(code)}: {last_words}".strip(" :")
        return self._failed("crashed", message)

    def _failed(self, code: Literal["crashed", "timed_out"], message: str) -> ProgramFailed:
        self.close()
        return ProgramFailed(code, message)


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    if -code == signal.SIGILL:
        return "SIGILL (this CPU lacks an instruction that the runtime was built for)"
    names = {int(known): known.name for known in signal.Signals}
    return names.get(-code, f"signal {-code}")
