"""A migrated database, and the application over it: each test on SQLite and on PostgreSQL.

What is decided before any query is marked `one_database`, and tested on SQLite alone. PostgreSQL's
half is slow but for modules that are marked `both_databases`: those of writers, locks and schema.
"""

import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from uuid import UUID, uuid4

import httpx2
import pytest
import structlog
import uvicorn
from alembic import command
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from contract.audits import Audit
from contract.devices import DeviceDescription
from contract.searches import SearchEpoch, SearchRun
from contract.sessions import Session
from contract.timings import Timing
from server.app import create_app
from server.database.engine import migrating, open_database
from server.database.schema import alembic_config, upgrade
from server.http import logs
from server.http.clock import utc_now
from server.settings import Settings
from tests.postgres import database
from tests.server.fleet import Clock, Fleet
from tests.server.making import PHONE, a_session

MAX_BODY_BYTES = 100_000


@pytest.fixture(scope="session", autouse=True)
def plain_logs() -> None:
    """As the server prints them on a terminal."""
    structlog.configure(processors=[structlog.stdlib.add_log_level, logs.console()])


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "dialect" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker
        dialects: list[object] = ["sqlite"]
        if not marker("one_database"):
            later = () if marker("both_databases") else pytest.mark.slow
            dialects.append(pytest.param("postgresql", marks=later))
        metafunc.parametrize("dialect", dialects, indirect=True)


@pytest.fixture
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file, to be copied."""
    path = tmp_path_factory.mktemp("template") / "template.db"
    _migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres: str) -> Iterator[str]:
    """The name of a migrated database, to be cloned."""
    name = f"template-{uuid4()}"
    with database(postgres, name) as url:
        _migrate(url)
        yield name


@pytest.fixture
def empty_url(dialect: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """A database without a schema; SQLite's does not even exist."""
    if dialect == "sqlite":
        yield f"sqlite:///{tmp_path}/empty.db"
        return
    with database(request.getfixturevalue("postgres"), f"test-{uuid4()}") as url:
        yield url


@pytest.fixture
def database_url(dialect: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """A migrated database with nothing in it."""
    if dialect == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "test.db")
        yield f"sqlite:///{tmp_path}/test.db"
        return
    template: str = request.getfixturevalue("postgres_template")
    server: str = request.getfixturevalue("postgres")
    with database(server, f"test-{uuid4()}", template=template) as url:
        yield url


@pytest.fixture
def empty_database(empty_url: str) -> Iterator[Engine]:
    engine = open_database(empty_url)
    yield engine
    engine.dispose()


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = open_database(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def client(engine: Engine) -> Iterator[TestClient]:
    with local_client(engine, Settings(max_body_bytes=MAX_BODY_BYTES, rate=0)) as client:
        yield client


def local_client(
    engine: Engine, settings: Settings | None = None, *, clock: Callable[[], datetime] = utc_now
) -> TestClient:
    """Someone at the computer whose server listens on loopback alone: an admin without a token."""
    return TestClient(
        create_app(engine, settings or Settings(), local=True, clock=clock),
        base_url="http://127.0.0.1",
        client=("127.0.0.1", 50_000),
        raise_server_exceptions=False,
    )


@pytest.fixture
def address(engine: Engine) -> Iterator[str]:
    """A server over the database, on a port of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(
            uvicorn.Config(
                create_app(engine, Settings(), local=True), log_config=None, lifespan="off"
            )
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture
def agent(client: TestClient) -> "Agent":
    return Agent(client)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def fleet(engine: Engine, clock: Clock) -> Iterator[Fleet]:
    with local_client(engine, Settings(rate=0), clock=clock) as client:
        yield Fleet(client)


class Agent:
    """Posts what an agent posts, and expects it to be taken."""

    def __init__(self, client: TestClient) -> None:
        self._client = client

    def register(self, device: str = "phone", description: DeviceDescription = PHONE) -> None:
        self.put(f"/devices/{device}", description.model_dump_json()).raise_for_status()

    def begin(self, session: Session | None = None) -> UUID:
        """A registered device and a stored session on it; returns the session's id."""
        new = session or a_session()
        self.register(new.device)
        self.post("/sessions", new.model_dump_json()).raise_for_status()
        return new.id

    def tell(self, session: UUID, *timings: Timing) -> None:
        for timing in timings:
            self.post_timing(session, timing).raise_for_status()

    def post_timing(self, session: UUID, timing: Timing) -> httpx2.Response:
        return self.post(f"/sessions/{session}/timings", timing.model_dump_json())

    def tell_audit(self, audit: Audit) -> None:
        self.post("/audits", audit.model_dump_json()).raise_for_status()

    def tell_search(
        self, run: SearchRun, *epochs: SearchEpoch, search: UUID | None = None
    ) -> UUID:
        """A stored search for a registered device; returns its id."""
        id = search or uuid4()
        self.register(run.plan.device)
        self.put(f"/searches/{id}", run.model_dump_json()).raise_for_status()
        for epoch in epochs:
            path = f"/searches/{id}/epochs/{epoch.epoch}"
            self.put(path, epoch.model_dump_json()).raise_for_status()
        return id

    def post(self, path: str, body: str) -> httpx2.Response:
        return self._client.post(path, content=body, headers=JSON)

    def put(self, path: str, body: str) -> httpx2.Response:
        return self._client.put(path, content=body, headers=JSON)


JSON = {"content-type": "application/json"}


def downgrade(engine: Engine, revision: str) -> None:
    config = alembic_config()
    with migrating(engine) as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, revision)


def _migrate(url: str) -> None:
    engine = open_database(url)
    upgrade(engine)
    engine.dispose()
