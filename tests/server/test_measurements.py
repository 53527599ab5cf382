"""Sessions and timings: stored once, never changed, never wrong."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Connection, Engine, event, func, select

from contract.blocks import Skip
from contract.devices import Patience
from contract.estimates import estimate
from contract.operators import Operator
from contract.sessions import Session
from contract.spaces import space
from server.database.records import TimingRecord
from tests.server.conftest import Agent
from tests.server.making import (
    NOON,
    SPACE,
    TWO_THREADS,
    a_failure,
    a_session,
    a_steady_timing,
    a_timing,
    unchecked,
)

pytestmark = pytest.mark.both_databases


def stored_timings(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(TimingRecord)) or 0


def test_a_repeated_session_is_answered_with_the_first(agent: Agent) -> None:
    agent.register()
    body = a_session().model_dump_json()
    first, second = agent.post("/sessions", body), agent.post("/sessions", body)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()


def test_what_a_session_was_told_to_wait_for_is_kept(agent: Agent) -> None:
    agent.register()
    told = Patience(others_s=0.0, cooling_s=3600.0, cool_c=33.0, hot_c=41.5)
    usual = a_session()
    session = usual.evolve(conditions=usual.conditions.evolve(patience=told))
    for _ in range(2):
        answer = agent.post("/sessions", session.model_dump_json())
        assert Session.model_validate_json(answer.content) == session


def test_another_session_with_a_used_id_is_a_conflict(agent: Agent) -> None:
    agent.register()
    session = a_session()
    agent.post("/sessions", session.model_dump_json())
    other = session.evolve(runtime=TWO_THREADS)
    answer = agent.post("/sessions", other.model_dump_json())
    assert answer.status_code == 409
    assert str(session.id) in answer.json()["detail"]


def test_a_session_on_an_unknown_device_names_near_ones(agent: Agent) -> None:
    agent.register("pixel-8")
    answer = agent.post("/sessions", a_session("pixel8").model_dump_json())
    assert answer.status_code == 404
    assert answer.json()["near"] == ["pixel-8"]
    assert "did you mean pixel-8?" in answer.json()["detail"]


def test_a_repeated_timing_is_answered_with_the_first_and_stored_once(
    agent: Agent, engine: Engine
) -> None:
    session, timing = agent.begin(), a_timing(us=41.7)
    first = agent.post_timing(session, timing)
    second = agent.post_timing(session, timing)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    assert first.json()["estimate"] == estimate(timing.rounds_us).model_dump()
    assert stored_timings(engine) == 1


def test_a_repeated_failure_is_stored_once(agent: Agent, engine: Engine) -> None:
    session, failure = agent.begin(), a_failure()
    first = agent.post_timing(session, failure)
    second = agent.post_timing(session, failure)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    assert second.json()["failure"]["code"] == "crashed"
    assert stored_timings(engine) == 1


def test_the_same_instant_in_another_time_zone_is_the_same_timing(agent: Agent) -> None:
    session, timing = agent.begin(), a_timing()
    agent.tell(session, timing)
    body = timing.model_dump_json().replace("2026-03-01T12:00:00Z", "2026-03-01T14:00:00+02:00")
    assert agent.post(f"/sessions/{session}/timings", body).status_code == 200


def test_other_content_under_a_used_id_is_a_conflict(agent: Agent) -> None:
    session, timing = agent.begin(), a_timing(us=10)
    agent.tell(session, timing)
    for other in (
        a_timing(us=11, id=timing.id),
        a_timing(us=10, minutes=1, id=timing.id),
        a_timing(SPACE.head, us=10, id=timing.id),
    ):
        answer = agent.post_timing(session, other)
        assert answer.status_code == 409
        assert str(timing.id) in answer.json()["detail"]
    assert agent.post_timing(agent.begin(), timing).status_code == 409


def test_an_operator_has_one_timing_in_a_session(agent: Agent) -> None:
    session = agent.begin()
    agent.tell(session, a_timing())
    answer = agent.post_timing(session, a_timing())
    assert answer.status_code == 409
    assert "in a new session" in answer.json()["detail"]


def test_a_timing_of_an_unknown_session_is_refused(agent: Agent) -> None:
    answer = agent.post_timing(uuid4(), a_timing())
    assert answer.status_code == 404
    assert "no session" in answer.json()["detail"]


def test_an_operator_of_another_space_is_refused(agent: Agent) -> None:
    answer = agent.post_timing(agent.begin(), a_timing(space("fbnet-224").head))
    assert answer.status_code == 422
    assert "is no operator of fbnet-32" in answer.json()["detail"]


def test_a_skip_is_never_measured(agent: Agent) -> None:
    slot = next(slot for slot in SPACE.slots if slot.keeps_shape)
    skip = Operator(block=Skip(), slot=slot).model_dump_json()
    timing = a_timing()
    body = timing.model_dump_json().replace(timing.operator.model_dump_json(), skip)
    answer = agent.post(f"/sessions/{agent.begin()}/timings", body)
    assert answer.status_code == 422
    assert "0 us by definition" in answer.json()["detail"]


@pytest.mark.one_database
@pytest.mark.parametrize(
    ("sample", "reason"),
    [
        ("NaN", "finite"),
        ("Infinity", "finite"),
        ("-1", "greater than 0"),
        ("0", "greater than 0"),
        ('"fast"', "valid number"),
        ("null", "valid number"),
    ],
)
def test_a_sample_that_is_no_duration_is_named(agent: Agent, sample: str, reason: str) -> None:
    body = a_timing(us=77.0).model_dump_json().replace("77.0", sample)
    answer = agent.post(f"/sessions/{agent.begin()}/timings", body)
    assert answer.status_code == 422
    assert "body.rounds_us.0.0: " in answer.json()["detail"]
    assert reason in answer.json()["detail"]


@pytest.mark.one_database
@pytest.mark.parametrize("sample", ["1e308", "1e-9"])
def test_samples_without_an_estimate_are_refused(agent: Agent, sample: str) -> None:
    timing = a_timing()
    body = timing.model_dump_json()
    for number in ("100.0", "101.0", "102.0"):
        body = body.replace(number, sample)
    answer = agent.post(f"/sessions/{agent.begin()}/timings", body)
    assert answer.status_code == 422
    assert "no durations in us" in answer.json()["detail"]


@pytest.mark.one_database
@pytest.mark.parametrize("moment", [datetime(1970, 1, 1, tzinfo=UTC), NOON + timedelta(36500)])
def test_a_clock_that_is_wrong_is_refused(agent: Agent, moment: datetime) -> None:
    timing = a_timing().evolve(measured_at=moment)
    answer = agent.post_timing(agent.begin(), timing)
    assert answer.status_code == 422
    assert "set whichever clock is wrong" in answer.json()["detail"]


def test_the_same_timing_from_many_threads_is_stored_once(agent: Agent, engine: Engine) -> None:
    session, timing = agent.begin(), a_timing()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: agent.post_timing(session, timing), range(24)))
    assert sorted(answer.status_code for answer in answers) == [200] * 23 + [201]
    assert len({answer.text for answer in answers}) == 1
    assert stored_timings(engine) == 1


def test_many_operators_from_many_threads_are_all_stored(
    agent: Agent, client: TestClient, engine: Engine
) -> None:
    session = agent.begin()
    timings = [a_timing(operator) for operator in SPACE.operators[:40]]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda timing: agent.post_timing(session, timing), timings))
    assert {answer.status_code for answer in answers} == {201}
    assert len(client.get("/lut/phone").json()["entries"]) == stored_timings(engine) == 40


def test_a_failed_commit_is_never_answered_with_success(agent: Agent, engine: Engine) -> None:
    session, timing = agent.begin(), a_timing()

    def fail(_connection: Connection) -> None:
        raise OSError("the disk is gone")

    event.listen(engine, "commit", fail)
    answer = agent.post_timing(session, timing)
    event.remove(engine, "commit", fail)
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-request-id"] in answer.json()["detail"]
    assert agent.post_timing(session, timing).status_code == 201


def test_a_row_rests_on_the_calm_samples(agent: Agent, client: TestClient) -> None:
    session, timing = agent.begin(), a_steady_timing(us=40, disturbed=7)
    first = agent.post_timing(session, timing)
    assert first.json()["estimate"] == estimate(timing.rounds_us, timing.drift).model_dump()
    assert agent.post_timing(session, timing).status_code == 200
    (row,) = client.get("/lut/phone").json()["entries"]
    assert (row["latency_us"], row["median_us"]) == (40, 60)
    assert (row["grade"], row["calm"], row["samples"]) == ("B", 15, 50)


def test_the_same_samples_with_other_drift_are_a_conflict(agent: Agent) -> None:
    session, timing = agent.begin(), a_steady_timing(disturbed=1)
    agent.tell(session, timing)
    other = timing.evolve(drift=())
    assert agent.post_timing(session, other).status_code == 409


@pytest.mark.parametrize(
    ("factor", "status"), [("1e308", 201), ("5e-324", 201), ("0", 422), ("-1", 422), ("NaN", 422)]
)
def test_no_drift_factor_trips_the_server(agent: Agent, factor: str, status: int) -> None:
    body = a_steady_timing(disturbed=1).model_dump_json().replace("1.5", factor)
    assert agent.post(f"/sessions/{agent.begin()}/timings", body).status_code == status


def test_drift_of_another_shape_is_refused(agent: Agent) -> None:
    body = unchecked(a_steady_timing(), drift=((1.0,),))
    answer = agent.post(f"/sessions/{agent.begin()}/timings", body)
    assert answer.status_code == 422
    assert "a drift factor for each sample, or none" in answer.json()["detail"]


@pytest.mark.one_database
@pytest.mark.parametrize("field", ["started_at", "ended_at"])
def test_a_session_of_a_wrong_clock_is_refused(agent: Agent, field: str) -> None:
    agent.register()
    session = a_session().evolve(**{field: datetime(9999, 1, 1, tzinfo=UTC)})
    answer = agent.post("/sessions", session.model_dump_json())
    assert answer.status_code == 422
    assert f"{field} " in answer.json()["detail"]


@pytest.mark.parametrize(
    "change",
    [{"effort": "quick"}, {"ended_at": None}, {"conditions_after": None}, {"unit": "R58M:1"}],
)
def test_every_field_of_a_session_counts_for_a_repeat(
    agent: Agent, change: dict[str, object]
) -> None:
    session = a_session()
    agent.begin(session)
    other = session.evolve(**change)
    assert agent.post("/sessions", other.model_dump_json()).status_code == 409
    lasting = other.evolve(id=uuid4())
    assert agent.post("/sessions", lasting.model_dump_json()).json() == lasting.model_dump(
        mode="json"
    )


def test_a_session_is_read_back_with_the_figures_of_its_samples(
    agent: Agent, client: TestClient
) -> None:
    session = a_session()
    agent.begin(session)
    timing, failure = a_steady_timing(disturbed=5), a_failure(SPACE.operators[1])
    told = [agent.post_timing(session.id, each).json() for each in (failure, timing)]
    agent.tell(agent.begin(), a_timing(us=7, minutes=9))
    assert client.get(f"/sessions/{session.id}").json() == {
        "session": session.model_dump(mode="json"),
        "timings": told[::-1],
    }


def test_a_session_tells_which_phone_it_was(agent: Agent, client: TestClient) -> None:
    session = a_session().evolve(unit="R58M:1")
    agent.begin(session)
    assert client.get(f"/sessions/{session.id}").json()["session"]["unit"] == "R58M:1"
    assert "unit" not in client.get(f"/sessions/{agent.begin()}").json()["session"]


def test_sessions_of_a_device_are_listed_newest_first(agent: Agent, client: TestClient) -> None:
    begun = [agent.begin(a_session(minutes=minutes)) for minutes in (2, 3, 1)]
    agent.begin(a_session("phone-b"))
    listed = [session["id"] for session in client.get("/sessions?device=phone").json()]
    assert listed == [str(begun[1]), str(begun[0]), str(begun[2])]


def test_a_listing_of_sessions_ends_at_a_hundred(agent: Agent, client: TestClient) -> None:
    for minutes in range(101):
        agent.begin(a_session(minutes=minutes))
    listed = client.get("/sessions?device=phone").json()
    assert len(listed) == 100
    assert listed[-1]["started_at"] == "2026-03-01T12:01:00Z"


@pytest.mark.parametrize(
    ("path", "status", "expected"),
    [
        ("/sessions?device=fone", 404, "did you mean phone?"),
        ("/sessions", 422, "query.device: "),
        (f"/sessions/{UUID(int=7)}", 404, "no session"),
        ("/sessions/first", 422, "path.session_id: "),
    ],
)
def test_a_session_that_cannot_be_read_is_explained(
    agent: Agent, client: TestClient, path: str, status: int, expected: str
) -> None:
    agent.begin()
    answer = client.get(path)
    assert answer.status_code == status
    assert expected in answer.json()["detail"]
