"""Timings posted at once: each is stored or refused by itself, and rows are as single ones'."""

from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, func, select

from contract.problems import NO_SESSION, WRONG_CLOCK
from contract.timings import MOST_IN_BATCH, Timing, TimingBatch
from server.database.records import DeviceRecord, TimingRecord
from tests.server.conftest import Agent
from tests.server.making import SPACE, a_failure, a_session, a_steady_timing, a_timing

pytestmark = pytest.mark.both_databases


def post(agent: Agent, session: UUID, *timings: Timing) -> httpx2.Response:
    body = TimingBatch(timings=timings).model_dump_json()
    return agent.post(f"/sessions/{session}/timings/batch", body)


def refused(answer: httpx2.Response) -> dict[str, dict[str, Any]]:
    """The refusals by the timing's id."""
    assert answer.status_code == 200, answer.text
    return {each["id"]: each["refused"] for each in answer.json()["outcomes"] if each["refused"]}


def stored(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(TimingRecord)) or 0


def test_a_batch_gives_the_rows_that_single_posts_give(agent: Agent, client: TestClient) -> None:
    timings = [
        a_steady_timing(operator, us=50 + number, disturbed=number % 4)
        for number, operator in enumerate(SPACE.operators[:30])
    ]
    timings.append(a_failure(SPACE.head))
    agent.tell(agent.begin(a_session("one")), *timings)
    second = [timing.evolve(id=uuid4()) for timing in timings]
    assert refused(post(agent, agent.begin(a_session("other")), *second)) == {}

    def rows(device: str) -> Any:
        found = client.get(f"/lut/{device}").json()
        entries = [{**row, "session": None} for row in found["entries"]]
        return entries, found["failures"]

    assert rows("one") == rows("other")
    assert len(rows("one")[0]) == 30


def test_what_is_wrong_is_refused_and_keeps_nothing_back(
    agent: Agent, client: TestClient, engine: Engine
) -> None:
    session = agent.begin()
    good, late = a_timing(), a_timing(SPACE.head)
    foreign = a_timing(next(op for op in SPACE.operators if op.block.kind == "mbconv"))
    ahead = a_timing(SPACE.operators[4]).evolve(measured_at=good.measured_at.replace(year=9999))
    agent.tell(session, foreign)
    again = a_timing(foreign.operator, us=7)
    tiny = Timing.model_validate(
        {**a_timing(SPACE.operators[5]).model_dump(), "rounds_us": [[1e-9]]}
    )
    problems = refused(post(agent, session, good, again, ahead, tiny, late))
    assert set(problems) == {str(again.id), str(ahead.id), str(tiny.id)}
    assert "has a timing of" in problems[str(again.id)]["detail"]
    assert problems[str(ahead.id)]["type"] == WRONG_CLOCK
    assert "are no durations in us" in problems[str(tiny.id)]["detail"]
    assert stored(engine) == 3
    assert {row["operator"] for row in client.get("/lut/phone").json()["entries"]} == {
        timing.operator.key for timing in (good, late, foreign)
    }


def test_a_repeated_batch_changes_nothing(
    agent: Agent, client: TestClient, engine: Engine
) -> None:
    session = agent.begin()
    timings = [a_timing(operator) for operator in SPACE.operators[:5]]
    post(agent, session, *timings)
    before = client.get("/lut/phone").headers["etag"]
    assert refused(post(agent, session, *timings)) == {}
    assert refused(post(agent, session, *timings, a_timing(SPACE.operators[6]))) == {}
    assert stored(engine) == 6
    assert client.get("/lut/phone").headers["etag"] != before


def test_another_timing_under_a_used_id_is_refused(agent: Agent) -> None:
    session, first = agent.begin(), a_timing()
    post(agent, session, first)
    other = a_timing(us=5, id=first.id)
    assert (
        "stored with other content"
        in refused(post(agent, session, other))[str(first.id)]["detail"]
    )


def test_a_batch_is_one_change_of_the_device(agent: Agent, engine: Engine) -> None:
    session = agent.begin()

    def revision() -> int:
        with engine.connect() as connection:
            return connection.scalar(select(DeviceRecord.revision)) or 0

    before = revision()
    post(agent, session, *(a_timing(operator) for operator in SPACE.operators[:20]))
    assert revision() == before + 1


def test_an_unknown_session_is_told_by_its_type(agent: Agent) -> None:
    answer = post(agent, uuid4(), a_timing())
    assert (answer.status_code, answer.json()["type"]) == (404, NO_SESSION)


def test_too_many_at_once_are_refused(agent: Agent) -> None:
    session = agent.begin()
    many = ",".join([a_timing().model_dump_json()] * (MOST_IN_BATCH + 1))
    answer = agent.post(f"/sessions/{session}/timings/batch", f'{{"timings": [{many}]}}')
    assert answer.status_code == 422
    assert f"at most {MOST_IN_BATCH} items" in answer.json()["detail"]
