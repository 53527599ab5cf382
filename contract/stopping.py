"""Ctrl-C asks a program to stop after its step at hand; a second one ends it at once."""

import signal
from types import FrameType
from typing import Any, NoReturn, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)  # torchrun, job queues and init systems send the latter


class Terminated(KeyboardInterrupt):
    """SIGTERM came."""


def interrupt_on_sigterm() -> None:
    """Let SIGTERM end this program as Ctrl-C does, which closes what is open on the way."""
    signal.signal(signal.SIGTERM, _terminate)


def die_of_sigterm() -> NoReturn:
    """End at once as SIGTERM ends a program, so that whoever sent it sees that it worked."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.raise_signal(signal.SIGTERM)
    raise AssertionError("unreachable")


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated


class Stop:
    """Notes the first signal while entered: `asked` tells of it, `by` which one it was."""

    def __init__(self) -> None:
        self.asked = False
        self.by: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for number in SIGNALS:
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *raised: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        self.by = signal.Signals(number)
