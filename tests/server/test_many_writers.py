"""Far more writers at once than the server has threads: each is answered, and so is everybody
beside them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import cycle
from uuid import UUID

import httpx
import pytest
from pydantic import BaseModel
from sqlalchemy import Engine, select

from contract.estimates import estimate
from contract.imports import Import, ImportedTiming
from contract.sessions import Session
from contract.tables import LatencyTable
from contract.timings import BatchReport, Timing, TimingBatch
from server.database.records import TimingRecord
from tests.e2e.beside import CERTIFICATES, LIMIT_S, beside
from tests.e2e.processes import OwnServer
from tests.server.conftest import JSON
from tests.server.making import PHONE, SPACE, a_session, a_timing

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

WRITERS = 100
SESSIONS = 4  # which measure the same operators, one after the other
OPERATORS = SPACE.operators[: WRITERS // SESSIONS]

Post = tuple[str, BaseModel]


@pytest.fixture
def server(database_url: str) -> Iterator[str]:
    """A process, with no limit to how often somebody may write."""
    yield from serving(database_url)


@pytest.fixture
def second_server(database_url: str) -> Iterator[str]:
    """Another process on the same database."""
    yield from serving(database_url)


def serving(database_url: str) -> Iterator[str]:
    with OwnServer(database_url, rate=0) as own:
        yield own.address
        own.stop()


class Writers:
    """Each in a thread, with a connection of its own; they share the servers evenly."""

    def __init__(self, *servers: str) -> None:
        self._open = ExitStack()
        self._pool = self._open.enter_context(ThreadPoolExecutor(WRITERS))
        self._clients = [
            self._open.enter_context(
                httpx.Client(base_url=server, timeout=LIMIT_S, verify=CERTIFICATES)
            )
            for server, _ in zip(cycle(servers), range(WRITERS))
        ]

    def __enter__(self) -> "Writers":
        self._clients[0].put("/devices/phone", content=PHONE.model_dump_json(), headers=JSON)
        return self

    def __exit__(self, *raised: object) -> None:
        self._open.close()

    def post(self, posts: Sequence[Post]) -> list[httpx.Response]:
        """All at once; the answers in the order of the posts."""

        def post(client: httpx.Client, one: Post) -> httpx.Response:
            path, body = one
            return client.post(path, content=body.model_dump_json(), headers=JSON)

        return list(self._pool.map(post, self._clients, posts))

    def begin(self, sessions: Sequence[Session]) -> None:
        for answer in self.post([("/sessions", session) for session in sessions]):
            answer.raise_for_status()

    def tables(self, origin: str = "measured") -> list[LatencyTable]:
        """As two of them are told it: one of each server, where there are two."""
        answers = [
            client.get("/lut/phone", params={"origin": origin}) for client in self._clients[:2]
        ]
        return [LatencyTable.model_validate_json(answer.content) for answer in answers]


def the_writers() -> tuple[list[Session], list[tuple[UUID, Timing]]]:
    """Sessions a minute apart, and the timing that each writer has for one of them."""
    sessions = [a_session(minutes=number) for number in range(SESSIONS)]
    timings = [
        (
            session.id,
            a_timing(operator, us=100.0 * place + number, minutes=number),
        )
        for number, session in enumerate(sessions)
        for place, operator in enumerate(OPERATORS, start=1)
    ]
    return sessions, timings


def one_by_one(timings: Sequence[tuple[UUID, Timing]]) -> list[tuple[str, Timing]]:
    return [(f"/sessions/{session}/timings", timing) for session, timing in timings]


def of_session(session: Session, timings: Sequence[tuple[UUID, Timing]]) -> list[Timing]:
    return [timing for id, timing in timings if id == session.id]


def check_rows(tables: Sequence[LatencyTable], newest: Session, timings: Sequence[Timing]) -> None:
    """Each operator has the row of the newest session, whichever was stored last."""
    expected = {each.operator.key: estimate(each.rounds_us, each.drift) for each in timings}
    for table in tables:
        assert {row.operator: (row.newest or row).latency_us for row in table.entries} == {
            key: figures.latency_us for key, figures in expected.items()
        }
        assert {row.session for row in table.entries} == {newest.id}


def stored(engine: Engine) -> list[tuple[UUID, UUID, list[list[float]]]]:
    with engine.connect() as connection:
        rows = connection.execute(
            select(TimingRecord.session, TimingRecord.id, TimingRecord.rounds_us)
        )
        return sorted((session, id, rounds_us or []) for session, id, rounds_us in rows)


def sent(timings: Sequence[tuple[UUID, Timing]]) -> list[tuple[UUID, UUID, list[list[float]]]]:
    return sorted(
        (session, each.id, [list(samples) for samples in each.rounds_us])
        for session, each in timings
    )


def test_each_of_a_hundred_timings_is_stored_once_and_nobody_beside_waits(
    server: str, engine: Engine
) -> None:
    sessions, timings = the_writers()
    with Writers(server) as writers:
        writers.begin(sessions)
        writers.post(one_by_one(timings[:1]))  # so that readers find a table

        def write() -> None:
            answers = writers.post(one_by_one(timings))
            assert Counter(each.status_code for each in answers) == {201: WRITERS - 1, 200: 1}
            answers = writers.post(one_by_one(timings))
            assert Counter(each.status_code for each in answers) == {200: WRITERS}

        beside(server, write, read="/lut/phone").check()
        check_rows(writers.tables(), sessions[-1], of_session(sessions[-1], timings))
    assert stored(engine) == sent(timings)


def test_each_timing_of_a_hundred_batches_is_stored_once_and_nobody_beside_waits(
    server: str, engine: Engine
) -> None:
    sessions = [a_session(minutes=number) for number in range(WRITERS)]
    timings = [
        (session.id, a_timing(operator, us=100.0 * place + number, minutes=number))
        for number, session in enumerate(sessions)
        for place, operator in enumerate(OPERATORS[:10], start=1)
    ]
    batches = [
        (
            f"/sessions/{session.id}/timings/batch",
            TimingBatch(timings=tuple(of_session(session, timings))),
        )
        for session in sessions
    ]
    with Writers(server) as writers:
        writers.begin(sessions)
        writers.post(one_by_one(timings[:1]))

        def write() -> None:
            for _ in range(2):
                for answer, (_, batch) in zip(writers.post(batches), batches, strict=True):
                    assert answer.status_code == 200
                    outcomes = BatchReport.model_validate_json(answer.content).outcomes
                    assert [each.id for each in outcomes] == [each.id for each in batch.timings]
                    assert not any(each.refused for each in outcomes)

        beside(server, write, read="/lut/phone").check()
        check_rows(writers.tables(), sessions[-1], of_session(sessions[-1], timings))
    assert stored(engine) == sent(timings)


def test_two_servers_on_one_database_take_turns(
    server: str, second_server: str, engine: Engine
) -> None:
    sessions, timings = the_writers()
    with Writers(server, second_server) as writers:
        writers.begin(sessions)
        writers.post(one_by_one(timings[:1]))

        def write() -> None:
            answers = writers.post(one_by_one(timings))
            assert Counter(each.status_code for each in answers) == {201: WRITERS - 1, 200: 1}
            swapped = [*one_by_one(timings[1:]), *one_by_one(timings[:1])]  # to the other server
            assert {each.status_code for each in writers.post(swapped)} == {200}

        beside(server, write, read="/lut/phone").check()
        check_rows(writers.tables(), sessions[-1], of_session(sessions[-1], timings))
    assert stored(engine) == sent(timings)


def test_an_import_that_takes_long_keeps_no_writer_waiting(server: str, engine: Engine) -> None:
    sessions, timings = the_writers()
    large = a_large_import()
    with Writers(server) as writers:
        writers.begin(sessions)
        writers.post(one_by_one(timings[:1]))

        def write() -> None:
            imported, *others = writers.post([("/imports", large), *one_by_one(timings[1:])])
            assert {each.status_code for each in (imported, *others)} == {201}
            assert max(each.elapsed for each in others) < imported.elapsed

        beside(server, write, read="/lut/phone").check()
        for table in writers.tables("imported"):
            assert len(table.entries) == len(large.timings)
    assert len(stored(engine)) == len(timings) + len(large.timings)


def a_large_import() -> Import:
    """Of many samples, which take their time."""
    samples = tuple(100.0 + number for number in range(60))
    return Import(
        session=a_session(origin="imported", source="a paper"),
        timings=tuple(
            ImportedTiming(**dict(a_timing(operator)) | {"rounds_us": (samples,) * 30})
            for operator in SPACE.operators
        ),
    )
