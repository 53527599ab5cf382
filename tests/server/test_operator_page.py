"""An operator's page, the history and the map: samples, steps and what changed with them."""

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from contract.operators import Operator
from contract.runtime import Runtime
from contract.timings import Timing
from server.database.engine import reading, writing
from server.store.retention import drop_samples, old_samples
from tests.server.conftest import Agent
from tests.server.making import (
    NOON,
    RUNTIME,
    SPACE,
    STEM,
    a_failure,
    a_session,
    a_steady_timing,
    a_timing,
)

PAGE = f"/devices/phone/operators/{STEM.key}"
DAY = 24 * 60


def text(client: TestClient, path: str, status: int = 200) -> str:
    """What a person reads, blanks and line breaks made alike."""
    answer = client.get(path)
    assert answer.status_code == status
    return " ".join(re.sub(r"<[^>]+>", " ", answer.text).split())


def rows(client: TestClient, path: str, chart: str) -> list[dict[str, object]]:
    """The rows of one of a page's charts."""
    answer = client.get(f"{path}{'&' if '?' in path else '?'}chart={chart}")
    found: list[dict[str, object]] = answer.json()["rows"]
    return found


def measured_daily(
    agent: Agent,
    *latencies_us: float,
    operator: Operator = STEM,
    runtime: Runtime = RUNTIME,
    first_day: int = 0,
    agent_version: str = "0.1.0",
) -> list[UUID]:
    """A session a day, with one row each."""
    sessions = []
    for day, us in enumerate(latencies_us, start=first_day):
        session = a_session(runtime=runtime, minutes=day * DAY).evolve(agent_version=agent_version)
        sessions.append(agent.begin(session))
        agent.tell(session.id, a_steady_timing(operator, us=us, minutes=day * DAY))
    return sessions


def a_runtime(**other: str) -> Runtime:
    """The usual one but for these fields."""
    return Runtime.model_validate({**RUNTIME.model_dump(), **other})


def test_the_page_shows_the_row_that_the_api_has(agent: Agent, client: TestClient) -> None:
    measured_daily(agent, 40)
    row = client.get("/lut/phone?space=fbnet-32").json()["entries"][0]
    seen = text(client, PAGE)
    assert row["latency_us"] == 40
    assert "latency 40.0 µs ± 2.4 %" in seen  # of which other sessions would differ
    assert "samples 50 50 calm, 5 rounds" in seen
    assert "--protocol isolated --runner python --again" in seen
    assert f"{STEM.macs():,} MACs" in seen


def test_every_sample_is_shown_with_its_drift(agent: Agent, client: TestClient) -> None:
    session = agent.begin()
    agent.tell(session, a_steady_timing(us=40, disturbed=3))
    samples = rows(client, PAGE, "samples")
    assert len(samples) == 50
    assert {(row["sample_us"], row["drift"], row["state"]) for row in samples} == {
        (40, 1.0, "calm"),
        (60, 1.5, "disturbed"),
    }
    assert [row["sample_us"] for row in rows(client, PAGE, "order")[:10]] == [40] * 7 + [60] * 3
    assert len(rows(client, PAGE, "drift")) == 50


def test_samples_without_a_probe_say_so(agent: Agent, client: TestClient) -> None:
    agent.tell(agent.begin(), a_timing())
    assert {row["state"] for row in rows(client, PAGE, "samples")} == {"no probe"}
    assert "Drift within the session" not in text(client, PAGE)


def test_one_session_of_several_is_chosen_in_the_url(agent: Agent, client: TestClient) -> None:
    first, second = measured_daily(agent, 40, 41)
    assert rows(client, PAGE, "order")[0]["sample_us"] == 41
    assert rows(client, f"{PAGE}?sitting={first}", "order")[0]["sample_us"] == 40
    assert f"sitting={second}" in client.get(PAGE).text


