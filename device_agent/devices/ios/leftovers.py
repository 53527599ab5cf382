"""Jobs that an agent of ours left with the app: it was killed, or its job did not stop yet."""

import time
from collections.abc import Callable

from device_agent.devices.ios.app import App, JobRuns
from device_agent.devices.ios.errors import Stuck

STOP_LIMIT_S = 30.0
_LOOK_S = 0.1


def despite_leftovers(
    app: App, ask: Callable[[], None], *, stop_limit_s: float = STOP_LIMIT_S
) -> None:
    """Ask it of the app; where a job of ours runs, stop that, and ask again.

    Raises:
        Stuck: the job does not end in time.
    """
    until = time.monotonic() + stop_limit_s
    while True:
        try:
            ask()
        except JobRuns as busy:
            if time.monotonic() >= until:
                raise Stuck(
                    f"{app.udid}: the app does not end its job {busy.job}; close it on the "
                    "phone, and open it again. What was measured is kept, and the same command "
                    "goes on"
                ) from busy
            if busy.job is not None:
                app.stop(busy.job)
            time.sleep(_LOOK_S)
        else:
            return
