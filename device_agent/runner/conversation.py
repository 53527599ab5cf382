"""What the agent says to a runner and hears from it, wherever the runner runs."""

import signal
import time
import typing
from collections.abc import Sequence
from typing import Literal

from pydantic import ValidationError

from contract.errors import DeviceFailed
from contract.runtime import cpu_list
from device_agent.device import ProgramFailed
from device_agent.runner.protocol import ANSWERS, Alive, Answer, Failed, Job, Ready, Timed

START_LIMIT_S = 120.0
SILENCE_LIMIT_S = 60.0  # a runner speaks every second, but not while one run or one load lasts
GRACE_S = 30.0  # after the deadline: for the last run to end and its answer to be written


class Link(typing.Protocol):
    """The way to the stdin and stdout of one runner that was started.

    Every method may raise DeviceFailed: the device is gone.
    """

    def send(self, line: bytes) -> None:
        """Raises BrokenPipeError where the runner has ended."""
        ...

    def receive(self, timeout_s: float) -> bytes | None:
        """Some of its output; empty at its end, and None where nothing came in time."""
        ...

    def ending(self) -> str | None:
        """How it ended, after the end of its output; None where it lives on."""
        ...

    def close(self) -> None:
        """Stop it, if it lives."""
        ...


class Elsewhere(DeviceFailed):
    """The runner ran on other CPUs than promised, so that what it timed is no sample."""


class Conversation:
    """With one runner that was just started.

    A runner that crashed or fell silent is closed for good.
    """

    def __init__(self, link: Link, *, silence_limit_s: float = SILENCE_LIMIT_S) -> None:
        self._link = link
        self._silence_limit_s = silence_limit_s
        self._unread = b""
        self.is_closed = False
        try:
            self.ready = self._start()
        except ProgramFailed as failed:
            raise DeviceFailed(f"the runner did not start: {failed.message}") from failed

    def time_program(self, job: Job, *, cpus: Sequence[int] = ()) -> Timed:
        """Have one job done, on these CPUs where any are named.

        Raises:
            Elsewhere: it was done on others; the runner is closed.
            ProgramFailed: the runner said why not, or crashed, or fell silent.
            DeviceFailed: the device is gone.
        """
        try:
            self._link.send(job.line().encode() + b"\n")
        except BrokenPipeError:
            raise self._close_as_crashed() from None
        answer = self._answer(job.deadline_ns / 1e9 + GRACE_S)
        if isinstance(answer, Failed):
            raise ProgramFailed(answer.error, answer.message)
        if not isinstance(answer, Timed):
            raise self._close_as_failed("crashed", f"the runner answered a job with {answer!r}")
        if cpus and answer.cpus and answer.cpus != tuple(cpus):
            self.close()
            raise Elsewhere(
                f"the runner was moved to the CPUs {cpu_list(answer.cpus)}, and was to run on "
                f"{cpu_list(cpus)}, by power saving or a control group. What was measured is "
                "kept: see that nothing moves it, then run the same command"
            )
        return answer

    def close(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            self._link.close()

    def _start(self) -> Ready:
        answer = self._line(
            time.monotonic() + START_LIMIT_S, f"not ready within {START_LIMIT_S:g} s"
        )
        if isinstance(answer, Ready):
            return answer
        raise self._close_as_failed(
            "crashed", answer.message if isinstance(answer, Failed) else "no Ready"
        )

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
        while b"\n" not in self._unread:
            piece = self._link.receive(max(0.0, until - time.monotonic()))
            if piece is None:
                raise self._close_as_failed("timed_out", f"{otherwise}; stopped")
            if not piece:
                raise self._close_as_crashed()
            self._unread += piece
        line, _, self._unread = self._unread.partition(b"\n")
        try:
            return ANSWERS.validate_json(line)
        except ValidationError:
            start = line[:200].decode(errors="replace")
            raise self._close_as_failed(
                "crashed", f"the runner said what is no answer: {start}"
            ) from None

    def _close_as_crashed(self) -> ProgramFailed:
        ending = self._link.ending()
        if ending is None:
            return self._close_as_failed(
                "crashed", "the runner closed its output and lived on; stopped"
            )
        return self._close_as_failed("crashed", f"the runner ended with {ending}")

    def _close_as_failed(
        self, code: Literal["crashed", "timed_out"], message: str
    ) -> ProgramFailed:
        self.close()
        return ProgramFailed(code, message)


def ending(code: int, last_words: str) -> str:
    """What a runner's exit code means, negative for a signal, with the end of its stderr."""
    return f"{_exit(code)}: {last_words.strip()[-500:]}".strip(" :")


def _exit(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    if -code == signal.SIGILL:
        return "SIGILL (this CPU lacks an instruction that the runtime was built for)"
    names = {int(known): known.name for known in signal.Signals}
    return names.get(-code, f"signal {-code}")
