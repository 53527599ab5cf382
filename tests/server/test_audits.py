"""Audits: stored once, and the latest one goes with its table."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient

from contract.audits import summary
from tests.server.conftest import Agent
from tests.server.making import TWO_THREADS, a_session, a_timing, an_audit


def audit_of(client: TestClient, query: str = "", device: str = "phone") -> Any:
    """The id of the audit that the table carries."""
    audit = client.get(f"/lut/{device}{query}").json()["audit"]
    return audit and audit["id"]


def test_an_audit_is_answered_with_its_figures_and_kept_whole(
    agent: Agent, client: TestClient
) -> None:
    agent.begin()
    audit = an_audit()
    first = agent.post("/audits", audit.model_dump_json())
    second = agent.post("/audits", audit.model_dump_json())
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == {
        "audit": audit.model_dump(mode="json"),
        "summary": summary(audit).model_dump(mode="json"),
    }
    assert second.json() == client.get(f"/audits/{audit.id}").json() == first.json()


def test_other_content_under_a_used_id_is_a_conflict(agent: Agent) -> None:
    agent.begin()
    audit = an_audit()
    agent.tell_audit(audit)
    other = audit.evolve(seed=1)
    answer = agent.post("/audits", other.model_dump_json())
    assert answer.status_code == 409
    assert str(audit.id) in answer.json()["detail"]


def test_the_latest_audit_of_a_space_goes_with_its_table(agent: Agent, client: TestClient) -> None:
    agent.begin()
    assert audit_of(client) is None
    early, late = an_audit(minutes=1), an_audit(minutes=2)
    elsewhere = an_audit(space="fbnet-224", minutes=3)
    for audit in (late, early, elsewhere):
        agent.tell_audit(audit)
    assert audit_of(client, "?space=fbnet-32") == str(late.id)
    assert audit_of(client, "?space=fbnet-224") == str(elsewhere.id)
    assert audit_of(client, "?space=fbnet-96") is None
    assert audit_of(client) == str(elsewhere.id)
    found = client.get("/lut/phone?space=fbnet-32").json()["audit"]
    assert found == summary(late).model_dump(mode="json")


def test_audits_of_other_tables_are_never_mixed_in(agent: Agent, client: TestClient) -> None:
    agent.begin()
    agent.begin(a_session("phone-b"))
    for other in (an_audit("phone-b"), an_audit(runtime=TWO_THREADS), an_audit(origin="emulated")):
        agent.tell_audit(other)
    assert audit_of(client) is None
    assert audit_of(client, "?origin=emulated") == str(other.id)


def test_a_new_audit_makes_old_copies_stale_and_leaves_the_snapshot(
    agent: Agent, client: TestClient
) -> None:
    agent.tell(agent.begin(), a_timing())
    before = client.get("/lut/phone")
    agent.tell_audit(an_audit())
    after = client.get("/lut/phone", headers={"if-none-match": before.headers["etag"]})
    assert after.status_code == 200
    assert after.json()["audit"]["networks"] == 3
    assert after.json()["snapshot"] == before.json()["snapshot"]


def test_an_audit_on_an_unknown_device_names_near_ones(agent: Agent) -> None:
    agent.register("pixel-8")
    answer = agent.post("/audits", an_audit("pixel8").model_dump_json())
    assert answer.status_code == 404
    assert answer.json()["near"] == ["pixel-8"]


def test_an_audit_that_is_not_there_is_said_so(client: TestClient) -> None:
    answer = client.get(f"/audits/{uuid4()}")
    assert answer.status_code == 404
    assert "no audit" in answer.json()["detail"]


@pytest.mark.one_database
@pytest.mark.parametrize("field", ["started_at", "ended_at"])
@pytest.mark.parametrize(
    "moment", [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)]
)
def test_a_clock_that_is_wrong_is_refused(agent: Agent, field: str, moment: datetime) -> None:
    agent.begin()
    audit = an_audit().evolve(**{field: moment})
    answer = agent.post("/audits", audit.model_dump_json())
    assert answer.status_code == 422
    assert f"{field} " in answer.json()["detail"]
    assert "set whichever clock is wrong" in answer.json()["detail"]


@pytest.mark.one_database
@pytest.mark.parametrize(
    ("given", "instead", "expected"),
    [
        ('"predicted_us":90.0', '"predicted_us":1e308', "body.networks.0.predicted_us: "),
        ('"predicted_us":90.0', '"predicted_us":5e-324', "body.networks.0.predicted_us: "),
        ('"fresh_us":100.0', '"fresh_us":NaN', "body.networks.0.fresh_us: "),
        ('"latency_us":100.0', '"latency_us":1e-300', "body.networks.0.measured.latency_us: "),
        ("sha256:0", "sha256:x", "body.snapshot: "),
        ('"name":"random-100"', '"name":"random-200"', "a network comes twice"),
    ],
)
def test_what_makes_no_figures_is_explained_by_field(
    agent: Agent, given: str, instead: str, expected: str
) -> None:
    agent.begin()
    body = an_audit().model_dump_json()
    assert given in body
    answer = agent.post("/audits", body.replace(given, instead, 1))
    assert answer.status_code == 422
    assert expected in answer.json()["detail"]


def test_the_widest_figures_that_are_taken_can_be_read_again(
    agent: Agent, client: TestClient
) -> None:
    agent.begin()
    agent.tell_audit(an_audit(predicted_us=(1e12, 1e-4, 1e12)))
    found = client.get("/lut/phone")
    assert found.status_code == 200
    assert found.json()["audit"]["table"]["worst"] == pytest.approx(1e10)