def test_dropped_samples_leave_the_figures_and_a_word(
    agent: Agent, client: TestClient, engine: Engine
) -> None:
    measured_daily(agent, 40, 41)
    for batch in old_samples(reading(engine), NOON + timedelta(days=30)):
        with writing(engine).begin() as session:
            drop_samples(session, batch, datetime.now(UTC))
    seen = text(client, PAGE)
    assert "latency 40.7 µs" in seen
    assert "by python -m server.retention ; the figures that they gave stay" in seen
    assert "Raw samples by session" not in seen
    assert [row["latency_us"] for row in rows(client, PAGE, "history")] == [40, 41]


def test_a_step_tells_what_changed(agent: Agent, client: TestClient) -> None:
    measured_daily(agent, 40, 40.1, 40)
    measured_daily(agent, 60, 60.1, 60, first_day=3, agent_version="0.2.0")
    assert "agent 0.1.0 → 0.2.0" in text(client, PAGE)
    (step,) = rows(client, "/history", "steps")
    assert (step["operator"], step["rows_before"], step["rows_after"]) == (STEM.key, 3, 3)
    assert step["change"] == step["ratio"] - 1  # type: ignore[operator]  # both are numbers
    assert step["changes"] == "agent 0.1.0 → 0.2.0"
    assert STEM.key in text(client, "/").partition("Newest regressions")[2]


def test_a_newer_executorch_goes_on_with_the_same_history(
    agent: Agent, client: TestClient
) -> None:
    measured_daily(agent, 40, 40, 40)
    newer = a_runtime(executorch="1.6.0")
    measured_daily(agent, 30, 30, 30, runtime=newer, first_day=3)
    (step,) = rows(client, "/history?change=faster", "steps")
    assert step["changes"] == "ExecuTorch 1.5.1 → 1.6.0"
    assert len(rows(client, f"{PAGE}?runtime={newer.key}", "history")) == 6
    assert rows(client, "/history?change=slower", "steps") == []


def test_runtimes_are_not_mixed_in_a_history(agent: Agent, client: TestClient) -> None:
    measured_daily(agent, 40, 40, 40)
    int8 = a_runtime(dtype="int8")
    measured_daily(agent, 20, 20, 20, runtime=int8, first_day=3)
    assert rows(client, "/history?change=both", "steps") == []


def test_a_history_is_up_to_date_after_each_row(agent: Agent, client: TestClient) -> None:
    measured_daily(agent, 40, 40, 60)
    assert rows(client, "/history", "steps") == []
    measured_daily(agent, 60, first_day=3)
    assert len(rows(client, "/history", "steps")) == 1


def test_the_history_tells_how_calm_each_session_was(agent: Agent, client: TestClient) -> None:
    session = a_session().evolve(unit="S7")
    agent.tell(agent.begin(session), a_steady_timing(disturbed=3))
    (sitting,) = rows(client, "/history", "calm")
    assert (sitting["unit"], sitting["calm"], sitting["rows"]) == ("phone S7", 0.7, 1)
    assert (sitting["temperature_before_c"], sitting["temperature_after_c"]) == (None, 41)


def test_a_session_without_a_probe_is_not_called_calm(agent: Agent, client: TestClient) -> None:
    agent.tell(agent.begin(), a_timing())
    (sitting,) = rows(client, "/history", "calm")
    assert sitting["calm"] is None


def test_the_same_operator_elsewhere_says_what_was_emulated(
    agent: Agent, client: TestClient
) -> None:
    measured_daily(agent, 40)
    imitation = a_session("imitation", origin="emulated")
    agent.tell(agent.begin(imitation), a_steady_timing(us=400))
    assert [row["origin"] for row in rows(client, PAGE, "elsewhere")] == ["measured", "emulated"]
    seen = text(client, f"/devices/imitation/operators/{STEM.key}?origin=emulated")
    assert "These figures are emulated" in seen
    assert "imitation emulated" in text(client, "/devices/imitation")
    assert "emulated" in text(client, "/")


def test_a_failed_operator_shows_its_failure(agent: Agent, client: TestClient) -> None:
    agent.tell(agent.begin(), a_failure())
    assert "crashed: killed by signal &lt;11&gt;" in text(client, PAGE)


def test_an_operator_without_a_row_teaches_the_command(agent: Agent, client: TestClient) -> None:
    agent.begin()
    assert "python -m device_agent.run --device phone --space" in text(client, PAGE)


