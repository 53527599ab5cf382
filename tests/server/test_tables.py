"""Tables: the current row of each operator, one runtime and one origin at a time."""

import csv
import hashlib
import io
import json
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, delete, event

from contract.estimates import estimate
from contract.spaces import space
from contract.tables import LatencyTable
from server.database.records import TimingRecord
from tests.server.conftest import Agent, local_client
from tests.server.making import (
    RUNTIME,
    SPACE,
    STEM,
    TWO_THREADS,
    a_failure,
    a_session,
    a_timing,
)

pytestmark = pytest.mark.both_databases


def table(client: TestClient, query: str = "", device: str = "phone") -> dict[str, Any]:
    answer = client.get(f"/lut/{device}{query}")
    assert answer.status_code == 200, answer.text
    content = answer.json()
    LatencyTable.model_validate_json(answer.text)
    assert isinstance(content, dict)
    return content


def test_a_row_holds_the_figures_of_its_timing(agent: Agent, client: TestClient) -> None:
    session, timing = agent.begin(), a_timing(us=41.25)
    agent.tell(session, timing)
    found = table(client)
    own = estimate(timing.rounds_us).model_dump()
    (row,) = found["entries"]
    assert row == {
        **own,
        "low_us": row["low_us"],
        "high_us": row["high_us"],
        "operator": STEM.key,
        "measured_at": "2026-03-01T12:00:00Z",
        "origin": "measured",
        "session": str(session),
    }
    assert row["low_us"] < own["low_us"], "sessions differ by more than one knows"
    assert own["high_us"] < row["high_us"]
    assert found["schema"] == 1
    assert found["runtime"] == RUNTIME.model_dump()
    assert (found["space"], found["complete"], found["missing"]) == (None, None, None)


def test_of_two_sessions_that_disagree_the_later_counts(agent: Agent, client: TestClient) -> None:
    agent.tell(agent.begin(), a_timing(us=10, minutes=1))
    agent.tell(agent.begin(), a_timing(us=20, minutes=2))
    (row,) = table(client)["entries"]
    assert (row["min_us"], row["newest"]["latency_us"], row["sessions"]) == (20, 20, 2)


def test_an_older_session_that_comes_late_is_no_newer_for_that(
    agent: Agent, client: TestClient
) -> None:
    agent.tell(agent.begin(), a_timing(us=20, minutes=2))
    agent.tell(agent.begin(), a_timing(us=10, minutes=1))
    (row,) = table(client)["entries"]
    assert (row["min_us"], row["newest"]["latency_us"], row["sessions"]) == (20, 20, 2)


def test_a_failure_is_listed_until_the_operator_has_a_row(
    agent: Agent, client: TestClient
) -> None:
    agent.tell(agent.begin(), a_failure(minutes=1))
    found = table(client, "?space=fbnet-32")
    assert [(failed["operator"], failed["failure"]) for failed in found["failures"]] == [
        (STEM.key, {"code": "crashed", "message": "killed by signal <11>"})
    ]
    assert STEM.key in found["missing"]

    agent.tell(agent.begin(), a_timing(minutes=2))
    found = table(client)
    assert found["failures"] == []
    assert len(found["entries"]) == 1


def test_a_failure_after_success_leaves_the_row(agent: Agent, client: TestClient) -> None:
    agent.tell(agent.begin(), a_timing(us=10, minutes=1))
    agent.tell(agent.begin(), a_failure(minutes=2))
    found = table(client)
    assert [row["min_us"] for row in found["entries"]] == [10]
    assert found["failures"] == []


def test_the_newest_failure_is_the_one_listed(agent: Agent, client: TestClient) -> None:
    agent.tell(agent.begin(), a_failure(minutes=5))
    agent.tell(agent.begin(), a_failure(minutes=3))
    (failed,) = table(client)["failures"]
    assert failed["measured_at"] == "2026-03-01T12:05:00Z"


def test_runtimes_are_never_mixed(agent: Agent, client: TestClient) -> None:
    agent.tell(agent.begin(), a_timing(us=10))
    agent.tell(agent.begin(a_session(runtime=TWO_THREADS)), a_timing(us=5, minutes=1))
    assert [row["min_us"] for row in table(client)["entries"]] == [10]
    other = table(client, f"?runtime={TWO_THREADS.key}")
    assert [row["min_us"] for row in other["entries"]] == [5]
    assert other["runtime"]["threads"] == 2


def test_origins_are_never_mixed(agent: Agent, client: TestClient) -> None:
    agent.tell(agent.begin(), a_timing(us=10))
    agent.tell(agent.begin(a_session(origin="emulated")), a_timing(us=5, minutes=1))
    assert [row["min_us"] for row in table(client)["entries"]] == [10]
    emulated = table(client, "?origin=emulated")
    assert [(row["min_us"], row["origin"]) for row in emulated["entries"]] == [(5, "emulated")]


