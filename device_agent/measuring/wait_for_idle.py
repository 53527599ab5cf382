"""Other programs on the device: a session waits for them to leave, and says so."""

import time

from contract.errors import DeviceFailed
from device_agent import screen
from device_agent.device import Device
from device_agent.patience import USUAL
from device_agent.supervisor import Supervisor

PATIENCE_S = USUAL.patience * 60
LOOK_S = 5.0
MARGIN = 0.25  # CPUs' worth: to spare beside the runtime's threads, and what nobody minds


class IdleWait:
    """Looks at the device before each round.

    A device is too busy where its other programs leave hardly as many CPUs idle as the runtime
    has threads. What shorter disturbances do to single runs is the drift factor's matter.
    """

    def __init__(
        self,
        device: Device,
        *,
        supervisor: Supervisor | None = None,
        patience_s: float = PATIENCE_S,
        look_s: float = LOOK_S,
    ) -> None:
        self._device = device
        self._supervisor = supervisor or Supervisor()
        self._cores = device.describe().cores
        self._limit = max(MARGIN, self._cores - device.runtime.threads - MARGIN)
        self._patience_s = patience_s
        self._look_s = look_s

    def wait(self) -> None:
        """Return once the device has room.

        Raises:
            DeviceFailed: it had none for as long as patience lasts.
            Halted: the work is to end.
        """
        others = self._device.others_cpus()
        if others is None or others <= self._limit:
            return
        screen.console.print(f"{self._busy(others)}; waiting until they stop")
        until = time.monotonic() + self._patience_s
        while time.monotonic() < until:
            self._supervisor.check()
            time.sleep(self._look_s)
            others = self._device.others_cpus()
            if others is None or others <= self._limit:
                screen.console.print("going on")
                return
        raise DeviceFailed(
            f"{self._busy(others)}, for {self._patience_s / 60:.0f} minutes by now. Every visit "
            "so far is kept: stop them, then run the same command to go on"
        )

    def _busy(self, others: float) -> str:
        return f"other programs use {others:.1f} of {self._cores} CPUs, which disturbs timings"
