"""Ctrl-C while a command still loads what it needs, before `contract.cli.main` answers for it."""

import sys
from types import TracebackType


def quiet_interrupts() -> None:
    """Let Ctrl-C end a command of this package with one word, from its first import on.

    For the package of a command: `python -m` imports that before the command, and calls itself
    `-m` meanwhile. Whoever imports the package otherwise keeps Python's way.
    """
    if sys.argv[:1] == ["-m"]:
        sys.excepthook = say_interrupted


def say_interrupted(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """As `sys.excepthook`: Ctrl-C is one word, and everything else what it was."""
    if issubclass(kind, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)  # noqa: T201  # a command's last word
    else:
        sys.__excepthook__(kind, error, trace)
