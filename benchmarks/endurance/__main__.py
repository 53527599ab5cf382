"""`python -m benchmarks.endurance --minutes 30`: all kinds of load at once, on one real server.

Agents of fake phones do jobs by the product's own code, while searches read tables and tell of
themselves, browsers open pages and follow the fleet, tables are imported, backups are made and
raw samples are dropped. In the end everything that the server said it has stored is looked for in
the database by its id, and every served row must have the figures of its operator's newest timing.

Prints one summary, and ends with 1 if something is missing or wrong, or if the server answered
anything but a success, or 503 with `Retry-After`.
"""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Literal
from uuid import uuid4

from cyclopts import Parameter, validators
from rich.console import Console
from rich.table import Table

from benchmarks.endurance.agent import LEDGER
from benchmarks.endurance.checking import (
    Acknowledged,
    missing_or_other,
    read_ledger,
    wrong_rows,
)
from benchmarks.endurance.ledger import Ledger
from benchmarks.endurance.watching import Watched, watch
from benchmarks.endurance.working import (
    IMPORTED,
    World,
    browse,
    file_jobs,
    follow,
    import_tables,
    keep_house,
    search,
)
from benchmarks.service.serving import served
from benchmarks.service_data import SPACE
from contract.cli import command_line, main
from contract.errors import PhonebookError
from contract.jobs import Job, Profile
from server.database.engine import open_database
from server.database.schema import upgrade
from tests.fakes import DESCRIPTION, RUNTIME
from tests.postgres import any_server, database

DEVICES = ("bench-a", "bench-b")
SEARCHES, BROWSERS, FOLLOWERS = 2, 3, 2
DRAIN_S = 180.0
MOST_SHOWN = 10
SCREEN = Console(highlight=False, width=120)

app = command_line("python -m benchmarks.endurance", __doc__ or "")


@app.default
def run(
    *,
    minutes: Annotated[float, Parameter(help="Of load.", validator=validators.Number(gt=0))] = 30,
    database: Annotated[Literal["sqlite", "postgresql"], Parameter(help="Which kind.")] = "sqlite",
    agents: Annotated[int, Parameter(help="With one phone each, of two kinds.")] = 4,
    postgres_url: Annotated[
        str | None, Parameter(help="A server whose user may create databases [default: private].")
    ] = None,
) -> None:
    """Load a server, and look for all that it has acknowledged."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = stack.enter_context(_database(database, folder, postgres_url))
        engine = open_database(url)
        stack.callback(engine.dispose)
        upgrade(engine)
        log = folder / "server.log"
        with served(url, log=log) as server:
            with Ledger(folder / LEDGER) as ledger:
                world = World(server.address, url, folder, DEVICES, ledger)
                _register(world)
                with _agents(world, agents):
                    _first_tables(world)
                    SCREEN.print(f"{database}: {minutes:g} minutes begin at {time.ctime()}")
                    with _load(world, minutes), _other_process() as pool:
                        watched = pool.submit(watch, server, minutes * 60).result()
                    _drain(world)
            said = read_ledger(folder / LEDGER)
            with engine.connect() as connection:
                wrong = list(missing_or_other(connection, said))
            wrong += wrong_rows(server.address, said)
        errors = [line for line in log.read_text().splitlines() if '"level": "error"' in line]
    refused = sum(count for status, count in said.answers.items() if not _is_expected(status))
    _print(f"{database}, {minutes:g} minutes", world, said, watched)
    for line in [*said.faults, *wrong, *errors][:MOST_SHOWN]:
        SCREEN.print(line, markup=False)
    SCREEN.print(
        f"{len(wrong)} missing or wrong, {len(said.faults)} faults, {refused} answers that must "
        f"not be, {len(errors)} errors in the server's log"
    )
    if wrong or said.faults or refused:
        sys.exit(1)


def _is_expected(status: str) -> bool:
    """A success, a table that is current, a lease that was lost, or a busy server's word."""
    return status.startswith("2") or status in ("304", "409", "503")