def test_devices_are_never_mixed(agent: Agent, client: TestClient) -> None:
    agent.tell(agent.begin(a_session("phone-a")), a_timing(us=10))
    agent.tell(agent.begin(a_session("phone-b")), a_timing(us=5, minutes=1))
    assert [row["min_us"] for row in table(client, device="phone-a")["entries"]] == [10]


def test_the_first_measured_session_decides_the_default_runtime(
    agent: Agent, client: TestClient
) -> None:
    agent.begin(a_session(runtime=TWO_THREADS))
    agent.begin(a_session(runtime=RUNTIME))
    assert table(client)["runtime"]["threads"] == 2


def test_a_device_without_timings_says_how_to_measure_it(agent: Agent, client: TestClient) -> None:
    agent.register()
    answer = client.get("/lut/phone")
    assert answer.status_code == 404
    assert "`python -m device_agent.run --device phone`" in answer.json()["detail"]


def test_a_runtime_that_was_never_measured_is_an_empty_table(
    agent: Agent, client: TestClient
) -> None:
    agent.register()
    found = table(client, f"?runtime={RUNTIME.key}&space=fbnet-32")
    assert (found["entries"], found["complete"]) == ([], False)
    assert found["missing"] == [operator.key for operator in SPACE.operators]


@pytest.mark.slow
def test_a_space_orders_its_rows_and_names_what_is_missing(
    agent: Agent, client: TestClient
) -> None:
    first, second, *others = SPACE.operators
    session = agent.begin()
    agent.tell(session, a_timing(second), a_timing(first))
    found = table(client, "?space=fbnet-32")
    assert [row["operator"] for row in found["entries"]] == [first.key, second.key]
    assert found["missing"] == [operator.key for operator in others]
    assert found["complete"] is False

    agent.tell(session, *map(a_timing, others))
    found = table(client, "?space=fbnet-32")
    assert (found["complete"], found["missing"]) == (True, [])
    keys = [row["operator"] for row in found["entries"]]
    assert keys == [operator.key for operator in SPACE.operators]
    assert [row["operator"] for row in table(client)["entries"]] == sorted(keys)


def test_a_space_leaves_out_the_operators_of_others(agent: Agent, client: TestClient) -> None:
    large = space("fbnet-224")
    session = agent.begin(a_session(space=large.name))
    agent.tell(session, a_timing(large.stem), a_failure(large.head))
    found = table(client, "?space=fbnet-32")
    assert (found["entries"], found["failures"]) == ([], [])


def test_the_snapshot_can_be_computed_from_the_answer(agent: Agent, client: TestClient) -> None:
    session = agent.begin()
    agent.tell(session, a_timing(us=10.125), a_timing(SPACE.head, us=1234.5678))
    found = table(client, "?space=fbnet-32")
    content = {name: found[name] for name in ("device", "origin", "space", "entries")}
    content["runtime"] = RUNTIME.key
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    assert found["snapshot"] == f"sha256:{hashlib.sha256(canonical.encode()).hexdigest()}"

    assert table(client, "?space=fbnet-32")["snapshot"] == found["snapshot"]
    agent.tell(agent.begin(), a_timing(us=11, minutes=1))
    assert table(client, "?space=fbnet-32")["snapshot"] != found["snapshot"]


