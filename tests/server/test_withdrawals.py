"""A session withdrawn: rows, history and snapshots become what they were without it, and back."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, update

from contract.problems import WRONG_CLOCK
from contract.timings import Timing
from server.database.records import TimingRecord
from tests.server.conftest import Agent, local_client
from tests.server.fleet import Clock
from tests.server.making import NOON, SPACE, a_failure, a_session, a_timing

STEM, HEAD = SPACE.stem, SPACE.head


def withdraw(client: TestClient, session: UUID, reason: str = "the fan was off") -> dict[str, Any]:
    return turned(client, session, "withdraw", reason)


def bring_back(client: TestClient, session: UUID) -> dict[str, Any]:
    return turned(client, session, "bring-back", "it was on after all")


def turned(client: TestClient, session: UUID, how: str, reason: str) -> dict[str, Any]:
    answer = client.post(f"/sessions/{session}/{how}", json={"reason": reason})
    assert answer.status_code == 200, answer.text
    report: dict[str, Any] = answer.json()
    return report


def table(client: TestClient, **query: str) -> dict[str, Any]:
    answer = client.get("/lut/phone", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def latencies(found: dict[str, Any]) -> dict[str, float]:
    return {row["operator"]: row["latency_us"] for row in found["entries"]}


def told(agent: Agent, *timings: Timing, minutes: int = 0) -> UUID:
    session = agent.begin(a_session(minutes=minutes))
    agent.tell(session, *timings)
    return session


def test_the_rows_before_it_are_served_again(client: TestClient, agent: Agent) -> None:
    told(agent, a_timing(us=100), a_timing(HEAD, us=300))
    before = table(client)
    wrong = told(agent, a_timing(us=1, minutes=60), minutes=60)
    with_it = table(client)
    assert latencies(with_it)[STEM.key] == pytest.approx(1, rel=0.02)

    assert withdraw(client, wrong)["withdrawn_at"]
    assert table(client)["entries"] == before["entries"]
    assert table(client)["snapshot"] == before["snapshot"]
    assert "withdrawn_at" not in bring_back(client, wrong)
    assert table(client)["entries"] == with_it["entries"]
    assert table(client)["snapshot"] == with_it["snapshot"]


def test_an_operator_that_nothing_else_measured_has_no_row_until_it_is_back(
    client: TestClient, agent: Agent
) -> None:
    only = told(agent, a_timing(us=100))
    served = table(client)
    withdraw(client, only)
    assert table(client)["entries"] == []
    again = table(client, snapshot=served["snapshot"])
    assert again["entries"] == served["entries"], "what was served then is served again"
    bring_back(client, only)
    assert table(client)["entries"] == served["entries"]


def test_a_timing_that_came_late_and_was_never_a_row_takes_its_place(
    client: TestClient, agent: Agent
) -> None:
    told(agent, a_timing(us=100, minutes=0))
    wrong = told(agent, a_timing(us=3, minutes=30))
    told(agent, a_timing(us=200, minutes=20))
    assert latencies(table(client)) == {STEM.key: pytest.approx(100, rel=0.02)}
    withdraw(client, wrong)
    assert latencies(table(client)) == {STEM.key: pytest.approx(200, rel=0.02)}


def test_a_later_failure_is_told_again_and_a_withdrawn_one_is_not(
    client: TestClient, agent: Agent
) -> None:
    failed = told(agent, a_failure(minutes=10))
    good = told(agent, a_timing(us=100, minutes=5))
    assert latencies(table(client)) == {STEM.key: 100}
    withdraw(client, good)
    assert [each["operator"] for each in table(client)["failures"]] == [STEM.key]
    withdraw(client, failed)
    assert table(client)["failures"] == []


def test_what_is_posted_to_a_withdrawn_session_is_stored_and_counts_when_it_is_back(
    client: TestClient, agent: Agent
) -> None:
    session = told(agent, a_timing(us=100))
    withdraw(client, session)
    agent.tell(session, a_timing(HEAD, us=300))
    assert table(client)["entries"] == []
    bring_back(client, session)
    assert latencies(table(client)) == {STEM.key: 100, HEAD.key: 300}


def test_history_and_the_operators_page_leave_it_out(client: TestClient, agent: Agent) -> None:
    for number in range(4):
        told(agent, a_timing(us=100 + number, minutes=number), minutes=number)
    wrong = told(agent, a_timing(us=777, minutes=60), minutes=60)
    page = f"/devices/phone/operators/{STEM.key}"
    rows = {"table": table_key(client), "chart": "calm"}

    def sessions() -> int:
        return len(client.get("/history", params=rows).json()["rows"])

    assert sessions() == 5
    assert str(wrong) in client.get(page).text
    withdraw(client, wrong)
    assert sessions() == 4
    assert str(wrong) not in client.get(page).text
    bring_back(client, wrong)
    assert sessions() == 5


def table_key(client: TestClient) -> str:
    (device,) = client.get("/devices").json()
    return f"phone@{device['runtimes'][0]['key']}"


def test_who_did_it_and_why_is_kept(client: TestClient, agent: Agent) -> None:
    session = told(agent, a_timing())
    withdraw(client, session, "a case was on the phone")
    withdraw(client, session, "again")
    bring_back(client, session)
    deeds = client.get("/deeds", params={"subject": str(session)}).json()
    assert [(each["what"], each["detail"]) for each in deeds] == [
        ("brought back the session", "it was on after all"),
        ("withdrew the session", "a case was on the phone"),
        ("posted the session", None),
    ]


def test_what_a_version_stored_that_kept_no_figures_is_a_row_again(
    client: TestClient, agent: Agent, engine: Engine
) -> None:
    told(agent, a_timing(us=100))
    before = table(client)
    with engine.begin() as connection:
        connection.execute(update(TimingRecord).values(figures=None))
    withdraw(client, told(agent, a_timing(us=1, minutes=60)))
    assert table(client)["entries"] == before["entries"]


def test_an_unknown_session_and_a_missing_reason_are_refused(
    client: TestClient, agent: Agent
) -> None:
    session = told(agent, a_timing())
    assert client.post(f"/sessions/{uuid4()}/withdraw", json={"reason": "x"}).status_code == 404
    assert client.post(f"/sessions/{session}/withdraw", json={"reason": ""}).status_code == 422


@pytest.mark.parametrize(("minutes", "status"), [(4, 201), (6, 422)])
def test_a_clock_may_be_ahead_by_minutes_at_most(
    engine: Engine, clock: Clock, minutes: int, status: int
) -> None:
    clock.now = NOON
    with local_client(engine, clock=clock) as client:
        agent = Agent(client)
        session = a_session().evolve(ended_at=None, conditions_after=None)
        agent.begin(session)
        answer = agent.post_timing(session.id, a_timing(minutes=minutes))
    assert answer.status_code == status
    if status == 422:
        assert answer.json()["type"] == WRONG_CLOCK
        assert NOON.isoformat() in answer.json()["detail"], "both times are told"
