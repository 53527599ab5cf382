"""The programs to interrupt: how each is started, what it must never lose, how it must end."""

import json
import socket
import sqlite3
import threading
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol
from uuid import UUID, uuid4

from contract.client import TableClient, table_client
from contract.errors import RequestRefused, ServerAnsweredNonsense, ServerUnreachable
from contract.jobs import Job, Profile
from contract.sessions import Session
from contract.spaces import SearchSpace
from contract.spaces import space as shipped
from contract.timings import Timing
from tests.fakes import DESCRIPTION, fake_session

DEVICE = "host"
START_LIMIT_S = 30.0
MOST_STARTS = 10  # to come to an end when nobody interrupts any more
TOLD = ("architecture", "accuracy", "predicted_us", "samples")  # of a result


class Victim(Protocol):
    """A command that is started again and again.

    Attributes:
        span_s: how long it may run before it is interrupted, at most.
        needs_end: whether it comes to an end by itself.
    """

    name: str
    span_s: float
    needs_end: bool

    def words(self) -> list[str]:
        """What to start now."""

    def last_words(self) -> list[str]:
        """What to start when nobody interrupts any more, until it `is_done`."""

    def is_done(self) -> bool: ...

    def kept(self) -> int:
        """How much of its work is safe: this never becomes less."""

    def faults(self) -> list[str]:
        """What is wrong after its last start has ended."""


class Run:
    """`device_agent.run`: visits are kept, and what it goes on with comes to its end."""

    name, span_s, needs_end = "run", 25.0, True

    def __init__(self, server: str, home: Path, space: SearchSpace, file: Path) -> None:
        self._server, self._space, self._file = server, space, file
        self._journal = home / "state" / "journal-2.db"

    def words(self) -> list[str]:
        return [
            *("device_agent.run", "--device", DEVICE, "--server", self._server),
            *("--space", str(self._file), "--effort", "quick", "--again"),
        ]

    last_words = words

    def is_done(self) -> bool:
        return True

    def kept(self) -> int:
        return _count(self._journal, "SELECT count(*) FROM visits")

    def faults(self) -> list[str]:
        return journal_faults(self._journal, self._server, self._space)


class Serve:
    """`device_agent.serve`: each job is done in the end, and once."""

    name, span_s, needs_end = "serve", 25.0, True

    def __init__(self, server: str, home: Path, space: SearchSpace, client: TableClient) -> None:
        self._server, self._space, self._client = server, space, client
        self._journal = home / "state" / "journal-2.db"
        self._jobs: list[UUID] = []

    def words(self) -> list[str]:
        self._retry_dead()
        if self.is_done():
            self._file_job()
        return ["device_agent.serve", "--device", DEVICE, "--server", self._server]

    def last_words(self) -> list[str]:
        self._retry_dead()
        return [*self.words(), "--once"]

    def is_done(self) -> bool:
        return all(self._state(job) == "done" for job in self._jobs)

    def kept(self) -> int:
        return _count(self._journal, "SELECT count(*) FROM visits")

    def faults(self) -> list[str]:
        found = journal_faults(self._journal, self._server, self._space)
        states = [self._state(job) for job in self._jobs]
        found += [f"a job is {state}" for state in states if state != "done"]
        return found

    def _file_job(self) -> None:
        runtime = self._client.table(DEVICE, space=self._space.name).runtime
        work = Profile(space=self._space.name, effort="quick", again=True)
        job = Job(id=uuid4(), device=DEVICE, runtime=runtime, work=work)
        self._client.file_job(job)
        self._jobs.append(job.id)

    def _retry_dead(self) -> None:
        """A job that was interrupted three times is dead until somebody says otherwise."""
        for job in self._jobs:
            if self._state(job) == "dead":
                self._client.retry_job(job)

    def _state(self, job: UUID) -> str:
        return self._client.job(job).state


