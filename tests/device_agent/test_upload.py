"""Sending: retried, stored once however often the answer is lost, never thrown away."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest

from contract.client import TableClient, table_client
from contract.errors import RequestRefused, ServerUnreachable
from contract.problems import Problem
from contract.spaces import space
from contract.timings import MOST_IN_BATCH, BatchReport, Timing, TimingBatch, TimingOutcome
from device_agent.measuring.journal import Entry, Journal
from device_agent.measuring.upload import MOST_BYTES, batches, send
from tests.device_agent.results import SESSION, TIMINGS, keys, measured, timings_of
from tests.device_agent.servers import HTML, Answer, before, serving, stored_operators
from tests.fakes import fake_session

SERVER = "http://server"
AN_HOUR = timedelta(hours=1)


class Server:
    """Stores timings by id; every answer of `troubles`, in turn, comes before one that works."""

    def __init__(self, troubles: list[int | str]) -> None:
        self.stored: dict[UUID, Timing] = {}
        self.posts = 0
        self._troubles = troubles

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/sessions":
            return httpx.Response(201, content=request.content)
        assert request.url.path == f"/sessions/{SESSION.id}/timings/batch"
        self.posts += 1
        trouble = self._troubles.pop(0) if self._troubles else "works"
        if isinstance(trouble, int):
            headers = {"retry-after": "0"} if trouble == 429 else {}
            return httpx.Response(trouble, json=problem(trouble).model_dump(), headers=headers)
        batch = TimingBatch.model_validate_json(request.content)
        self.stored |= {timing.id: timing for timing in batch.timings}
        if trouble == "answer lost":
            raise httpx.ReadTimeout("lost", request=request)
        report = BatchReport(
            outcomes=tuple(TimingOutcome(id=timing.id) for timing in batch.timings)
        )
        return httpx.Response(200, content=report.model_dump_json())


def problem(status: int) -> Problem:
    return Problem(type="about:blank", title="No", status=status, detail="no")


@pytest.fixture
def journal(empty: Journal) -> Journal:
    measured(empty, SERVER, known=False)
    return empty


def client(server: Server) -> TableClient:
    return TableClient(httpx.Client(base_url=SERVER, transport=httpx.MockTransport(server)))


# The server's moods.


def test_a_server_that_stumbles_ends_with_each_timing_once(journal: Journal) -> None:
    server = Server([503, "answer lost", 429, 502, "answer lost"])
    sent = send(journal, client(server))
    assert (sent.accepted, sent.kept) == (len(TIMINGS), ())
    assert server.stored == {timing.id: timing for timing in TIMINGS}
    assert server.posts == 6
    assert journal.waiting(SERVER) == 0


def test_a_server_that_stays_away_leaves_everything_in_the_outbox(journal: Journal) -> None:
    with pytest.raises(ServerUnreachable, match=r"no\. 8 results wait .*device_agent\.outbox"):
        send(journal, client(Server([503] * 100)), patience_s=0.5)
    assert journal.waiting(SERVER) == len(TIMINGS)
    assert send(journal, client(Server([]))).accepted == len(TIMINGS)


def test_waiting_is_one_sentence_on_the_screen(
    journal: Journal, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ServerUnreachable):
        send(journal, client(Server([503] * 100)), patience_s=5)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(f"{SERVER}: no; trying again for 5 s")


def test_a_server_that_is_asked_too_often_gets_everything_in_the_end(journal: Journal) -> None:
    assert send(journal, client(Server([429] * 30))).accepted == len(TIMINGS)


def test_a_server_that_fails_at_one_result_gets_the_others(journal: Journal) -> None:
    poison = TIMINGS[2].id
    server = Server([])

    def fails(request: httpx.Request) -> httpx.Response:
        if str(poison).encode() in request.content:
            return httpx.Response(500, json=problem(500).model_dump())
        return server(request)

    http = httpx.Client(base_url=SERVER, transport=httpx.MockTransport(fails))
    sent = send(journal, TableClient(http), patience_s=0.2)
    assert (sent.accepted, [kept.id for kept in sent.waiting]) == (7, [poison])


def test_the_outbox_belongs_to_the_server_it_was_made_for(journal: Journal) -> None:
    assert journal.waiting("http://another") == 0


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_does_not_work_loses_nothing(empty: Journal, status: int) -> None:
    measured(empty, SERVER)

    def refuses(request: httpx.Request) -> httpx.Response:
        return httpx.Response(status, json=problem(status).model_dump())

    refusing = TableClient(httpx.Client(base_url=SERVER, transport=httpx.MockTransport(refuses)))
    with pytest.raises(
        RequestRefused, match=r"set PHONEBOOK_TOKEN.* 8 results wait in the outbox"
    ):
        send(empty, refusing)
    assert empty.waiting(SERVER) == len(TIMINGS)


def test_a_token_revoked_in_the_midst_loses_nothing(journal: Journal) -> None:
    other = fake_session()
    measured(journal, SERVER, timings_of(other), session=other, known=False)
    with pytest.raises(RequestRefused, match=r"set PHONEBOOK_TOKEN.* 16 results wait"):
        send(journal, client(Server([401])))


# How much at once.


def test_a_batch_is_as_large_as_a_post_may_be() -> None:
    def sizes(*of_entries: int) -> list[list[int]]:
        entries = [Entry(uuid4(), "Timing", size) for size in of_entries]
        return [[entry.bytes for entry in batch] for batch in batches(entries)]

    assert [len(batch) for batch in sizes(*[1] * 250)] == [MOST_IN_BATCH, MOST_IN_BATCH, 50]
    half = MOST_BYTES // 2
    assert sizes(half, half, 1, 3 * half, 1) == [[half, half], [1], [3 * half], [1]]
    assert sizes() == []


def test_many_timings_take_few_posts(empty: Journal, database: Path) -> None:
    session = fake_session()
    timings = timings_of(session, range(99), samples=100)
    with serving(database) as address, before(address) as (proxy, through):
        measured(empty, through, timings, session=session)
        with table_client(through) as client:
            assert send(empty, client).accepted == 99
        paths = [path.rpartition("/")[2] for path, _ in proxy.posts]
    assert paths == ["bench", "sessions", "batch", "batch"]
    assert stored_operators(database) == keys(timings)


# What is wrong with one result.


def test_final_and_passing_refusals_side_by_side_hold_up_nobody(
    empty: Journal, database: Path
) -> None:
    foreign = TIMINGS[1].evolve(operator=space("fbnet-224").head, id=uuid4())
    ahead = TIMINGS[2].evolve(measured_at=datetime.now(UTC) + AN_HOUR)
    with serving(database) as address, table_client(address) as client:
        measured(empty, address, [TIMINGS[0], foreign, ahead, *TIMINGS[3:]])
        sent = send(empty, client)
        assert (sent.accepted, sent.clocks_differ) == (6, False)
        assert [kept.id for kept in sent.refused] == [foreign.id]
        assert [kept.id for kept in sent.waiting] == [ahead.id]
        refused, waits = sent.lines
        assert refused.startswith(f"{foreign.operator.key} was refused for good: {address}: ")
        assert "is no operator of fbnet-32" in refused
        assert waits.startswith(f"{ahead.operator.key} waits: {address}: measured_at ")
        (held,) = empty.held(address)
        assert (held.waiting, held.refused, held.sent) == (1, 1, 6)
        again = send(empty, client)
        assert [kept.id for kept in again.kept] == [ahead.id]


def test_a_damaged_row_blocks_nobody(empty: Journal, database: Path) -> None:
    with serving(database) as address, table_client(address) as client:
        measured(empty, address)
        with closing(sqlite3.connect(empty.path, isolation_level=None)) as other:
            cut = "UPDATE outbox SET body = substr(body, 1, 40) WHERE id = ?"
            other.execute(cut, (str(TIMINGS[0].id),))
            other.execute("UPDATE outbox SET kind = 'Odd' WHERE id = ?", (str(TIMINGS[1].id),))
        sent = send(empty, client)
        assert sent.accepted == 6
        assert all("cannot be read" in kept.reason for kept in sent.refused)
        assert {kept.id for kept in sent.refused} == {timing.id for timing in TIMINGS[:2]}
        assert empty.waiting(address) == 0


def test_a_damaged_session_blocks_no_other(empty: Journal, database: Path) -> None:
    with serving(database) as address, table_client(address) as client:
        measured(empty, address)
        other = fake_session()
        measured(empty, address, timings_of(other), session=other)
        with closing(sqlite3.connect(empty.path, isolation_level=None)) as file:
            file.execute("UPDATE sessions SET body = '{' WHERE id = ?", (str(SESSION.id),))
        sent = send(empty, client)
        assert sent.accepted == 8
        (line,) = sent.lines
        assert line.startswith("8 results were refused for good: its session cannot be read")


def too_large(path: str, body: bytes) -> Answer | None:
    if len(body) <= 100_000:
        return None
    return 413, HTML, b"<html><h1>413 Request Entity Too Large</h1></html>"


@pytest.mark.slow
def test_one_result_that_is_too_large_for_a_proxy_holds_up_no_other(
    empty: Journal, database: Path
) -> None:
    session = fake_session()
    small, (large,) = timings_of(session, range(1, 21)), timings_of(session, [0], samples=10_000)
    with (
        serving(database) as address,
        before(address) as (proxy, through),
        table_client(through) as client,
    ):
        proxy.instead = too_large
        measured(empty, through, [*small[:10], large, *small[10:]], session=session)
        sent = send(empty, client)
        assert (sent.accepted, sent.refused) == (20, ())
        (line,) = sent.lines
        assert line.startswith(f"{large.operator.key} waits: {through} answered 413: ")
        assert "PHONEBOOK_MAX_BODY_BYTES" in line
        proxy.instead = lambda path, body: None
        assert send(empty, client).accepted == 1
    assert stored_operators(database) == keys([*small, large])


@pytest.mark.slow
def test_html_instead_of_one_answer_holds_up_no_other(empty: Journal, database: Path) -> None:
    suspicious = str(TIMINGS[3].id).encode()

    def guards(path: str, body: bytes) -> Answer | None:
        return (403, HTML, b"<html>request blocked</html>") if suspicious in body else None

    with (
        serving(database) as address,
        before(address) as (proxy, through),
        table_client(through) as client,
    ):
        proxy.instead = guards
        measured(empty, through)
        sent = send(empty, client, patience_s=0.2)
        assert sent.accepted == 7
        assert [kept.id for kept in sent.waiting] == [TIMINGS[3].id]
        assert "not Phonebook's (status 403)" in sent.lines[0]


@pytest.mark.slow
def test_a_proxy_whose_server_is_made_anew_is_waited_for(empty: Journal, database: Path) -> None:
    answers = 0

    def for_a_while(path: str, body: bytes) -> Answer | None:
        nonlocal answers
        answers += path.endswith("/batch")
        return (404, HTML, b"404 page not found") if 1 <= answers <= 6 else None

    with (
        serving(database) as address,
        before(address) as (proxy, through),
        table_client(through) as client,
    ):
        proxy.instead = for_a_while
        measured(empty, through)
        sent = send(empty, client)
        assert (sent.accepted, sent.kept) == (len(TIMINGS), ())


def test_where_nobody_is_phonebook_everything_is_kept(empty: Journal, database: Path) -> None:
    with (
        serving(database) as address,
        before(address) as (proxy, through),
        table_client(through) as client,
    ):
        proxy.instead = lambda path, body: (404, HTML, b"<html>nothing here</html>")
        measured(empty, through)
        with pytest.raises(ServerUnreachable, match=r"not Phonebook's.* 8 results wait"):
            send(empty, client)
        assert len(proxy.posts) == 1
        assert empty.waiting(through) == len(TIMINGS)
