"""A migrated database, and the application over it."""

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import httpx2
import pytest
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
    with local_client(engine, Settings(max_body_bytes=MAX_BODY_BYTES, rate=0)) as client:
        yield client


def local_client(engine: Engine, settings: Settings | None = None) -> TestClient:
    """Someone at the computer whose server listens on loopback alone: an admin without a token."""
    return TestClient(
        create_app(engine, settings or Settings(), local=True),
        base_url="http://127.0.0.1",
        client=("127.0.0.1", 50_000),
        raise_server_exceptions=False,
    )


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
