"""A table's snapshot is served again, whatever was measured since."""

from datetime import timedelta
from typing import Any

import httpx2
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, delete, update

from contract.client import table_client
from contract.snapshots import TableDiff
from contract.tables import LatencyTable
from server.database.records import TimingRecord
from server.database.schema import upgrade
from tests.server.conftest import Agent, downgrade, local_client
from tests.server.making import (
    NOON,
    RUNTIME,
    SPACE,
    STEM,
    TWO_THREADS,
    a_failure,
    a_session,
    a_timing,
    an_audit,
)

pytestmark = pytest.mark.both_databases

HEAD = SPACE.head


def table(client: TestClient, query: str = "") -> dict[str, Any]:
    answer = client.get(f"/lut/phone{query}")
    assert answer.status_code == 200, answer.text
    LatencyTable.model_validate_json(answer.text)
    found: dict[str, Any] = answer.json()
    return found


def snapshots(client: TestClient, query: str = "") -> list[dict[str, Any]]:
    answer = client.get(f"/lut/phone/snapshots{query}")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


@pytest.mark.parametrize("query", ["", "?space=fbnet-32"])
def test_a_snapshot_is_served_again_whatever_was_measured_since(
    agent: Agent, client: TestClient, query: str
) -> None:
    session = agent.begin()
    tables = []
    for minutes, (operator, us) in enumerate(
        [(STEM, 10.125), (HEAD, 1234.5678), (STEM, 11.0), (HEAD, 1200.0), (STEM, 9.0)]
    ):
        agent.tell(
            session if minutes < 2 else agent.begin(), a_timing(operator, us=us, minutes=minutes)
        )
        tables.append(table(client, query))
    assert len({each["snapshot"] for each in tables}) == len(tables)
    for each in tables:
        again = table(client, f"?snapshot={each['snapshot']}")
        assert again == each


def test_a_snapshot_needs_neither_raw_samples_nor_the_same_server(
    agent: Agent, client: TestClient, engine: Engine
) -> None:
    agent.tell(agent.begin(), a_timing(us=10.125, minutes=1))
    before = table(client)
    agent.tell(agent.begin(), a_timing(us=11, minutes=2))
    with engine.begin() as connection:
        connection.execute(update(TimingRecord).values(rounds_us=None, drift=None))
        connection.execute(delete(TimingRecord))
    with local_client(engine) as another:
        assert table(another, f"?snapshot={before['snapshot']}") == before


def test_a_snapshot_is_its_rows_alone(agent: Agent, client: TestClient) -> None:
    agent.tell(agent.begin(), a_timing(us=10), a_failure(HEAD))
    now = table(client)
    agent.tell_audit(an_audit(snapshot=now["snapshot"]))
    now = table(client)
    assert now["failures"]
    assert now["audit"]
    then = table(client, f"?snapshot={now['snapshot']}")
    assert (then["failures"], then["audit"]) == ([], None)
    assert then["entries"] == now["entries"]


def test_a_timing_that_comes_late_makes_the_table_that_it_would_have_made_in_time(
    agent: Agent, client: TestClient
) -> None:
    early, late = a_session(), a_session(minutes=1)
    agent.tell(agent.begin(late), a_timing(us=20, minutes=2))
    agent.tell(agent.begin(early), a_timing(us=21, minutes=1))
    (row,) = table(client)["entries"]
    assert (row["session"], row["sessions"], row["newest"]["latency_us"]) == (str(late.id), 2, 20)
    assert 20 < row["latency_us"] < 21
    assert table(client)["snapshot"] == snapshots(client)[0]["snapshot"]


def test_runtimes_spaces_and_origins_have_snapshots_of_their_own(
    agent: Agent, client: TestClient
) -> None:
    agent.tell(agent.begin(), a_timing(us=10))
    agent.tell(agent.begin(a_session(runtime=TWO_THREADS)), a_timing(us=5, minutes=1))
    agent.tell(agent.begin(a_session(origin="emulated")), a_timing(us=1, minutes=2))
    two = table(client, f"?runtime={TWO_THREADS.key}")["snapshot"]
    assert table(client, f"?snapshot={two}&runtime={TWO_THREADS.key}")["runtime"]["threads"] == 2

    answer = client.get(f"/lut/phone?snapshot={two}&runtime={RUNTIME.key}")
    assert answer.status_code == 422
    assert "leave `runtime` out" in answer.json()["detail"]
    answer = client.get(f"/lut/phone?snapshot={two}&space=fbnet-32")
    assert answer.status_code == 422
    assert "leave `space` out" in answer.json()["detail"]

    emulated = table(client, "?origin=emulated")["snapshot"]
    assert client.get(f"/lut/phone?snapshot={emulated}").status_code == 404
    again = table(client, f"?snapshot={emulated}&origin=emulated")
    assert [row["latency_us"] for row in again["entries"]] == [1]


def test_an_unknown_snapshot_says_what_to_do(agent: Agent, client: TestClient) -> None:
    agent.tell(agent.begin(), a_timing())
    answer = client.get(f"/lut/phone?snapshot=sha256:{'0' * 64}")
    assert answer.status_code == 404
    assert "`GET /lut/phone/snapshots` lists" in answer.json()["detail"]
    agent.register("other")
    its = table(client)["snapshot"]
    assert client.get(f"/lut/other?snapshot={its}").status_code == 404
    assert client.get(f"/lut/nobody?snapshot={its}").status_code == 404
    assert client.get("/lut/phone?snapshot=latest").status_code == 422


