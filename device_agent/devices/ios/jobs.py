"""Having one job done by the app, whatever comes between."""

import time
from collections.abc import Callable

from device_agent.device import ProgramFailed
from device_agent.devices.ios.app import App, JobUnknown, ProgramUnknown
from device_agent.devices.ios.errors import AppNotRunning, AppUnfit, Away, HungUp
from device_agent.devices.ios.leftovers import despite_leftovers
from device_agent.devices.ios.messages import AppJob, JobDone, JobResult
from device_agent.runner.protocol import Timed

POLL_S = 0.1  # no faster: each look disturbs the phone
GRACE_S = 30.0  # after the deadline: for the last run to end
MOST_ENDINGS = 2  # of the app, while it has the same job


class Jobs:
    """Of one app. `wait_for_return` returns once an app that went away is back, or raises;
    `upload` gives the app a program that it lost."""

    def __init__(
        self,
        app: App,
        *,
        wait_for_return: Callable[[Away], None],
        upload: Callable[[str], None],
        grace_s: float = GRACE_S,
    ) -> None:
        self._app = app
        self._wait_for_return = wait_for_return
        self._upload = upload
        self._grace_s = grace_s
        self.current: AppJob | None = None  # that the app may be at
        self._lasted_s: dict[tuple[str, bool], float] = {}  # by program, and whether traced

    def done(self, job: AppJob) -> JobResult:
        """Post it and wait for its end. A job is posted again where the app was restarted.

        Raises:
            ProgramFailed: it passed its deadline, or the app ended whenever it was at it.
            DeviceFailed: the app stays away, is in use, or refuses.
        """
        endings = 0
        is_posted = False
        self.current = job
        while True:
            try:
                if not is_posted:
                    self._post(job)
                    is_posted = True
                    until = time.monotonic() + job.deadline_ns / 1e9 + self._grace_s
                    time.sleep(self._expected_s(job))
                result = self._result(job, until)
            except JobUnknown:
                is_posted = False
                endings += 1
                self._blame(endings)
            except Away as away:
                if not is_posted and isinstance(away, AppNotRunning | HungUp):
                    endings += 1  # it may have ended by what it was just given
                    self._blame(endings)
                self._wait_for_return(away)
                until = time.monotonic() + job.deadline_ns / 1e9 + self._grace_s
            else:
                self.current = None
                if isinstance(result, JobDone):
                    self._lasted_s[job.sha256, job.trace] = _lasted_s(job, result.answer)
                return result

    def _blame(self, endings: int) -> None:
        """Raises ProgramFailed where the app ended too often for it to be chance."""
        if endings > MOST_ENDINGS:
            self.current = None
            raise ProgramFailed(
                "crashed", f"the app ended {endings} times while it ran this program"
            )

    def stop(self) -> None:
        """Let the app end what it is at for us, at its next run."""
        if self.current is not None:
            self._app.stop(self.current.job)
            self.current = None

    def _post(self, job: AppJob) -> None:
        was_uploaded = False
        while True:
            try:
                despite_leftovers(self._app, lambda: self._app.post(job))
            except ProgramUnknown as unknown:
                if was_uploaded:
                    raise AppUnfit(
                        f"{self._app.udid}: the app takes a program and does not have it then "
                        f"({unknown}); close it on the phone, and open it again"
                    ) from unknown
                self._upload(job.sha256)
                was_uploaded = True
            else:
                return

    def _expected_s(self, job: AppJob) -> float:
        """How long it takes, so that nobody asks while it runs: as long as the last time."""
        return self._lasted_s.get((job.sha256, job.trace), job.min_duration_ns / 1e9)

    def _result(self, job: AppJob, until: float) -> JobResult:
        while (result := self._app.result(job)) is None:
            if time.monotonic() >= until:
                self.stop()
                raise ProgramFailed(
                    "timed_out",
                    f"no end {self._grace_s:g} s after its deadline of "
                    f"{job.deadline_ns / 1e9:g} s; stopped",
                )
            time.sleep(POLL_S)
        return result


def _lasted_s(job: AppJob, timed: Timed) -> float:
    """The whole job, with what of its warm-up is not told taken for as long as its runs."""
    runs = max(1, len(timed.samples_ns))
    all_runs = (sum(timed.samples_ns) + sum(timed.probes_ns)) * (runs + job.warmup_runs) / runs
    return (timed.load_ns + timed.first_run_ns + all_runs) / 1e9
