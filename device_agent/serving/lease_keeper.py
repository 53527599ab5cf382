"""A lease while its work lasts: renewed from a thread, and the work's end when it is lost."""

import threading
import time
from collections.abc import Callable
from typing import Self
from uuid import UUID

from contract.client import TableClient
from contract.errors import PhonebookError, RequestRefused, is_passing
from contract.jobs import RENEW_EVERY, Lease, Progress, Renewal
from contract.stopping import Stop
from device_agent import screen
from device_agent.supervisor import Halted, Supervisor

RETRY_S = 5.0
STEP_S = 0.1


class LeaseLost(Halted):
    """Another may have the job by now; this agent's attempt counts for nothing."""


class LeaseKeeper(Supervisor):
    """While entered, renews the lease and sends the heartbeat.

    A server that is away is asked again and again; the work goes on meanwhile, since nobody
    else can have this unit.
    """

    def __init__(
        self,
        lease: Lease,
        *,
        agent: UUID,
        client: TableClient,
        heartbeat: Callable[[], object],
        stop: Stop,
        renew_s: float = RENEW_EVERY.total_seconds(),
    ) -> None:
        self._lease = lease
        self._agent = agent
        self._client = client
        self._heartbeat = heartbeat
        self._stop = stop
        self._renew_s = renew_s
        self._progress: Progress | None = None
        self._lost: str | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._renew, name=f"renews {lease.job.id}")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._over.set()
        self._thread.join()

    def check(self) -> None:
        """
        Raises:
            LeaseLost: the server said so.
            Halted: the agent is to stop.
        """
        self._check_lease()
        if self._stop.asked:
            raise Halted("the agent was stopped")

    def tell(self, progress: Progress) -> None:
        self._progress = progress
        self.check()

    def wait(self, seconds: float) -> None:
        """Return after so long, or once the agent is to stop.

        Raises:
            LeaseLost: the server said so.
        """
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self._stop.asked:
            self._check_lease()
            time.sleep(STEP_S)

    def _check_lease(self) -> None:
        if self._lost is not None:
            raise LeaseLost(self._lost)

    def _renew(self) -> None:
        away = False
        while not self._over.wait(min(RETRY_S, self._renew_s) if away else self._renew_s):
            try:
                self._heartbeat()
                self._client.renew(
                    self._lease.job.id,
                    Renewal(
                        agent=self._agent,
                        attempt=self._lease.attempt,
                        progress=self._progress,
                    ),
                )
            except RequestRefused as refusal:
                if not is_passing(refusal):
                    self._lost = str(refusal)
                    return
                away = self._say_away(away, refusal)
            except PhonebookError as error:
                away = self._say_away(away, error)
            else:
                if away:
                    screen.say("the server is back")
                away = False

    def _say_away(self, before: bool, error: PhonebookError) -> bool:
        if not before:
            screen.say(f"{error}; the work goes on, what cannot be sent waits in the outbox")
        return True
