"""What was measured is kept as it was measured, and rows can be made of it again."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, update
from sqlalchemy.orm import Session as DbSession

from contract.derivation import Derived, derive
from contract.operators import Operator
from contract.timings import Timing
from contract.visits import Layout, Series, SessionVisits, Visit, VisitBatch
from server.database.engine import writing
from server.database.records import TimingRecord
from server.roles import Caller
from server.store.reestimates import estimate_again, sessions_to_estimate
from tests.server.conftest import Agent
from tests.server.making import NOON, SPACE, a_session, a_timing

OPERATORS = SPACE.operators[:3]
LAYOUT = Layout(
    program="net",
    operators=tuple(operator.key for operator in OPERATORS),
    events=("conv", "dwconv", "fc"),
    owners=(0, 1, 2),
)
KEEPER = Caller(None, "admin")


def a_visit(number: int) -> Visit:
    """Traced and whole, a little slower in each round."""
    runs = range(4)
    probes = (1000,) * 5
    return Visit(
        program="net",
        round=number,
        made_at=NOON + timedelta(minutes=number),
        series=(
            Series(
                samples_ns=tuple(90_000 + 100 * run for run in runs),
                probes_ns=probes,
                memory_probes_ns=(5_000_000, 5_100_000 + number),
                load_ns=2_500_000 + number,
                first_run_ns=130_000,
                peak_bytes=3 << 20,
                events_ns=tuple(
                    tuple(1000 * (20 * (place + 1)) + number for _ in runs) for place in range(3)
                ),
            ),
            Series(
                samples_ns=tuple(125_000 + 100 * run + number for run in runs), probes_ns=probes
            ),
        ),
    )


BATCH = VisitBatch(layouts=(LAYOUT,), visits=tuple(map(a_visit, range(4))))


def derived_of(batch: VisitBatch) -> Derived:
    derived = derive(batch.layouts, batch.visits)
    assert derived is not None
    return derived


def timing_of(operator: Operator, session: UUID, derived: Derived) -> Timing:
    rounds = derived.operators[operator.key]
    return Timing(
        id=uuid5(session, operator.key),
        operator=operator,
        measured_at=rounds.at,
        rounds_us=tuple(map(tuple, rounds.us)),
        drift=tuple(map(tuple, rounds.drift)),
    )


@pytest.fixture
def measured(agent: Agent) -> UUID:
    """A session as an agent posts it: with its visits and the timings derived of them."""
    derived = derived_of(BATCH)
    session = agent.begin(a_session().evolve(derivation=derived.derivation))
    agent.post(f"/sessions/{session}/visits", BATCH.model_dump_json()).raise_for_status()
    agent.tell(session, *(timing_of(operator, session, derived) for operator in OPERATORS))
    return session


def test_visits_come_back_as_they_were_measured(client: TestClient, measured: UUID) -> None:
    found = SessionVisits.model_validate(client.get(f"/sessions/{measured}/visits").json())
    assert (found.layouts, found.visits) == (BATCH.layouts, BATCH.visits)
    series = client.get(f"/sessions/{measured}/visits").json()["visits"][0]["series"]
    assert [set(each) & {"load_ns", "first_run_ns", "peak_bytes"} for each in series] == [
        {"load_ns", "first_run_ns", "peak_bytes"},
        set(),
    ]
    told = client.get(f"/sessions/{measured}").json()["session"]["derivation"]
    assert told == derived_of(BATCH).derivation.model_dump(mode="json")
    assert told["scale"] > 1


def test_a_session_that_was_derived_anew_is_still_the_one_that_its_agent_posts_again(
    agent: Agent, client: TestClient
) -> None:
    session = a_session()
    agent.begin(session)
    later = session.evolve(derivation=derived_of(BATCH).derivation)
    answer = agent.post("/sessions", later.model_dump_json())
    assert (answer.status_code, answer.json()) == (200, session.model_dump(mode="json"))


def test_the_same_visits_are_stored_once(agent: Agent, measured: UUID) -> None:
    again = agent.post(f"/sessions/{measured}/visits", BATCH.model_dump_json())
    assert (again.status_code, again.json()) == (200, {"stored": 0})
    more = BATCH.evolve(visits=(*BATCH.visits[2:], a_visit(4)))
    answer = agent.post(f"/sessions/{measured}/visits", more.model_dump_json())
    assert (answer.status_code, answer.json()) == (201, {"stored": 1})


def test_other_visits_under_the_same_round_are_refused_whole(
    agent: Agent, client: TestClient, measured: UUID
) -> None:
    other = a_visit(3).evolve(made_at=NOON)
    batch = BATCH.evolve(visits=(a_visit(9), other))
    answer = agent.post(f"/sessions/{measured}/visits", batch.model_dump_json())
    assert (answer.status_code, "in round 3" in answer.json()["detail"]) == (409, True)
    layout = LAYOUT.evolve(events=("a", "b", "c"))
    answer = agent.post(
        f"/sessions/{measured}/visits", BATCH.evolve(layouts=(layout,)).model_dump_json()
    )
    assert (answer.status_code, "another layout of net" in answer.json()["detail"]) == (409, True)
    assert len(client.get(f"/sessions/{measured}/visits").json()["visits"]) == 4


def test_visits_of_an_unknown_session_or_a_wrong_clock_are_refused(agent: Agent) -> None:
    answer = agent.post(f"/sessions/{uuid5(UUID(int=0), 'x')}/visits", BATCH.model_dump_json())
    assert answer.status_code == 404
    ahead = BATCH.evolve(visits=(a_visit(0).evolve(made_at=datetime(9999, 1, 1, tzinfo=UTC)),))
    answer = agent.post(f"/sessions/{agent.begin()}/visits", ahead.model_dump_json())
    assert (answer.status_code, "made_at" in answer.json()["detail"]) == (422, True)


def test_estimating_again_what_is_up_to_date_changes_nothing(
    engine: Engine, client: TestClient, measured: UUID
) -> None:
    before = client.get("/lut/phone").json()
    with writing(engine).begin() as session:
        assert sessions_to_estimate(session, "phone") == [measured]
        again = estimate_again(session, measured, KEEPER, NOON)
    assert (again.from_visits, again.timings, again.changed) == (True, 3, 0)
    assert client.get("/lut/phone").json() == before


def test_rows_are_made_again_of_the_visits_and_old_ones_stay_under_their_snapshot(
    engine: Engine, client: TestClient, measured: UUID
) -> None:
    """As if the estimator of then had given half of the latency."""
    good = client.get("/lut/phone").json()
    with writing(engine).begin() as session:
        _halve(session, measured)
    with writing(engine).begin() as session:
        again = estimate_again(session, measured, KEEPER, NOON)
    assert again.changed == 3
    after = client.get("/lut/phone").json()
    figures = [(row["operator"], row["latency_us"], row["grade"]) for row in after["entries"]]
    assert figures == [
        (row["operator"], row["latency_us"], row["grade"]) for row in good["entries"]
    ]
    then = client.get(f"/lut/phone?snapshot={good['snapshot']}").json()
    assert then["entries"] == good["entries"]
    (deed,) = [
        deed
        for deed in client.get(f"/deeds?subject={measured}").json()
        if deed["what"] == "estimated the session again"
    ]
    assert deed["who"] is None


def test_a_session_estimated_again_knows_what_its_agent_sends_again(
    engine: Engine, agent: Agent, measured: UUID
) -> None:
    """As if the agent's estimator had made other samples of the visits than this server's does."""
    session = a_session().evolve(id=uuid5(measured, "older"))
    agent.begin(session)
    agent.post(f"/sessions/{session.id}/visits", BATCH.model_dump_json()).raise_for_status()
    derived = derived_of(BATCH)
    for rounds in derived.operators.values():
        rounds.multiply(1.25)
    posted = [timing_of(operator, session.id, derived) for operator in OPERATORS]
    agent.tell(session.id, *posted)
    with writing(engine).begin() as open_session:
        again = estimate_again(open_session, session.id, KEEPER, NOON)
    assert again.changed == 3
    for timing in posted:
        answer = agent.post(f"/sessions/{session.id}/timings", timing.model_dump_json())
        assert answer.status_code == 200
    other = posted[0].evolve(rounds_us=((1.0, 2.0, 3.0),), drift=())
    answer = agent.post(f"/sessions/{session.id}/timings", other.model_dump_json())
    assert answer.status_code == 409


@pytest.mark.slow
def test_a_session_whose_visits_are_half_sent_keeps_its_figures(
    engine: Engine, agent: Agent, client: TestClient
) -> None:
    session = agent.begin()
    agent.tell(session, *(timing_of(each, session, derived_of(BATCH)) for each in OPERATORS))
    first_half = BATCH.evolve(visits=BATCH.visits[:2])
    agent.post(f"/sessions/{session}/visits", first_half.model_dump_json()).raise_for_status()
    before = client.get("/lut/phone").json()
    with writing(engine).begin() as open_session:
        again = estimate_again(open_session, session, KEEPER, NOON)
    assert (again.is_waiting, again.changed, again.kept) == (True, 0, 3)
    assert client.get("/lut/phone").json() == before
    url = engine.url.render_as_string(hide_password=False)
    done = subprocess.run(
        [sys.executable, "-m", "server.estimates", "--database-url", url, "--again"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "1 of the sessions are left as they are" in done.stdout


def test_a_session_without_visits_is_estimated_from_its_samples(
    engine: Engine, agent: Agent, client: TestClient
) -> None:
    session_id = agent.begin()
    agent.tell(session_id, a_timing(us=100))
    with writing(engine).begin() as session:
        _halve(session, session_id, samples=False)
    with writing(engine).begin() as session:
        again = estimate_again(session, session_id, KEEPER, NOON)
    assert (again.from_visits, again.changed) == (False, 1)
    (timing,) = client.get(f"/sessions/{session_id}").json()["timings"]
    assert timing["estimate"]["latency_us"] == pytest.approx(100, rel=0.1)


@pytest.mark.slow
def test_the_command_says_what_it_did(engine: Engine, agent: Agent, measured: UUID) -> None:
    agent.tell(agent.begin(), a_timing(SPACE.head))
    url = engine.url.render_as_string(hide_password=False)
    command = [sys.executable, "-m", "server.estimates", "--database-url", url]
    asked = subprocess.run(command, capture_output=True, text=True, check=True)
    assert asked.stdout.startswith("2 sessions; --again estimates them by probe-1")
    done = subprocess.run([*command, "--again"], capture_output=True, text=True, check=True)
    assert "estimated 4 timings of 2 sessions again: 0 changed" in done.stdout
    assert "1 of the sessions have no visits" in done.stdout
    wrong = subprocess.run(
        [*command, "--device", "fone"], capture_output=True, text=True, check=False
    )
    assert "no device 'fone'; did you mean phone?" in wrong.stderr


def _halve(session: DbSession, session_id: UUID, *, samples: bool = True) -> None:
    for timing in session.query(TimingRecord).filter_by(session=session_id):
        figures = {
            name: value / 2 if name.endswith("_us") else value
            for name, value in (timing.figures or {}).items()
        }
        values: dict[str, object] = {"figures": figures}
        if samples:
            values["rounds_us"] = [[us / 2 for us in each] for each in timing.rounds_us or ()]
        session.execute(update(TimingRecord).where(TimingRecord.id == timing.id).values(values))
