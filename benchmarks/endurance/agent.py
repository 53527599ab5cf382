"""`python -m benchmarks.endurance.agent SERVER FOLDER DEVICE SERIAL`: an agent of a fake phone.

It does the jobs that it is given by the product's own code, until it is told to stop by SIGTERM.
No two of its samples are alike; now and then an operator fails that has a row.
"""

import random
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from benchmarks.endurance.ledger import Ledger
from benchmarks.service_data import SPACE
from contract.client import TableClient
from contract.jobs import Job, Profile
from contract.sessions import Origin
from contract.stopping import Stop
from device_agent.device import Plan, ProgramFile, ProgramTiming
from device_agent.device_lock import lock_device
from device_agent.measuring.journal import Journal
from device_agent.measuring.station import Station
from device_agent.programs.cache import ProgramCache
from device_agent.serving.agent import Agent, Unit
from device_agent.supervisor import Supervisor
from tests.fakes import FakeDevice, fake_export

LEDGER = "acknowledged"
KIND = "galaxys8"
VISIT_S = 0.002
LIVELY = 0.1  # of the samples are disturbed


class Phone(FakeDevice):
    """Runs every program but `failing`, in times that scatter."""

    origin: Origin = "measured"

    def __init__(self, serial: str) -> None:
        super().__init__({}, self._learn)
        self.serial = serial
        self.failing: str | None = None
        self._random = random.Random(serial)

    def time_program(self, file: ProgramFile, plan: Plan) -> ProgramTiming:
        time.sleep(VISIT_S)
        calm = super().time_program(file, plan)
        self.visits.clear()  # nobody asks, and they would pile up
        slower = [
            self._random.uniform(1.2, 2) if self._random.random() < LIVELY else 1.0
            for _ in calm.probes_ns
        ]
        return replace(
            calm,
            samples_ns=tuple(
                round(ns * factor * self._random.uniform(1, 1.02))
                for ns, factor in zip(calm.samples_ns, slower, strict=False)
            ),
            probes_ns=tuple(
                round(ns * factor) for ns, factor in zip(calm.probes_ns, slower, strict=True)
            ),
        )

    def _learn(self, key: str) -> None:
        if key == self.failing:
            self.us_by_key.pop(key, None)
        else:
            self.us_by_key.setdefault(key, self._random.uniform(50, 5000))


def main(server: str, folder: Path, device: str, serial: str) -> None:
    phone = Phone(serial)
    unit = Unit(kind=KIND, device=device, serial=serial)
    with (
        Ledger(folder / LEDGER) as ledger,
        ledger.http(server) as http,
        Journal(folder / f"{serial}.db") as journal,
        Stop() as stop,
    ):
        client = TableClient(http)

        def open_for(
            job: Job, unit: Unit, supervisor: Supervisor
        ) -> AbstractContextManager[Station]:
            @contextmanager
            def station() -> Iterator[Station]:
                with lock_device(unit.serial):
                    again = isinstance(job.work, Profile) and job.work.again
                    phone.failing = random.choice(SPACE.operators).key if again else None
                    yield Station(
                        device=phone,
                        name=unit.device,
                        client=client,
                        journal=journal,
                        cache=ProgramCache(folder / f"{serial}-cache"),
                        exporter=fake_export,
                        effort="quick",
                        server_patience_s=None,
                        supervisor=supervisor,
                    )

            return station()

        agent = Agent(
            uuid4(),
            units=lambda: (unit,),
            open_station=open_for,
            client=client,
            journal=journal,
            stop=stop,
            poll_s=0.5,
            renew_s=2,
        )
        agent.serve()
        agent.leave()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:5])
