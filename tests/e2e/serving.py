"""An agent that serves a fake device, in a thread, as `device_agent.serve` does in a process."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from uuid import UUID, uuid4

from contract.client import table_client
from contract.jobs import Job
from contract.stopping import Stop
from device_agent.device_lock import lock_device
from device_agent.measuring.journal import Journal
from device_agent.measuring.station import Station
from device_agent.programs.cache import ProgramCache
from device_agent.serving.agent import Agent, Unit
from device_agent.supervisor import Supervisor
from tests.fakes import FakeDevice, fake_export

DEVICE = "bench"
LIMIT_S = 60.0


@dataclass(kw_only=True)
class Serving:
    """Serves `device` as the only unit of `name`. The journal outlives it, as on a disk."""

    server: str
    device: FakeDevice
    journal: Path
    cache: Path
    name: str = DEVICE
    identity: UUID = field(default_factory=uuid4)

    def __post_init__(self) -> None:
        self.stop = Stop()
        self.device.origin = "measured"  # so that its rows are served
        self._fault: BaseException | None = None
        self._thread = threading.Thread(target=self.serve_here, name="serves")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self.stop.asked = True
        self._thread.join(LIMIT_S)
        assert self._fault is None
        assert not self._thread.is_alive()

    def serve_here(self) -> None:
        """In the caller's own thread, until asked to stop or refused."""
        try:
            with table_client(self.server) as self._client, Journal(self.journal) as journal:
                agent = Agent(
                    self.identity,
                    units=lambda: (Unit(kind="host", device=self.name, serial="bench-1"),),
                    open_station=self._open_for,
                    client=self._client,
                    journal=journal,
                    stop=self.stop,
                    poll_s=0.1,
                    renew_s=0.1,
                )
                agent.serve()
        except BaseException as fault:  # the test's thread raises it again
            self._fault = fault
            raise

    def _open_for(
        self, job: Job, unit: Unit, supervisor: Supervisor
    ) -> AbstractContextManager[Station]:
        @contextmanager
        def station() -> Iterator[Station]:
            with lock_device(unit.kind), Journal(self.journal) as journal:
                yield Station(
                    device=self.device,
                    name=unit.device,
                    client=self._client,
                    journal=journal,
                    cache=ProgramCache(self.cache),
                    exporter=fake_export,
                    effort="quick",
                    server_patience_s=None,
                    supervisor=supervisor,
                )

        return station()


def wait_until(true: Callable[[], bool]) -> None:
    until = time.monotonic() + LIMIT_S
    while not true():
        assert time.monotonic() < until
        time.sleep(0.02)