def test_a_wrong_operator_or_session_is_refused(agent: Agent, client: TestClient) -> None:
    measured_daily(agent, 40)
    assert "did you mean" in text(client, f"{PAGE}x", 404)
    assert "a device&#39;s page lists all" in text(client, "/devices/phone/operators/zzz", 404)
    assert "no recent session" in text(client, f"{PAGE}?sitting={uuid4()}", 404)
    assert "sitting: " in text(client, f"{PAGE}?sitting=yesterday", 422)
    assert "no table" in text(client, "/history?table=phone", 404)
    assert "change: " in text(client, "/history?change=sideways", 422)


def test_rows_of_no_chart_are_refused_to_a_program_by_a_document(
    agent: Agent, client: TestClient
) -> None:
    measured_daily(agent, 40)
    answer = client.get(PAGE, params={"chart": "orders", "format": "json"})
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert "did you mean order" in answer.json()["detail"]


def test_downloads_of_a_chart_have_the_same_rows(agent: Agent, client: TestClient) -> None:
    measured_daily(agent, 40, 41)
    answer = client.get(PAGE, params={"chart": "history", "format": "csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    as_csv = list(csv.DictReader(io.StringIO(answer.text)))
    as_json = rows(client, PAGE, "history")
    assert [float(row["latency_us"]) for row in as_csv] == [row["latency_us"] for row in as_json]
    assert [row["measured_at"] for row in as_csv] == [row["measured_at"] for row in as_json]


def a_candidate(us: float) -> Timing:
    return a_steady_timing(SPACE.choices[0].candidates[0], us=us)


def test_the_map_has_modes(agent: Agent, client: TestClient) -> None:
    operator = SPACE.choices[0].candidates[0]
    agent.tell(agent.begin(), a_steady_timing(operator, us=50, disturbed=2))

    def value(mode: str, column: str) -> object:
        found = rows(client, f"/devices/phone?mode={mode}", "map")
        return next(row[column] for row in found if row["operator"] == operator.key)

    assert value("latency", "latency_us") == 50
    assert value("p90", "p90_us") == 75
    assert value("noise", "noise") == pytest.approx(0.0235, abs=1e-4)
    assert value("ns_per_mmac", "ns_per_mmac") == 50_000 / (operator.macs() / 1e6)
    age = value("age", "age_days")
    assert isinstance(age, float)
    assert age > 1
    assert "mode: " in text(client, "/devices/phone?mode=loud", 422)


def test_the_map_compares_with_another_table_and_with_the_past(
    agent: Agent, client: TestClient
) -> None:
    operator = SPACE.choices[0].candidates[0]
    agent.tell(agent.begin(), a_candidate(50))
    before = client.get("/lut/phone?space=fbnet-32").json()["snapshot"]
    agent.tell(agent.begin(a_session("tablet")), a_candidate(100))
    agent.tell(agent.begin(a_session(minutes=DAY)), a_steady_timing(operator, us=75, minutes=DAY))
    for against, ratio in ((f"tablet@{RUNTIME.key}", 0.75), (f"phone@{before}", 1.5)):
        found = rows(client, f"/devices/phone?against={against}", "map")
        (there,) = {row["ratio"] for row in found if row["operator"] == operator.key}
        assert there == pytest.approx(ratio, rel=0.01)
        assert (
            f'value="{against}" selected' in client.get(f"/devices/phone?against={against}").text
        )
    assert "DEVICE@sha256:..." in text(client, "/devices/phone?against=tablet", 422)
    assert "did you mean tablet" in text(client, "/devices/phone?against=tablett@x", 404)


def test_stages_add_up_to_the_space(agent: Agent, client: TestClient) -> None:
    session = agent.begin()
    agent.tell(session, a_steady_timing(STEM), a_candidate(50), a_failure(SPACE.head))
    found = rows(client, "/devices/phone", "stages")
    by_state: dict[object, int] = {}
    for row in found:
        count = row["operators"]
        assert isinstance(count, int)
        by_state[row["state"]] = by_state.get(row["state"], 0) + count
    missing = len(SPACE.operators) - 3
    assert by_state == {"measured": 2, "failed": 1, "missing": missing}