@pytest.mark.parametrize("way", ["query", "header"])
def test_csv_holds_the_same_numbers_as_json(agent: Agent, client: TestClient, way: str) -> None:
    agent.tell(agent.begin(), a_timing(us=10.125), a_timing(SPACE.head, us=1234.5678))
    agent.tell(agent.begin(), a_timing(us=10.25, minutes=1))
    if way == "query":
        answer = client.get("/lut/phone?space=fbnet-32&format=csv")
    else:
        answer = client.get("/lut/phone?space=fbnet-32", headers={"accept": "text/csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.text.splitlines()[0] == (
        "device,runtime,operator,median_us,p90_us,min_us,samples,rounds,measured_at,origin,"
        "session,latency_us,low_us,high_us,grade,calm,sessions"
    )
    whose = {"device": "phone", "runtime": RUNTIME.key}
    expected = []
    for row in table(client, "?space=fbnet-32")["entries"]:
        row.pop("newest", None)
        told = {**whose, "sessions": 1, **row}
        expected.append({name: str(value) for name, value in told.items()})
    assert [row["sessions"] for row in expected] == ["2", "1"]
    assert list(csv.DictReader(io.StringIO(answer.text))) == expected
    assert len(expected) == 2


@pytest.mark.one_database
@pytest.mark.parametrize(
    ("path", "status", "expected"),
    [
        ("/lut/fone", 404, "no device 'fone'; did you mean phone?"),
        ("/lut/phone?space=fbnet-223", 404, "did you mean fbnet-224"),
        (
            "/lut/phone?runtime=fast",
            422,
            "'fast' is no runtime; one looks like xnnpack-float32-t1",
        ),
        ("/lut/phone?origin=guessed", 422, "query.origin: "),
        ("/lut/phone?format=xml", 422, "query.format: "),
    ],
)
def test_what_cannot_be_served_is_explained(
    agent: Agent, client: TestClient, path: str, status: int, expected: str
) -> None:
    agent.begin()
    answer = client.get(path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert expected in answer.json()["detail"]


def test_a_runtime_with_a_wrong_part_names_the_part(agent: Agent, client: TestClient) -> None:
    agent.begin()
    answer = client.get(f"/lut/phone?runtime={RUNTIME.key.replace('float32', 'float8')}")
    assert answer.status_code == 422
    assert "dtype: Input should be 'float32'" in answer.json()["detail"]


def test_a_copy_that_is_current_is_not_sent_again(agent: Agent, client: TestClient) -> None:
    agent.tell(agent.begin(), a_timing(us=10))
    tag = client.get("/lut/phone").headers["etag"]
    assert client.get("/lut/phone?format=csv").headers["etag"] != tag
    again = client.get("/lut/phone", headers={"if-none-match": tag})
    assert (again.status_code, again.content) == (304, b"")

    agent.tell(agent.begin(), a_failure(SPACE.head))
    changed = client.get("/lut/phone", headers={"if-none-match": tag})
    assert changed.status_code == 200
    assert [failed["operator"] for failed in changed.json()["failures"]] == [SPACE.head.key]


def test_tables_are_current_though_another_server_wrote(
    agent: Agent, client: TestClient, engine: Engine
) -> None:
    agent.tell(agent.begin(), a_timing(us=10))
    assert [row["min_us"] for row in table(client)["entries"]] == [10]
    with local_client(engine) as other:
        Agent(other).tell(Agent(other).begin(), a_timing(us=20, minutes=1))
    assert [row["min_us"] for row in table(client)["entries"]] == [20]


def test_a_table_is_read_from_the_current_rows_alone(
    agent: Agent, client: TestClient, engine: Engine
) -> None:
    agent.tell(agent.begin(), a_timing(), a_failure(SPACE.head))
    before = table(client, "?space=fbnet-32")
    with engine.begin() as connection:
        connection.execute(delete(TimingRecord))
    statements: list[str] = []

    def remember(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        statements.append(statement)

    event.listen(engine, "before_cursor_execute", remember)
    found = table(client)
    event.remove(engine, "before_cursor_execute", remember)
    assert (found["entries"], found["failures"]) == (before["entries"], before["failures"])
    assert not [statement for statement in statements if "timings" in statement]
    assert len([statement for statement in statements if "FROM rows" in statement]) == 1


@pytest.mark.one_database
@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("text/csv, */*;q=0.1", "text/csv"),
        ("text/csv;q=0.9, application/json;q=0.5", "text/csv"),
        ("text/csv;q=0", "application/json"),
        ("text/csv;q=0.1, application/json", "application/json"),
        ("text/csvx", "application/json"),
        ("*/*", "application/json"),
    ],
)
def test_the_form_is_what_the_client_wants_most(
    agent: Agent, client: TestClient, accept: str, kind: str
) -> None:
    agent.tell(agent.begin(), a_timing())
    answer = client.get("/lut/phone", headers={"accept": accept})
    assert answer.headers["content-type"].startswith(kind)


@pytest.mark.one_database
@pytest.mark.parametrize(
    ("named", "status"), [("*", 304), ('"other", {tag}', 304), ("{tag}x", 200), ('"other"', 200)]
)
def test_a_copy_is_current_where_its_tag_is_among_those_named(
    agent: Agent, client: TestClient, named: str, status: int
) -> None:
    agent.tell(agent.begin(), a_timing())
    tag = client.get("/lut/phone").headers["etag"]
    answer = client.get("/lut/phone", headers={"if-none-match": named.format(tag=tag)})
    assert answer.status_code == status


def test_a_compressed_table_is_the_same_table(agent: Agent, client: TestClient) -> None:
    agent.tell(agent.begin(), *(a_timing(operator) for operator in SPACE.operators[:20]))
    plain = client.get("/lut/phone", headers={"accept-encoding": "identity"})
    small = client.get("/lut/phone", headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in plain.headers
    assert small.headers["content-encoding"] == "gzip"
    assert "accept-encoding" in small.headers["vary"].lower()
    assert (small.json(), small.headers["etag"]) == (plain.json(), plain.headers["etag"])