def test_an_answer_of_a_snapshot_is_for_good(agent: Agent, client: TestClient) -> None:
    agent.tell(agent.begin(), *map(a_timing, SPACE.operators))
    snapshot = table(client, "?space=fbnet-32")["snapshot"]
    path = f"/lut/phone?snapshot={snapshot}"
    answer = client.get(path, headers={"accept-encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert answer.headers["etag"].startswith('W/"')
    agent.tell(agent.begin(), a_timing(us=7, minutes=5))
    same = client.get(path, headers={"if-none-match": answer.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")
    as_csv = client.get(f"{path}&format=csv")
    assert len(as_csv.text.splitlines()) == len(SPACE.operators) + 1
    assert client.get("/lut/phone").headers["cache-control"] == "no-cache"
    assert LatencyTable.model_validate_json(answer.text).complete


def test_the_list_has_what_each_session_left_newest_first(
    agent: Agent, client: TestClient
) -> None:
    first, second = agent.begin(), agent.begin()
    agent.tell(first, a_timing(us=10), a_timing(HEAD, us=20))
    left = table(client)["snapshot"]
    agent.tell(second, a_timing(us=11, minutes=1))
    found = snapshots(client)
    assert [each["session"] for each in found] == [str(second), str(first)]
    assert [each["snapshot"] for each in found] == [table(client)["snapshot"], left]
    assert [each["rows"] for each in found] == [2, 2]
    of_space = snapshots(client, f"?space=fbnet-32&runtime={RUNTIME.key}")
    assert of_space[0]["snapshot"] == table(client, "?space=fbnet-32")["snapshot"]
    assert snapshots(client, f"?runtime={TWO_THREADS.key}") == []
    assert client.get("/lut/nobody/snapshots").status_code == 404
    assert client.get("/lut/phone/snapshots?space=fbnet-33").status_code == 404


def diff(client: TestClient, query: str) -> httpx2.Response:
    return client.get(f"/lut/phone/diff?{query}")


def test_a_diff_names_what_was_added_removed_and_changed(agent: Agent, client: TestClient) -> None:
    other = SPACE.operators[1]
    agent.tell(agent.begin(), a_timing(us=10), a_timing(other, us=5))
    before = table(client, "?space=fbnet-32")["snapshot"]
    agent.tell(agent.begin(), a_timing(us=12.5, minutes=1), a_timing(HEAD, us=30, minutes=1))
    agent.tell(agent.begin(), a_timing(other, us=5, minutes=2))
    after = table(client, "?space=fbnet-32")["snapshot"]
    for query in (f"from={before}", f"from={before}&to={after}"):
        found = TableDiff.model_validate_json(diff(client, query).content)
        assert [(row.operator, row.latency_us) for row in found.added] == [(HEAD.key, 30)]
        assert found.removed == ()
        (changed,) = found.changed
        assert (changed.operator, changed.from_us) == (STEM.key, 10)
        assert changed.ratio is not None
        assert 1.2 < changed.ratio < 1.25
        assert found.unchanged == 1
        assert (found.before.snapshot, found.after.snapshot) == (before, after)
    back = TableDiff.model_validate_json(diff(client, f"from={after}&to={before}").content)
    assert [row.operator for row in back.removed] == [HEAD.key]
    assert back.changed[0].ratio == pytest.approx(10 / (changed.to_us or 0))
    same = TableDiff.model_validate_json(diff(client, f"from={after}").content)
    assert (same.added, same.removed, same.changed, same.unchanged) == ((), (), (), 3)


def test_a_diff_of_what_is_not_there_is_refused(agent: Agent, client: TestClient) -> None:
    agent.tell(agent.begin(), a_timing())
    now = table(client)["snapshot"]
    nowhere = f"sha256:{'0' * 64}"
    assert diff(client, f"from={nowhere}").status_code == 404
    assert diff(client, f"from={now}&to={nowhere}").status_code == 404
    assert diff(client, "").status_code == 422


def test_a_migration_names_the_tables_it_finds(
    agent: Agent, client: TestClient, engine: Engine
) -> None:
    part = timedelta(microseconds=120_000)
    odd = a_timing(us=10.125).evolve(measured_at=NOON + part)
    agent.tell(agent.begin(), odd, a_timing(HEAD, us=1234.5678))
    whole, of_space = table(client), table(client, "?space=fbnet-32")
    downgrade(engine, "0002")
    upgrade(engine)
    with local_client(engine) as another:
        assert table(another) == whole
        for each in (whole, of_space):
            assert table(another, f"?snapshot={each['snapshot']}") == each
        again = Agent(another)
        again.tell(again.begin(), a_timing(us=9, minutes=3))
        assert table(another, f"?snapshot={whole['snapshot']}") == whole


def test_the_client_reads_snapshots_and_diffs(
    agent: Agent, client: TestClient, address: str
) -> None:
    agent.tell(agent.begin(), a_timing(us=10))
    before = table(client, "?space=fbnet-32")
    agent.tell(agent.begin(), a_timing(us=12, minutes=1))
    with table_client(address) as programs:
        now, then = programs.snapshots("phone", runtime=RUNTIME, space="fbnet-32")
        assert then.snapshot == before["snapshot"]
        again = programs.table("phone", snapshot=then.snapshot)
        assert [row.latency_us for row in again.entries] == [10]
        found = programs.diff("phone", before=then.snapshot, after=now.snapshot)
        assert [change.from_us for change in found.changed] == [10]
        assert programs.diff("phone", before=then.snapshot) == found
        answer = programs.newer_table("phone", space="fbnet-32")
        assert answer is not None
        assert programs.newer_table("phone", space="fbnet-32", tag=answer[1]) is None
