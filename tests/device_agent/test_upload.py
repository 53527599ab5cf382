"""Sending: retried, stored once however often the answer is lost, never thrown away."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid5

import httpx
import pytest

from contract.client import TableClient
from contract.errors import RequestRefused, ServerUnreachable
from contract.estimates import estimate
from contract.spaces import space
from contract.timings import StoredTiming, Timing
from device_agent.journal import Journal
from device_agent.upload import send
from tests.fakes import fake_session

SERVER = "http://server"
SESSION = fake_session()
TIMINGS = [
    Timing(
        id=uuid5(SESSION.id, operator.key),
        operator=operator,
        measured_at=datetime.now(UTC),
        rounds_us=((1.0, 2.0),),
    )
    for operator in space("fbnet-32").operators[:8]
]


class Server:
    """Stores timings by id; every answer of `troubles`, in turn, comes before one that works."""

    def __init__(self, troubles: list[int | str]) -> None:
        self.stored: dict[UUID, Timing] = {}
        self.posts = 0
        self._troubles = troubles

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/sessions":
            return httpx.Response(201, content=request.content)
        assert request.url.path == f"/sessions/{SESSION.id}/timings"
        self.posts += 1
        trouble = self._troubles.pop(0) if self._troubles else "works"
        if isinstance(trouble, int):
            problem = {"type": "about:blank", "title": "No", "status": trouble, "detail": "no"}
            headers = {"retry-after": "0"} if trouble == 429 else {}
            return httpx.Response(trouble, json=problem, headers=headers)
        timing = Timing.model_validate_json(request.content)
        self.stored[timing.id] = timing
        if trouble == "answer lost":
            raise httpx.ReadTimeout("lost", request=request)
        answer = StoredTiming(
            id=timing.id,
            session=SESSION.id,
            operator=timing.operator.key,
            estimate=estimate(timing.rounds_us),
            failure=None,
        )
        return httpx.Response(201, json=json.loads(answer.model_dump_json()))


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal.db") as journal:
        journal.begin(SERVER, SESSION, [timing.operator for timing in TIMINGS])
        journal.close(SESSION, TIMINGS)
        yield journal


def client(server: Server) -> TableClient:
    return TableClient(httpx.Client(base_url=SERVER, transport=httpx.MockTransport(server)))


def test_a_server_that_stumbles_ends_with_each_timing_once(journal: Journal) -> None:
    server = Server([503, "answer lost", "works", 429, 500, "answer lost"])
    sent = send(journal, client(server))
    assert (sent.accepted, sent.refused) == (len(TIMINGS), ())
    assert server.stored == {timing.id: timing for timing in TIMINGS}
    assert server.posts == len(TIMINGS) + 5
    assert journal.unsent(SERVER) == []


def test_what_the_server_will_never_take_is_kept_with_its_reason(journal: Journal) -> None:
    server = Server([422])
    sent = send(journal, client(server))
    assert sent.accepted == len(TIMINGS) - 1
    assert sent.refused == (f"{TIMINGS[0].operator.key}: {SERVER}: no",)
    assert send(journal, client(Server([]))).accepted == 0


def test_a_server_that_stays_away_leaves_the_rest_in_the_outbox(journal: Journal) -> None:
    server = Server(["works", "works", *[503] * 100])
    with pytest.raises(ServerUnreachable, match="no"):
        send(journal, client(server), patience_s=0.5)
    assert [timing for _, timing in journal.unsent(SERVER)] == TIMINGS[2:]
    assert send(journal, client(Server([]))).accepted == len(TIMINGS) - 2


def test_the_outbox_belongs_to_the_server_it_was_made_for(journal: Journal) -> None:
    assert journal.unsent("http://another") == []


def test_a_server_that_is_asked_too_often_gets_everything_in_the_end(journal: Journal) -> None:
    server = Server([429] * 30)
    assert send(journal, client(server)).accepted == len(TIMINGS)


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_does_not_work_loses_nothing(journal: Journal, status: int) -> None:
    server = Server(["works", status])
    with pytest.raises(
        RequestRefused, match=r"set PHONEBOOK_TOKEN.* 7 results wait in the outbox"
    ):
        send(journal, client(server))
    assert send(journal, client(Server([]))).accepted == len(TIMINGS) - 1
