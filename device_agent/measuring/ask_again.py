"""Asking again while an answer stays away: sooner at first, and said to a person once."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from contract.errors import PhonebookError
from device_agent import screen
from device_agent.supervisor import Supervisor

FIRST_S = 0.1
LONGEST_S = 5.0
STEP_S = 0.1
SAID_AFTER_S = 1.0  # what passes sooner is nobody's concern

Answer = TypeVar("Answer")


def ask_again(
    call: Callable[[], Answer],
    *,
    passes: Callable[[PhonebookError], bool | float],
    patience_s: float | None,
    supervisor: Supervisor,
) -> Answer:
    """What `call` returns, made again for `patience_s` (None: for ever) while its error passes.

    `passes` tells whether it does, or after how many seconds to ask again.

    Raises:
        PhonebookError: the last error.
        Halted: the supervisor ended the waiting.
    """
    began = time.monotonic()
    said = False
    pause_s = FIRST_S
    while True:
        try:
            return call()
        except PhonebookError as error:
            verdict = passes(error)
            waited_s = time.monotonic() - began
            wait_s = pause_s if isinstance(verdict, bool) else verdict
            is_over = patience_s is not None and waited_s + wait_s > patience_s
            if verdict is False or is_over:
                raise
            if waited_s >= SAID_AFTER_S and not said:
                until = "until it answers" if patience_s is None else f"for {patience_s:g} s"
                screen.say(f"{error}; trying again {until}")
                said = True
        _sleep(wait_s, supervisor)
        # Many agents whose server comes back do not all ask at once.
        pause_s = min(LONGEST_S, 2 * pause_s) * random.uniform(0.75, 1)


def _sleep(seconds: float, supervisor: Supervisor) -> None:
    until = time.monotonic() + seconds
    while (left_s := until - time.monotonic()) > 0:
        supervisor.check()
        time.sleep(min(STEP_S, left_s))
