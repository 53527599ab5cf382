"""`python -m tests.e2e.restless SERVER FOLDER NUMBER`: an agent that never rests, to be killed.

It profiles a fake device anew, again and again, by the product's own code, until FOLDER/finish
exists; then it completes the table. FOLDER/acknowledged gets a line for each timing that the
server said it has stored. One program of seven fails to load, others with each NUMBER.
"""

import os
import random
import sys
import time
from dataclasses import replace
from pathlib import Path

import httpx

from contract.client import TableClient
from contract.errors import PhonebookError, is_passing
from contract.sessions import Origin
from contract.spaces import space
from contract.timings import BatchReport
from device_agent.device import Plan, ProgramFile, ProgramTiming
from device_agent.measuring.journal import Journal
from device_agent.measuring.profile import profile
from device_agent.measuring.station import Station
from device_agent.programs.cache import ProgramCache
from tests.fakes import FakeDevice, fake_export

SPACE = space("fbnet-32-0.35")
KEYS = [operator.key for operator in SPACE.operators]
FAILS = 7
NAME = "bench"
DISTURBED = 0.1  # of the probes


class Bench(FakeDevice):
    """No two samples are the same, nor two drifts, so that each says which visit it is of."""

    origin: Origin = "measured"

    def __init__(self, number: int, keys: list[str], *, said: bool) -> None:
        super().__init__(dict.fromkeys(keys, 100.0), self._age)
        self.serial = f"bench-{number}"
        self._started = time.time()
        self._said = said

    def _age(self, key: str) -> None:
        if not self._said:
            sys.stdout.write("began\n")
            sys.stdout.flush()
            self._said = True
        if key in self.us_by_key:
            self.us_by_key[key] = 100.0 + (time.time() - self._started)

    def time_program(self, file: ProgramFile, plan: Plan) -> ProgramTiming:
        timing = super().time_program(file, plan)
        return replace(
            timing,
            samples_ns=tuple(_about(ns, 0.02) for ns in timing.samples_ns),
            probes_ns=tuple(
                _about(ns, 0.8 if random.random() < DISTURBED else 0.04) for ns in timing.probes_ns
            ),
        )


def _about(ns: int, more: float) -> int:
    return round(ns * (1 + random.random() * more))


def main(server: str, folder: Path, number: int) -> None:
    acknowledged = os.open(folder / "acknowledged", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(response: httpx.Response) -> None:
        if response.request.url.path.endswith("/timings/batch") and response.status_code == 200:
            report = BatchReport.model_validate_json(response.read())
            stored = [each.id for each in report.outcomes if each.refused is None]
            os.write(acknowledged, "".join(f"{identity}\n" for identity in stored).encode())

    with (
        httpx.Client(base_url=server, timeout=30, event_hooks={"response": [note]}) as http,
        Journal(folder / "journal.db") as journal,
    ):

        def station(keys: list[str], *, said: bool) -> Station:
            return Station(
                device=Bench(number, keys, said=said),
                name=NAME,
                client=TableClient(http),
                journal=journal,
                cache=ProgramCache(folder),
                exporter=fake_export,
                effort="quick",
            )

        good = [key for at, key in enumerate(KEYS) if at % FAILS != number]
        most = station(good, said=False)
        while not (folder / "finish").exists():
            until_it_works(most, again=True)
        until_it_works(station(KEYS, said=True), again=False)


def until_it_works(station: Station, *, again: bool) -> None:
    while True:
        try:
            profile(station, SPACE, again=again)
        except PhonebookError as error:
            if not is_passing(error):
                raise
            time.sleep(0.2)
        else:
            return


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
