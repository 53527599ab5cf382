"""A database that is there and says nothing: the server lives, says so, ends, and recovers."""

import signal
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from sqlalchemy import Engine

from contract.timings import Timing
from server.app import create_app
from server.database.engine import open_database
from server.database.schema import upgrade
from server.database.transactions import READERS, WRITERS
from server.http.connections import Limits
from server.settings import Settings
from tests.postgres import PostgresServer
from tests.server.making import PHONE, SPACE, a_session, a_timing
from tests.server.serving import LIMIT_S, program, serving

pytestmark = pytest.mark.slow

LONGEST_WAIT_S = 6
WITHIN_S = 15  # a server ends
ENDINGS = {signal.SIGTERM: -15, signal.SIGINT: 130}  # and its exit code
MANY = 3 * WRITERS["postgresql"]
JSON = {"content-type": "application/json"}


@pytest.fixture
def engine(own_postgres: PostgresServer) -> Iterator[Engine]:
    engine = open_database(own_postgres.url)
    upgrade(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def many() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(max(MANY + READERS, len(ENDINGS) * MANY)) as pool:
        yield pool


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client(headers=JSON, timeout=LIMIT_S) as client:
        yield client


@dataclass(frozen=True, slots=True)
class Lab:
    """Many who write and read at once."""

    http: httpx.Client
    pool: ThreadPoolExecutor
    address: str

    def begin(self) -> UUID:
        """A stored session of a registered phone."""
        session = a_session()
        phone, posted = PHONE.model_dump_json(), session.model_dump_json()
        self.http.put(f"{self.address}/devices/phone", content=phone).raise_for_status()
        self.http.post(f"{self.address}/sessions", content=posted).raise_for_status()
        return session.id

    def tell(self, session: UUID, timings: Sequence[Timing]) -> list[Future[httpx.Response]]:
        url = f"{self.address}/sessions/{session}/timings"
        return [
            self.pool.submit(self.http.post, url, content=timing.model_dump_json())
            for timing in timings
        ]

    def read(self) -> list[Future[httpx.Response]]:
        url = f"{self.address}/devices"
        return [self.pool.submit(self.http.get, url) for _ in range(READERS)]

    def stored(self, session: UUID) -> list[UUID]:
        report = self.http.get(f"{self.address}/sessions/{session}").json()
        return [UUID(timing["id"]) for timing in report["timings"]]


def answers_to(requests: list[Future[httpx.Response]]) -> list[httpx.Response]:
    return [request.result(LIMIT_S) for request in requests]


def is_acknowledged(request: Future[httpx.Response]) -> bool:
    try:
        return request.result(LIMIT_S).is_success
    except httpx.TransportError:
        return False


def timings(first: int) -> list[Timing]:
    """Of so many operators, from that one on."""
    return [a_timing(operator) for operator in SPACE.operators[first : first + MANY]]


def test_the_server_lives_while_postgresql_hangs_and_goes_on_after(
    own_postgres: PostgresServer, engine: Engine, many: ThreadPoolExecutor, http: httpx.Client
) -> None:
    application = create_app(engine, Settings(rate=0), local=True, longest_wait_s=LONGEST_WAIT_S)
    with serving(application, Limits(1000)) as served:
        lab = Lab(http, many, served.address)
        session = lab.begin()
        early, late = timings(0), timings(MANY)
        assert {answer.status_code for answer in answers_to(lab.tell(session, early))} == {201}
        with own_postgres.frozen():
            asked = lab.tell(session, late) + lab.read()
            while not all(request.done() for request in asked):
                began = time.monotonic()
                assert http.get(f"{served.address}/healthz").status_code == 200
                assert time.monotonic() - began < 1
            for refused in answers_to(asked):
                assert refused.status_code == 503
                assert int(refused.headers["retry-after"]) >= 1
                assert refused.headers["content-type"] == "application/problem+json"
        again = answers_to(lab.tell(session, late + early))
        assert {answer.status_code for answer in again} <= {200, 201}
        assert sorted(lab.stored(session)) == sorted(timing.id for timing in early + late)
        assert http.get(f"{served.address}/readyz").status_code == 200


def test_a_server_ends_though_postgresql_hangs(
    own_postgres: PostgresServer,
    engine: Engine,
    many: ThreadPoolExecutor,
    http: httpx.Client,
    tmp_path: Path,
) -> None:
    """By either signal; a server takes its time, so two of them end at once."""
    with ExitStack() as stack:
        servers = {
            ending: stack.enter_context(program(own_postgres.url, log=tmp_path / ending.name))
            for ending in ENDINGS
        }
        labs = [Lab(http, many, server.address) for server in servers.values()]
        sessions = [lab.begin() for lab in labs]
        acknowledged, waiting = ([timings(first) for _ in labs] for first in (0, MANY))
        for lab, session, its in zip(labs, sessions, acknowledged, strict=True):
            assert {answer.status_code for answer in answers_to(lab.tell(session, its))} == {201}
        with own_postgres.frozen():
            hanging = [
                request
                for lab, session, its in zip(labs, sessions, waiting, strict=True)
                for request in lab.tell(session, its)
            ]
            for ending, server in servers.items():
                assert http.get(f"{server.address}/healthz").status_code == 200
                server.process.send_signal(ending)
            until = time.monotonic() + WITHIN_S
            codes = {
                ending: server.process.wait(until - time.monotonic())
                for ending, server in servers.items()
            }
            assert codes == ENDINGS
            assert not any(is_acknowledged(request) for request in hanging)
    with program(own_postgres.url, log=tmp_path / "log") as server:
        lab = Lab(http, many, server.address)
        for session, its in zip(sessions, acknowledged, strict=True):
            assert {timing.id for timing in its} <= {*lab.stored(session)}
