"""Devices: registered once, refreshed, never silently another."""

import pytest
from fastapi.testclient import TestClient

from tests.server.conftest import JSON, Agent
from tests.server.making import PHONE, RUNTIME, SPACE, TWO_THREADS, a_session, a_timing


def test_a_device_is_new_once_and_refreshed_after(agent: Agent, client: TestClient) -> None:
    first = agent.put("/devices/phone", PHONE.model_dump_json())
    updated = PHONE.evolve(os="TestOS 4")
    second = agent.put("/devices/phone", updated.model_dump_json())
    assert (first.status_code, second.status_code) == (201, 200)
    assert second.json()["description"]["os"] == "TestOS 4"
    assert second.json()["registered_at"] == first.json()["registered_at"]
    assert client.get("/devices").json() == [second.json()]


@pytest.mark.parametrize("identity", ["model", "soc"])
def test_another_device_under_the_same_name_is_a_conflict(agent: Agent, identity: str) -> None:
    agent.register()
    other = PHONE.evolve(**{identity: "Something Else"})
    answer = agent.put("/devices/phone", other.model_dump_json())
    assert answer.status_code == 409
    detail = answer.json()["detail"]
    assert "'Something Else'" in detail
    assert repr(getattr(PHONE, identity)) in detail
    assert "--name" in detail


@pytest.mark.one_database
@pytest.mark.parametrize("name", ["Phone", "-phone", "my phone", "x" * 65])
def test_a_name_that_cannot_stand_in_a_url_is_refused(client: TestClient, name: str) -> None:
    answer = client.put(f"/devices/{name}", content=PHONE.model_dump_json(), headers=JSON)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("path.device: ")


def test_the_summary_counts_measured_rows_by_runtime_and_space(
    agent: Agent, client: TestClient
) -> None:
    agent.tell(agent.begin(), a_timing(minutes=1), a_timing(SPACE.head, minutes=9))
    agent.tell(agent.begin(a_session(runtime=TWO_THREADS)), a_timing())
    agent.tell(agent.begin(a_session(origin="emulated")), a_timing(SPACE.operators[5]))

    (device,) = client.get("/devices").json()
    one, two = device["runtimes"]
    assert (one["key"], one["is_default"], one["rows"]) == (RUNTIME.key, True, 2)
    assert (one["oldest"], one["newest"]) == ("2026-03-01T12:01:00Z", "2026-03-01T12:09:00Z")
    assert one["spaces"] == [{"space": "fbnet-32", "rows": 2, "total": len(SPACE.operators)}]
    assert (two["key"], two["is_default"], two["rows"]) == (TWO_THREADS.key, False, 1)


def test_the_default_runtime_can_be_changed_to_one_that_was_measured(
    agent: Agent, client: TestClient
) -> None:
    agent.begin()
    agent.begin(a_session(runtime=TWO_THREADS))
    path = "/devices/phone/default-runtime"
    answer = agent.put(path, TWO_THREADS.model_dump_json())
    assert answer.status_code == 200
    assert client.get("/lut/phone").json()["runtime"]["threads"] == 2

    never = RUNTIME.evolve(threads=3)
    refused = agent.put(path, never.model_dump_json())
    assert refused.status_code == 404
    assert never.key in refused.json()["detail"]
    assert RUNTIME.key in refused.json()["near"]


def test_an_emulated_session_does_not_decide_the_default_runtime(
    agent: Agent, client: TestClient
) -> None:
    agent.begin(a_session(runtime=TWO_THREADS, origin="emulated"))
    assert client.get("/lut/phone").status_code == 404
    agent.begin(a_session(runtime=RUNTIME))
    assert client.get("/lut/phone").json()["runtime"]["threads"] == 1
