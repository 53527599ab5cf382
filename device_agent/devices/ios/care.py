"""Care for an iPhone: measured while it is cool and saves no power, or waited for."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from contract.devices import Thermal
from device_agent import screen
from device_agent.devices.ios.errors import Asleep, LowPower, TooHot
from device_agent.devices.ios.messages import AppInfo
from device_agent.patience import USUAL

COOL: tuple[Thermal, ...] = ("nominal", "fair")
WARMEST = COOL[-1]  # that is measured
_HOT: Thermal = "critical"


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """How long to wait for a phone that iOS calls warm, and how often to look at it."""

    patience_s: float = USUAL.cooling * 60
    look_every_s: float = 10.0
    pause_s: float = 5.0


class Care:
    """Of one phone. iOS tells a word for its heat, and no clock: what a slower clock does to a
    run, the probes beside it show."""

    def __init__(self, look: Callable[[], AppInfo], limits: Limits) -> None:
        self._look = look
        self._limits = limits
        self._look_at = 0.0

    def look_next(self) -> None:
        """Before the next visit, however short the last look is ago."""
        self._look_at = 0.0

    def before_visit(self) -> None:
        """Now and then, look at the phone; wait while it is warm.

        Raises:
            TooHot: iOS calls it critical, or it was warm for longer than patience lasts.
            LowPower: it saves power.
            Asleep: the app is not in the foreground.
        """
        if time.monotonic() < self._look_at:
            return
        until = time.monotonic() + self._limits.patience_s
        told = False
        while (warm := self._warm()) is not None:
            if time.monotonic() >= until:
                raise TooHot(
                    f"{warm}, for {self._limits.patience_s / 60:.0f} minutes by now. What was "
                    "measured is kept: let it cool, then run the same command"
                )
            if not told:
                screen.console.print(f"{warm}; waiting until it is cool", markup=False)
                told = True
            time.sleep(self._limits.pause_s)
        if told:
            screen.console.print("going on")
        self._look_at = time.monotonic() + self._limits.look_every_s

    def _warm(self) -> str | None:
        """Why to wait, or None."""
        info = self._look()
        if info.state == "asleep":
            raise Asleep(f"{info.model}: the app sleeps; open it on the phone, and leave it open")
        must_not_save_power(info.model, low_power=info.conditions.low_power)
        thermal = info.conditions.thermal
        if thermal == _HOT:
            raise TooHot(
                f"{info.model}: iOS calls its heat {thermal}. What was measured is kept: let it "
                "cool off the charger, then run the same command"
            )
        return None if thermal in COOL else f"{info.model}: its heat is {thermal}"


def must_not_save_power(model: str, *, low_power: bool) -> None:
    """Raises LowPower where it does."""
    if low_power:
        raise LowPower(
            f"{model} is in low-power mode, which slows it down. What was measured is kept: "
            "switch it off in Settings > Battery, then run the same command"
        )
