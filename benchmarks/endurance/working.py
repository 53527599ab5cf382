"""Those who use the server beside the agents, each in a thread until it is over."""

import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from benchmarks.endurance.ledger import Ledger
from benchmarks.searches_data import a_plan, an_epoch, found_network
from benchmarks.service_data import SPACE
from contract.client import TableClient
from contract.devices import Conditions
from contract.errors import PhonebookError, is_passing
from contract.imports import Import, ImportedTiming
from contract.jobs import AuditTable, Job, MeasureNetwork, Profile
from contract.runtime import Runtime
from contract.searches import SearchRun
from contract.sessions import Session
from tests.fakes import RUNTIME

FOREIGN = Runtime(
    backend="foreign",
    dtype="float32",
    threads=1,
    memory_format="contiguous",
    executorch="0",
    runner="native",
    affinity="any",
    protocol="in_situ",
)
IMPORTED = "imported"
PAGES = (
    *("/", "/history", "/fleet", "/searches", "/compare", "/networks", "/export"),
    "/devices/{device}",
    "/devices/{device}/operators/{operator}",
)
EPOCHS = 20
WAITING_JOBS = 2  # of each device
IMPORT_EVERY_S = 5.0
BROWSE_EVERY_S = 0.5
RETRY_S = 1.0
PATIENCE_S = 120.0

Answer = TypeVar("Answer")


@dataclass
class World:
    """What everybody knows: the server, its database, the devices, and whether it is over."""

    server: str
    database_url: str
    folder: Path
    devices: tuple[str, ...]
    ledger: Ledger
    over: threading.Event = field(default_factory=threading.Event)
    done: Counter[str] = field(default_factory=Counter)

    def client(self) -> TableClient:
        return TableClient(self.ledger.http(self.server))

    def until_over(self, what: str, step: Callable[[], None], every_s: float = 0.0) -> None:
        """Do it again and again; a busy server is asked again, anything else is a fault."""
        while not self.over.is_set():
            try:
                step()
                self.done[what] += 1
            except PhonebookError as error:
                if not is_passing(error):
                    self.ledger.fault(f"{what}: {error}")
                self.over.wait(RETRY_S)
            except Exception as error:  # noqa: BLE001  # told in the end, and the others go on
                self.ledger.fault(f"{what}: {error!r}")
                self.over.wait(RETRY_S)
            self.over.wait(every_s)


def file_jobs(world: World) -> None:
    """Keep some jobs waiting for each device: profiles, audits and networks to measure."""
    client = world.client()

    def step() -> None:
        for device in world.devices:
            waiting = client.jobs(device, "waiting")
            for _ in range(WAITING_JOBS - len(waiting)):
                client.file_job(a_job(device))

    world.until_over("looks at the queue", step, every_s=1)


def a_job(device: str) -> Job:
    blocks = tuple(random.choice(choice.candidates).block.name for choice in SPACE.choices)
    work = random.choice(
        [
            Profile(space=SPACE.name, effort="quick", again=True),
            AuditTable(space=SPACE.name, effort="quick", networks=3, seed=random.randrange(2**31)),
            MeasureNetwork(space=SPACE.name, blocks=blocks),
        ]
    )
    return Job(id=uuid4(), device=device, runtime=RUNTIME, work=work)


def search(world: World) -> None:
    """Read tables by their ETags, and tell of searches with their epochs."""
    client = world.client()
    tags: dict[str, str] = {}

    def step() -> None:
        device, id = random.choice(world.devices), uuid4()
        newer = client.newer_table(device, runtime=RUNTIME, space=SPACE.name, tag=tags.get(device))
        if newer is not None:
            tags[device] = newer[1]
        plan = a_plan(device, 0, uuid4(), datetime.now(UTC)).evolve(runtime=RUNTIME)
        insist(partial(client.tell_search, id, SearchRun(plan=plan)))
        for number in range(1, EPOCHS + 1):
            insist(partial(client.tell_epoch, id, an_epoch(number)))
            client.newer_table(device, runtime=RUNTIME, space=SPACE.name, tag=tags.get(device))
            time.sleep(0.1)
        ended = SearchRun(plan=plan, state="finished", result=found_network())
        insist(partial(client.tell_search, id, ended))

    world.until_over("searches", step)


def insist(call: Callable[[], Answer]) -> Answer:
    """The answer, asked for again while the server is busy."""
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            return call()
        except PhonebookError as error:
            if not is_passing(error) or time.monotonic() > until:
                raise
            time.sleep(RETRY_S)


def browse(world: World) -> None:
    """Open one page after the other."""
    http = world.ledger.http(world.server, headers={"accept": "text/html"})

    def step() -> None:
        path = random.choice(PAGES).format(
            device=random.choice(world.devices), operator=random.choice(SPACE.operators).key
        )
        response = http.get(path)
        if response.status_code != 503:
            response.raise_for_status()

    world.until_over("pages", step, every_s=BROWSE_EVERY_S)


def follow(world: World) -> None:
    """Listen to the fleet's events, anew whenever a stream ends."""
    http = world.ledger.http(world.server)

    def step() -> None:
        with http.stream("GET", "/fleet/events") as stream:
            if stream.status_code != 503:
                stream.raise_for_status()
            for line in stream.iter_lines():
                world.done["events"] += line.startswith("event:")
                if world.over.is_set():
                    return

    world.until_over("event streams", step)


def import_tables(world: World) -> None:
    """Import a table of somebody else's, twice: the second time changes nothing."""
    client = world.client()
    began = datetime.now(UTC) - timedelta(days=365)

    def step() -> None:
        new = _an_import(began + timedelta(seconds=world.done["imports"]))
        insist(partial(client.add_import, new))
        if insist(partial(client.add_import, new)).is_new:
            world.ledger.fault(f"import {new.session.id} was stored twice")

    world.until_over("imports", step, every_s=IMPORT_EVERY_S)


def _an_import(moment: datetime) -> Import:
    session = Session(
        id=uuid4(),
        device=IMPORTED,
        runtime=FOREIGN,
        space=SPACE.name,
        origin="imported",
        effort="standard",
        started_at=moment,
        agent_version="0",
        conditions=Conditions(load_1min=None, clock_mhz=None, temperature_c=None),
        source="somebody else",
    )
    timings = tuple(
        ImportedTiming(
            id=uuid4(),
            operator=operator,
            measured_at=moment,
            rounds_us=((round(random.uniform(50, 5000), 3),),),
        )
        for operator in SPACE.operators
    )
    return Import(session=session, timings=timings)


def keep_house(world: World, every_s: float) -> None:
    """Backups, and raw samples dropped, by the commands of the server's keeper."""

    def step() -> None:
        world.over.wait(every_s)
        backup = world.folder / f"{uuid4()}.backup"
        _command(world, "server.backup", "create", "--to", str(backup))
        backup.unlink(missing_ok=True)
        world.done["backups"] += 1
        world.over.wait(every_s)
        _command(world, "server.retention", "--older-than", "0h")
        world.done["times samples dropped"] += 1

    world.until_over("rounds of housekeeping", step)


def _command(world: World, module: str, *arguments: str) -> None:
    command = [sys.executable, "-m", module, *arguments, "--database-url", world.database_url]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        world.ledger.fault(f"{module} ended with {done.returncode}: {done.stderr}")
