"""Care for a phone: awake while it is measured, never too hot, and left as it was found."""

import time
from dataclasses import dataclass
from typing import Self

from contract.errors import DeviceFailed
from device_agent import screen
from device_agent.devices.android.adb.transport import Connection
from device_agent.devices.android.facts import PhoneFacts
from device_agent.devices.android.state import PhoneState, read_state
from device_agent.devices.android.storage import ROOT
from device_agent.patience import USUAL, PatienceOptions

LIMIT_S = 20.0
_SETTING = "global stay_on_while_plugged_in"
_FOUND = f"{ROOT}/stay-on-as-found"
_ON_ANY_CABLE = 7
# How the phone was found, in one file that is whole or not there: the setting, and the screen.
_KEEP = f"""
test -e {_FOUND} || {{
    settings get {_SETTING} > {_FOUND}.new
    dumpsys power | grep mWakefulness= | grep -qv =Awake && echo asleep >> {_FOUND}.new
    mv {_FOUND}.new {_FOUND}
}}
settings put {_SETTING} {_ON_ANY_CABLE}
"""
_PUT_BACK = f"""
test -e {_FOUND} || exit 0
{{ read found; read screen; }} < {_FOUND}
test "$screen" = asleep && input keyevent KEYCODE_SLEEP
case $found in
    [0-9]*) settings put {_SETTING} $found;;
    *) settings delete {_SETTING};;
esac
rm -f {_FOUND}
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """When to wait for a phone, and when to give up. Heat is the battery's, which stands for the
    whole phone's; the chip's own rises and falls within seconds."""

    cool_c: float = USUAL.cool
    hot_c: float = USUAL.hot
    patience_s: float = USUAL.cooling * 60
    look_every_s: float = 10.0
    pause_s: float = 5.0
    steady_s: float = 120.0  # that a held-down clock must last to be taken for the phone's own

    @classmethod
    def of(cls, patience: PatienceOptions) -> Self:
        """As a person set them."""
        return cls(cool_c=patience.cool, hot_c=patience.hot, patience_s=patience.cooling * 60)


class TooHot(DeviceFailed):
    """The phone got hotter than anybody should make it, or did not cool in time."""


class Asleep(DeviceFailed):
    """The phone does not stay awake."""


class _SteadyLimit:
    """For how long a clock's limit is the same."""

    def __init__(self) -> None:
        self._khz: int | None = None
        self._since = 0.0

    def lasts_s(self, khz: int) -> float:
        now = time.monotonic()
        if khz != self._khz:
            self._khz, self._since = khz, now
        return now - self._since


class Care:
    """Of one phone, while one agent measures there on `cpus`."""

    def __init__(self, facts: PhoneFacts, cpus: tuple[int, ...], limits: Limits) -> None:
        self._facts = facts
        self._limits = limits
        self._look_at = 0.0
        self._limit_khz = {cpu: facts.fastest_khz.get(cpu, 0) for cpu in cpus}
        self._has_visited = False

    def begin(self, connection: Connection) -> None:
        """Wake the phone, and let it stay awake on the cable. How it was found is kept on the
        phone itself, so that it is known to the next agent if this one is killed."""
        self._connection = connection
        self._look_at = 0.0
        self._run(_KEEP)
        state = read_state(self._connection)
        if state.is_awake is False:
            self._run("input keyevent KEYCODE_WAKEUP")
            if read_state(self._connection).is_awake is False:
                raise Asleep(
                    f"{self._facts.model} does not wake: press its power button, then run the "
                    "same command"
                )
        if not self._has_visited and self._is_cool(state):
            self._accept_limits(state, "though it is cool")

    def end(self, connection: Connection) -> None:
        """Leave the phone as it was found, over a connection that may be another."""
        self._connection = connection
        self._run(_PUT_BACK)

    def before_visit(self) -> None:
        """Now and then, look at the phone; wait while it is warm.

        Raises:
            TooHot: hotter than it may get, or warm for longer than patience lasts.
            Asleep: it fell asleep.
        """
        if time.monotonic() < self._look_at:
            return
        until = time.monotonic() + self._limits.patience_s
        told = False
        steady = _SteadyLimit()
        while (warm := self._warm(steady)) is not None:
            if time.monotonic() >= until:
                raise TooHot(
                    f"{self._facts.model}: {warm}, for {self._limits.patience_s / 60:.0f} minutes "
                    "by now. What was measured is kept: let it cool, then run the same command"
                )
            if not told:
                screen.console.print(f"{self._facts.model}: {warm}; waiting until it is cool")
                told = True
            time.sleep(self._limits.pause_s)
        if told:
            screen.console.print("going on")
        self._has_visited = True
        self._look_at = time.monotonic() + self._limits.look_every_s

    def must_be_awake(self, state: PhoneState) -> None:
        """Raises Asleep where it is not."""
        if state.is_awake is False:
            raise Asleep(
                f"{self._facts.model} fell asleep. What was measured is kept: wake it, see that "
                "its cable gives it power, then run the same command"
            )

    def _warm(self, steady: "_SteadyLimit") -> str | None:
        """Why to wait, or None."""
        state = read_state(self._connection)
        self.must_be_awake(state)
        if state.battery_c is not None and state.battery_c >= self._limits.hot_c:
            raise TooHot(
                f"{self._facts.model}: its battery has {state.battery_c:.0f} °C, more than the "
                f"{self._limits.hot_c:.0f} it may have. What was measured is kept: let it cool "
                "off the charger, then run the same command"
            )
        if state.battery_c is not None and state.battery_c >= self._limits.cool_c:
            return f"its battery has {state.battery_c:.0f} °C"
        capped = state.capped(self._limit_khz)
        if capped is None:
            return None
        lasts_s = steady.lasts_s(capped)
        if not self._has_visited and lasts_s >= self._limits.steady_s:
            self._accept_limits(state, f"without a change for {lasts_s:.0f} s")
            return None
        return f"its clock is held down to {capped / 1000:.0f} MHz"

    def _is_cool(self, state: PhoneState) -> bool:
        return state.battery_c is not None and state.battery_c < self._limits.cool_c

    def _accept_limits(self, state: PhoneState, though: str) -> None:
        """A phone that holds its clock down while it is cool, or always alike, does so for another
        reason than heat. Only before the first visit: all of a session have one clock."""
        capped = state.capped(self._limit_khz)
        if capped:
            screen.console.print(
                f"{self._facts.model} holds its clock down to {capped / 1000:.0f} MHz of "
                f"{max(self._limit_khz.values()) / 1000:.0f} {though}; is it saving "
                "power? The session states it"
            )
            self._limit_khz = {
                cpu: min(khz, state.limit_khz.get(cpu, khz))
                for cpu, khz in self._limit_khz.items()
            }

    def _run(self, command: str) -> None:
        """A phone that lacks these commands is measured as it is."""
        self._connection.run(f"{{ {command}\n}} 2>/dev/null", timeout_s=LIMIT_S)