class Search:
    """`search.run --resume`: ends in the very result of a run that nobody interrupted."""

    name, span_s, needs_end = "search", 25.0, True

    def __init__(self, server: str, folder: Path, file: Path) -> None:
        self._server, self._file, self._folder = server, file, folder
        self._runs = 0
        self._out = folder / "run-0"

    def words(self) -> list[str]:
        if (self._out / "result.json").exists():
            self._runs += 1
            self._out = self._folder / f"run-{self._runs}"
        how = "--resume" if (self._out / "checkpoint.pt").exists() else "--overwrite"
        return [
            *("search.run", "--device", DEVICE, "--space", str(self._file), "--measure", "no"),
            *("--server", self._server, "--preset", "glimpse", "--data", "digits"),
            *("--out", str(self._out), how),
        ]

    last_words = words

    def is_done(self) -> bool:
        """At least two runs: the last of them by one start."""
        return len(list(self._folder.glob("*/result.json"))) > 1

    def kept(self) -> int:
        """Checkpoints; what metrics.jsonl has beyond the last one is computed again."""
        return sum(1 for _ in self._folder.glob("run-*/checkpoint.pt")) + sum(
            2 for _ in self._folder.glob("run-*/result.json")
        )

    def faults(self) -> list[str]:
        results = [json.loads(path.read_text()) for path in self._folder.glob("*/result.json")]
        told = {
            json.dumps(
                {key: each[key] for key in ("architecture", "accuracy", "predicted_us", "samples")}
            )
            for each in results
        }
        if len(told) == 1:
            return []
        return [f"{len(results)} runs by the same options have {len(told)} results: {told}"]


class Server:
    """`server`: whatever it acknowledged is there."""

    name, span_s, needs_end = "server", 10.0, False

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{self._port}"
        self._url = f"sqlite:///{folder}/interrupted.db"
        self._session = fake_session().evolve(origin="measured")
        self._refused: list[str] = []
        self._acknowledged: dict[UUID, Session] = {}
        self._closing = threading.Event()
        self._sender = threading.Thread(target=self._send, name="sends")

    def __enter__(self) -> "Server":
        self._sender.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._closing.set()
        self._sender.join()

    def words(self) -> list[str]:
        return ["server", "--port", str(self._port), "--database-url", self._url]

    last_words = words

    def is_done(self) -> bool:
        return False

    def kept(self) -> int:
        return len(self._acknowledged)

    def faults(self) -> list[str]:
        """To be asked while it runs, or begins to."""
        before = self.kept()
        until = time.monotonic() + START_LIMIT_S
        while self.kept() == before and time.monotonic() < until:
            time.sleep(0.1)
        self._closing.set()
        self._sender.join()
        acknowledged = dict(self._acknowledged)
        if not acknowledged:
            return [*self._refused, "nothing was acknowledged"]
        stored: set[UUID] = set()
        with table_client(self.address) as client:
            for session in {each.id for each in acknowledged.values()}:
                stored |= {each.id for each in client.session_report(str(session)).timings}
        lost = acknowledged.keys() - stored
        return (
            [f"{len(lost)} of {len(acknowledged)} acknowledged timings are lost"] if lost else []
        )

    def _send(self) -> None:
        with table_client(self.address) as client:
            while not self._closing.is_set():
                try:
                    self._send_session(client)
                except (ServerUnreachable, ServerAnsweredNonsense):
                    self._closing.wait(0.05)
                except RequestRefused as refusal:
                    self._refused.append(str(refusal))
                    return

    def _send_session(self, client: TableClient) -> None:
        session = self._session.evolve(id=uuid4())
        client.register(session.device, DESCRIPTION)
        client.add_session(session)
        for number, operator in enumerate(shipped(session.space).operators):
            timing = Timing(
                id=uuid4(),
                operator=operator,
                measured_at=datetime.now(UTC) - timedelta(seconds=1),
                rounds_us=((10.0 + number, 11.0, 12.0),),
            )
            client.add_timing(str(session.id), timing)
            self._acknowledged[timing.id] = session
            if self._closing.is_set():
                return


def journal_faults(journal: Path, server: str, space: SearchSpace) -> list[str]:
    """What waits, is open, or is not on the server."""
    found = []
    waits = "SELECT count(*) FROM outbox WHERE sent IS NULL"
    if waiting := _count(journal, waits):
        found.append(f"{waiting} results still wait")
    if still_open := _count(journal, "SELECT count(*) FROM sessions WHERE is_open"):
        found.append(f"{still_open} sessions are still open")
    with closing(sqlite3.connect(journal)) as opened, table_client(server) as client:
        kept = opened.execute("SELECT session, id FROM outbox").fetchall()
        stored = {
            str(each.id)
            for session in {session for session, _ in kept}
            for each in client.session_report(session).timings
        }
        lost = {id for _, id in kept} - stored
        if lost:
            found.append(f"{len(lost)} of {len(kept)} results are not on the server")
        if not client.table(DEVICE, space=space.name).complete:
            found.append("the table is not complete")
    return found


def _count(path: Path, query: str) -> int:
    if not path.exists():
        return 0
    with closing(sqlite3.connect(path)) as opened:
        try:
            (count,) = opened.execute(query).fetchone()
        except sqlite3.OperationalError:  # it was killed before it had made the tables
            return 0
    return int(count)
