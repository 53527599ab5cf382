"""A migrated database, and the application over it."""

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import httpx2
import pytest
import uvicorn
from alembic import command
from fastapi.testclient import TestClient
from sqlalchemy import Engine, text

from contract.audits import Audit
from contract.timings import DeviceDescription, Session, Timing
from server.app import create_app
from server.db import open_database
from server.schema import alembic_config, upgrade
from server.settings import Settings
from tests.server.making import PHONE, a_session

MAX_BODY_BYTES = 100_000


@pytest.fixture
def empty_database(tmp_path: Path) -> Iterator[Engine]:
    """Without a schema: an SQLite file, or PostgreSQL at TEST_POSTGRES_URL, emptied."""
    postgres = os.environ.get("TEST_POSTGRES_URL")
    engine = open_database(postgres or f"sqlite:///{tmp_path}/test.db")
    if postgres:
        with engine.begin() as connection:
            connection.execute(text("DROP SCHEMA public CASCADE"))
            connection.execute(text("CREATE SCHEMA public"))
    yield engine
    engine.dispose()


@pytest.fixture
def engine(empty_database: Engine) -> Engine:
    upgrade(empty_database)
    return empty_database


@pytest.fixture
def client(engine: Engine) -> Iterator[TestClient]:
    app = create_app(engine, Settings(max_body_bytes=MAX_BODY_BYTES))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def address(engine: Engine) -> Iterator[str]:
    """A server over the database, on a port of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(
            uvicorn.Config(create_app(engine, Settings()), log_config=None, lifespan="off")
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.fixture
def agent(client: TestClient) -> "Agent":
    return Agent(client)


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

    def post(self, path: str, body: str) -> httpx2.Response:
        return self._client.post(path, content=body, headers=JSON)

    def put(self, path: str, body: str) -> httpx2.Response:
        return self._client.put(path, content=body, headers=JSON)


JSON = {"content-type": "application/json"}


def downgrade(engine: Engine, revision: str) -> None:
    config = alembic_config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, revision)
