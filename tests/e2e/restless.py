"""`python -m tests.e2e.restless SERVER FOLDER`: an agent that never rests, to be killed.

It profiles a fake device anew, again and again, by the product's own code, until FOLDER/finish
exists; then it completes the table. FOLDER/acknowledged gets a line for each timing that the
server said it has stored.
"""

import os
import sys
import time
from pathlib import Path

import httpx

from contract.client import TableClient
from contract.errors import PhonebookError, is_passing
from contract.spaces import space
from contract.timings import BatchReport, Origin
from device_agent.journal import Journal
from device_agent.profile import profile
from device_agent.programs import ProgramCache
from device_agent.workplace import Workplace
from tests.fakes import FakeDevice, fake_export

SPACE = space("fbnet-32-0.35")
KEYS = [operator.key for operator in SPACE.operators]
FEW = 12  # the other programs fail to load, once per session
NAME = "bench"


class Bench(FakeDevice):
    """No two visits take the same time, so that a sample says which visit it is of."""

    origin: Origin = "measured"

    def __init__(self, keys: list[str], *, said: bool) -> None:
        super().__init__(dict.fromkeys(keys, 100.0), self._age)
        self._started = time.time()
        self._said = said

    def _age(self, key: str) -> None:
        if not self._said:
            sys.stdout.write("began\n")
            sys.stdout.flush()
            self._said = True
        if key in self.us_by_key:
            self.us_by_key[key] = 100.0 + (time.time() - self._started)


def main(server: str, folder: Path) -> None:
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

        def place(keys: list[str], *, said: bool) -> Workplace:
            return Workplace(
                device=Bench(keys, said=said),
                name=NAME,
                client=TableClient(http),
                journal=journal,
                cache=ProgramCache(folder),
                exporter=fake_export,
                effort="quick",
            )

        few = place(KEYS[:FEW], said=False)
        while not (folder / "finish").exists():
            until_it_works(few, again=True)
        until_it_works(place(KEYS, said=True), again=False)


def until_it_works(place: Workplace, *, again: bool) -> None:
    while True:
        try:
            profile(place, SPACE.name, again=again)
        except PhonebookError as error:
            if not is_passing(error):
                raise
            time.sleep(0.2)
        else:
            return


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