@contextmanager
def _database(kind: str, folder: Path, postgres_url: str | None) -> Iterator[str]:
    with ExitStack() as stack:
        if kind == "sqlite":
            yield f"sqlite:///{folder}/phonebook.db"
        else:
            server = postgres_url or stack.enter_context(any_server())
            yield stack.enter_context(database(server, f"endurance-{uuid4()}"))


def _other_process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"))


def _register(world: World) -> None:
    for device in (*world.devices, IMPORTED):
        world.client().register(device, DESCRIPTION)


@contextmanager
def _agents(world: World, count: int) -> Iterator[None]:
    """Agents in processes of their own, told to stop in the end; each must end well."""
    environment = os.environ | {"PHONEBOOK_HOME": str(world.folder / "home")}
    with (world.folder / "agents.log").open("w+b") as log:
        agents = [
            subprocess.Popen(
                [
                    *(sys.executable, "-m", "benchmarks.endurance.agent", world.server),
                    *(str(world.folder), world.devices[number % len(world.devices)]),
                    f"phone-{number}",
                ],
                stdout=log,
                stderr=log,
                env=environment,
            )
            for number in range(count)
        ]
        try:
            yield
        finally:
            for agent in agents:
                agent.terminate()
            codes = [agent.wait(DRAIN_S) for agent in agents]
        if any(codes):
            log.seek(0)
            said = log.read().decode()[-2000:]
            world.ledger.fault(f"agents ended with {codes}: {said}")


def _first_tables(world: World) -> None:
    """Whole tables of every device, which audits need."""
    work = Profile(space=SPACE.name, effort="quick")
    client = world.client()
    jobs = [
        client.file_job(Job(id=uuid4(), device=device, runtime=RUNTIME, work=work)).job.id
        for device in world.devices
    ]
    _until(lambda: all(client.job(job).state == "done" for job in jobs), "the first profiles")


@contextmanager
def _load(world: World, minutes: float) -> Iterator[None]:
    """Everybody beside the agents, until this is left."""
    house = threading.Thread(target=keep_house, args=(world, max(10.0, minutes * 60 / 12)))
    users = [file_jobs, import_tables, *[search] * SEARCHES, *[browse] * BROWSERS]
    users += [follow] * FOLLOWERS
    threads = [house, *(threading.Thread(target=user, args=(world,)) for user in users)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        world.over.set()
        for thread in threads:
            thread.join()


def _drain(world: World) -> None:
    """Every job done and told, which is after its results are stored."""
    client = world.client()
    _until(
        lambda: not client.jobs(state="waiting") and not client.jobs(state="leased"),
        "the last jobs",
    )
    dead = client.jobs(state="dead")
    for report in dead:
        world.ledger.fault(f"job {report.job.id} is dead: {report.reason}")


def _until(true: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + DRAIN_S
    while not true():
        if time.monotonic() > until:
            raise PhonebookError(f"{what} were not done within {DRAIN_S:.0f} s")
        time.sleep(0.5)


def _print(title: str, world: World, said: Acknowledged, watched: Watched) -> None:
    table = Table(title=title, show_header=False)
    acknowledged = (f"{len(things):,} of {kind}" for kind, things in sorted(said.things.items()))
    statuses = (f"{count:,} x {status}" for status, count in sorted(said.answers.items()))
    done = (f"{count:,} {what}" for what, count in sorted(world.done.items()))
    for name, words in (
        ("acknowledged", acknowledged),
        ("answers", statuses),
        ("done beside the agents", done),
        (
            "server's memory, MiB",
            (
                f"first quarter {watched.first_quarter:.0f}",
                f"last quarter {watched.last_quarter:.0f}",
                f"peak {watched.peak:.0f}",
                f"{len(watched.sizes)} samples",
            ),
        ),
        ("slowest GET /healthz", (f"{watched.slowest_s:.3f} s", f"of {watched.asked:,}")),
        ("load", (f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs",)),
    ):
        table.add_row(name, ", ".join(words))
    SCREEN.print(table)


if __name__ == "__main__":
    main(app)
