"""A database that takes no writes: a read-only PostgreSQL, a standby, a disk that is full."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, select, text

from contract.problems import Problem
from server import backup, retention, tokens
from server.database.engine import open_database
from server.database.records import TimingRecord
from server.database.schema import upgrade
from server.settings import Settings
from tests.postgres import PostgresServer, database
from tests.server.conftest import Agent, local_client
from tests.server.making import SPACE, a_timing
from tests.server.test_access import make, shared

READ_ONLY = "the database can only be read now"
FULL = "the disk of the database is full"


def detail(answer: object) -> str:
    """What a refusal with 503 says."""
    assert getattr(answer, "status_code", None) == 503
    return Problem.model_validate_json(getattr(answer, "text", "")).detail


def test_a_read_only_postgresql_is_read_and_says_so(postgres: str, postgres_template: str) -> None:
    name = f"test-{uuid4()}"
    with database(postgres, name, template=postgres_template) as url:
        engine = open_database(url)
        lab = make(engine, "lab", "agent")

        def set_read_only(word: str) -> None:
            admin = create_engine(postgres, isolation_level="AUTOCOMMIT")
            with admin.connect() as connection:
                connection.execute(
                    text(f'ALTER DATABASE "{name}" SET default_transaction_read_only = {word}')
                )
            admin.dispose()
            engine.dispose()  # only new connections know of it

        with local_client(engine) as client:
            client.headers.update(lab)
            agent = Agent(client)
            session = agent.begin()
            agent.tell(session, a_timing())
            before = client.get("/lut/phone").json()
            set_read_only("on")
            late = a_timing(SPACE.head)
            for answer in (agent.post_timing(session, late), client.get("/readyz")):
                assert READ_ONLY in detail(answer)
            assert client.get("/lut/phone").json() == before
            assert client.get(f"/sessions/{session}").status_code == 200
            assert client.get("/healthz").status_code == 200
            with shared(engine) as elsewhere:
                assert elsewhere.get("/devices", headers=lab).status_code == 200

            set_read_only("off")
            assert client.get("/readyz").status_code == 200
            assert agent.post_timing(session, late).status_code == 201
        engine.dispose()


def test_a_standby_is_read_until_it_is_promoted(own_postgres: PostgresServer) -> None:
    engine = open_database(own_postgres.url)
    upgrade(engine)
    with local_client(engine) as client:
        agent = Agent(client)
        session = agent.begin()
        agent.tell(session, a_timing())
        own_postgres.demote()
        client.get("/readyz")  # meets a connection that has ended
        late = a_timing(SPACE.head)
        for answer in (client.get("/readyz"), agent.post_timing(session, late)):
            assert READ_ONLY in detail(answer)
        assert len(client.get("/lut/phone").json()["entries"]) == 1

        own_postgres.promote()
        assert agent.post_timing(session, late).status_code == 201
        assert client.get("/readyz").status_code == 200
        assert len(client.get("/lut/phone").json()["entries"]) == 2
    engine.dispose()


class Disk:
    """A small one, in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def grow(self, mebibytes: int) -> None:
        mount("-o", f"remount,size={mebibytes}m", str(self.folder))

    def fill(self, *, but_bytes: int = 0) -> None:
        """Leave so many bytes free."""
        with self._filler.open("ab", buffering=0) as filler, suppress(OSError):
            while True:
                filler.write(bytes(65_536))
        os.truncate(self._filler, self._filler.stat().st_size - but_bytes)

    def empty(self) -> None:
        self._filler.unlink()


def mount(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount("-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder))
    yield Disk(folder)
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.slow
def test_on_a_full_disk_nothing_acknowledged_is_lost(disk: Disk) -> None:
    path = disk.folder / "phonebook.db"
    engine = open_database(f"sqlite:///{path}")
    upgrade(engine)
    with local_client(engine, Settings(rate=0)) as client:
        agent = Agent(client)
        session = agent.begin()
        assert client.get("/readyz").status_code == 200
        disk.fill(but_bytes=2**19)
        assert FULL in detail(client.get("/readyz"))
        timings = [
            a_timing(operator).evolve(rounds_us=((100.0,) * 500,) * 4)
            for operator in SPACE.operators
        ]
        statuses = [agent.post_timing(session, timing).status_code for timing in timings]
        assert set(statuses) == {201, 503}
        taken = {
            timing.id for timing, status in zip(timings, statuses, strict=True) if status == 201
        }
        assert FULL in detail(agent.post_timing(session, timings[-1]))
        assert len(client.get("/lut/phone").json()["entries"]) == len(taken)
        engine.dispose()
        with engine.connect() as connection:
            assert set(connection.scalars(select(TimingRecord.id))) == taken

        disk.grow(64)
        assert client.get("/readyz").status_code == 200
        again = [agent.post_timing(session, timing).status_code for timing in timings]
        assert again == [200 if status == 201 else 201 for status in statuses]
        assert len(client.get("/lut/phone").json()["entries"]) == len(timings)
    engine.dispose()


# Nothing; room for what SQLite keeps beside the file, and hardly more.
@pytest.mark.slow
@pytest.mark.parametrize("free_bytes", [0, 40_960])
def test_on_a_full_disk_commands_end_with_one_line(disk: Disk, free_bytes: int) -> None:
    url = f"sqlite:///{disk.folder}/phonebook.db"
    engine = open_database(url)
    upgrade(engine)
    with local_client(engine, Settings(rate=0)) as client:
        agent = Agent(client)
        agent.tell(agent.begin(), *(a_timing(operator) for operator in SPACE.operators))
    engine.dispose()
    disk.fill(but_bytes=free_bytes)
    told = {
        retention: ("--older-than", "0d"),
        tokens: ("create", "--name", "lab", "--role", "agent"),
        backup: ("create", "--to", str(disk.folder / "backup")),
    }
    for command, words in told.items():
        done = run(command.__name__, *words, url=url)
        assert done.returncode == 2, done.stderr
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert done.stderr.startswith("error: ")
    disk.empty()
    for command, words in told.items():
        command.app([*words, "--database-url", url])


def run(module: str, *arguments: str, url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *arguments, "--database-url", url],
        capture_output=True,
        text=True,
        check=False,
    )
