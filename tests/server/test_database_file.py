"""The SQLite file of a running server: its owner's alone, and always the same one."""

import stat
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, select

from contract.problems import Problem
from server.database.engine import POOL_SIZE, FileReplaced, open_database, writing
from server.database.records import TimingRecord, TokenRecord
from server.database.schema import upgrade
from server.settings import Settings
from server.store import tokens
from tests.server.conftest import Agent, local_client
from tests.server.making import SPACE, a_timing

READERS = 30
READS = ("/lut/phone", "/devices", "/sessions?device=phone", "/fleet", "/")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "phonebook.db"


@pytest.fixture
def engine(path: Path) -> Iterator[Engine]:
    engine = open_database(f"sqlite:///{path}")
    upgrade(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def client(engine: Engine) -> Iterator[TestClient]:
    with local_client(engine, Settings(rate=0)) as client:
        yield client


def beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def remove(path: Path) -> None:
    path.unlink()


def rename(path: Path) -> None:
    path.rename(beside(path, ".aside"))


def replace(path: Path) -> None:
    """By another database of the same schema, with a device of the same name."""
    other = open_database(f"sqlite:///{beside(path, '.other')}")
    upgrade(other)
    with local_client(other) as client:
        Agent(client).begin()
    other.dispose()
    rename(path)
    beside(path, ".other").rename(path)


def remove_wal(path: Path) -> None:
    beside(path, "-wal").unlink()


def remove_both_beside(path: Path) -> None:
    beside(path, "-wal").unlink()
    beside(path, "-shm").unlink()


MISHAPS = (remove, rename, replace, remove_wal, remove_both_beside)


@pytest.mark.parametrize("mishap", MISHAPS)
def test_nothing_is_read_or_written_once_the_file_is_another(
    mishap: Callable[[Path], None], client: TestClient, agent: Agent, path: Path
) -> None:
    session = agent.begin()
    agent.tell(session, a_timing())
    assert client.get("/readyz").status_code == 200
    mishap(path)
    files = sorted(path.parent.iterdir())

    with ThreadPoolExecutor(READERS) as pool:  # more than the connections that are open
        reads = list(pool.map(client.get, READS * 10))
    written = agent.post_timing(session, a_timing(SPACE.head))
    for answer in (client.get("/readyz"), written, *reads):
        assert answer.status_code == 503
        told = Problem.model_validate_json(answer.text).detail
        assert str(path) in told
        assert "removed or replaced while it was open" in told
        assert "put it back, or restart the server" in told
    assert client.get("/healthz").status_code == 200
    assert sorted(path.parent.iterdir()) == files


@pytest.mark.parametrize("mishap", [rename, replace])
def test_the_server_goes_on_once_the_file_is_back(
    mishap: Callable[[Path], None], client: TestClient, agent: Agent, path: Path
) -> None:
    session = agent.begin()
    agent.tell(session, a_timing())
    mishap(path)
    late = a_timing(SPACE.head)
    for _ in range(2 * POOL_SIZE):  # none of which keeps a connection
        assert agent.post_timing(session, late).status_code == 503
        assert client.get("/lut/phone").status_code == 503

    beside(path, ".aside").rename(path)
    assert client.get("/readyz").status_code == 200
    assert agent.post_timing(session, late).status_code == 201
    rows = [row["operator"] for row in client.get("/lut/phone").json()["entries"]]
    assert sorted(rows) == sorted([SPACE.stem.key, SPACE.head.key])


@pytest.mark.parametrize(
    ("mishap", "is_now"),
    [
        (rename, ".aside"),
        (replace, ".aside"),
        (remove_wal, ""),
        (remove_both_beside, ""),
    ],
)
def test_what_was_answered_201_meanwhile_is_there_after_a_stop(
    mishap: Callable[[Path], None],
    is_now: str,
    client: TestClient,
    agent: Agent,
    engine: Engine,
    path: Path,
) -> None:
    session = agent.begin()
    timings = [a_timing(operator) for operator in SPACE.operators]
    statuses: dict[UUID, int] = {}
    some = threading.Event()

    def post() -> None:
        for number, timing in enumerate(timings):
            statuses[timing.id] = agent.post_timing(session, timing).status_code
            if number == 10:
                some.set()

    posting = threading.Thread(target=post)
    posting.start()
    assert some.wait(30)
    mishap(path)
    posting.join()
    engine.dispose()

    taken = {id for id, status in statuses.items() if status == 201}
    assert set(statuses.values()) == {201, 503}
    again = open_database(f"sqlite:///{beside(path, is_now)}")
    with again.connect() as connection:
        assert set(connection.scalars(select(TimingRecord.id))) == taken
    again.dispose()


def test_a_transaction_is_not_committed_to_a_file_that_went_away_meanwhile(
    engine: Engine, path: Path
) -> None:
    with writing(engine)() as session:
        tokens.create(session, "lab", "agent", datetime.now(UTC))
        rename(path)
        with pytest.raises(FileReplaced):
            session.commit()
    beside(path, ".aside").rename(path)
    with writing(engine).begin() as session:
        assert session.scalar(select(TokenRecord)) is None


def test_a_restarted_server_serves_what_is_there(agent: Agent, engine: Engine, path: Path) -> None:
    agent.tell(agent.begin(), a_timing())
    replace(path)
    engine.dispose()  # with nobody having asked for anything meanwhile
    again = open_database(f"sqlite:///{path}")
    with local_client(again) as client:
        assert [device["name"] for device in client.get("/devices").json()] == ["phone"]
        assert client.get("/lut/phone").json()["entries"] == []
        with again.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
    again.dispose()


def test_a_new_database_is_its_owners_alone(agent: Agent, path: Path) -> None:
    agent.begin()
    for suffix in ("", "-wal", "-shm"):
        assert stat.S_IMODE(beside(path, suffix).stat().st_mode) == 0o600


def test_a_database_that_is_there_keeps_its_mode(tmp_path: Path, sqlite_template: Path) -> None:
    path = tmp_path / "phonebook.db"
    path.write_bytes(sqlite_template.read_bytes())
    path.chmod(0o640)
    engine = open_database(f"sqlite:///{path}")
    with local_client(engine) as client:
        Agent(client).begin()
        for suffix in ("", "-wal", "-shm"):
            assert stat.S_IMODE(beside(path, suffix).stat().st_mode) == 0o640
    engine.dispose()


def test_every_connection_waits_for_the_disk(engine: Engine) -> None:
    connections = [engine.connect() for _ in range(POOL_SIZE)]
    for connection in connections:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
        connection.close()
