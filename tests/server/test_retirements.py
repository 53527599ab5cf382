"""What is retired takes no jobs, comes last, and can be brought back; nothing of it is deleted."""

from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from server.database.engine import writing
from server.store.agents import forget_away
from tests.server.conftest import JSON, Agent
from tests.server.fleet import Clock, Fleet, a_job, an_agent
from tests.server.making import PHONE, a_timing
from tests.server.test_access import make, shared

WHY = {"reason": "its screen broke"}


def retire(fleet: Fleet, what: str = "phone") -> Any:
    return fleet.post_raw(f"/devices/{what}/retire", WHY).raise_for_status().json()


def bring_back(fleet: Fleet, what: str = "phone") -> Any:
    return fleet.post_raw(f"/devices/{what}/bring-back", WHY).raise_for_status().json()


def test_its_jobs_are_cancelled_and_others_refused_with_words_until_it_is_back(
    fleet: Fleet,
) -> None:
    waits, begun = fleet.filed(), fleet.filed()
    agent = fleet.joined("lab", "s1")
    fleet.leased(agent)
    retired = retire(fleet)
    assert retired["devices"] == [{"device": "phone", "retired_at": "2026-03-01T12:00:00Z"}]
    assert {fleet.job(job)["state"] for job in (waits, begun)} == {"cancelled"}
    for refused in (fleet.file(a_job()), fleet.retry(waits)):
        assert refused.status_code == 409
        told = refused.json()["detail"]
        assert "phone was retired on 2026-03-01 12:00 UTC and takes no jobs" in told
        assert "python -m server.devices bring-back phone" in told
    assert fleet.lease(agent) is None
    assert bring_back(fleet) == {"devices": [], "units": []}
    fleet.retry(waits).raise_for_status()
    assert fleet.leased(agent).job.id == waits


def test_a_job_that_was_filed_before_is_answered_as_before(fleet: Fleet) -> None:
    job = a_job()
    fleet.filed(job)
    retire(fleet)
    again = fleet.file(job)
    assert (again.status_code, again.json()["state"]) == (200, "cancelled")


def test_its_table_is_served_and_it_comes_last(client: TestClient, agent: Agent) -> None:
    agent.tell(agent.begin(), a_timing())
    agent.register("zebra")
    client.post("/devices/phone/retire", json=WHY).raise_for_status()
    assert [each["name"] for each in client.get("/devices").json()] == ["zebra", "phone"]
    assert len(client.get("/lut/phone").json()["entries"]) == 1
    answer = agent.put("/devices/phone", PHONE.model_dump_json())
    assert answer.status_code == 200, "what was measured may still come"
    overview = client.get("/").text
    assert overview.index('id="device-zebra"') < overview.index("1 retired device")
    assert overview.index("1 retired device") < overview.index('id="device-phone"')
    page = client.get("/devices/phone", headers={"accept": "text/html"}).text
    assert "python -m server.devices bring-back phone" in page
    client.post("/devices/phone/bring-back", json=WHY).raise_for_status()
    assert "retired" not in client.get("/").text


def test_a_device_that_is_retired_alone_is_on_the_overview(
    client: TestClient, agent: Agent
) -> None:
    agent.register()
    client.post("/devices/phone/retire", json=WHY).raise_for_status()
    page = client.get("/").text
    assert "No device yet" not in page
    assert 'id="device-phone"' in page


def test_a_retired_unit_gets_no_jobs_and_the_others_do(fleet: Fleet) -> None:
    job = fleet.filed()
    agent = fleet.joined("lab", "s1", "s2")
    retired = retire(fleet, "phone/units/s1")
    assert [(each["device"], each["serial"]) for each in retired["units"]] == [("phone", "s1")]
    assert fleet.lease(agent, "s1") is None
    fleet.announce(agent, an_agent("lab", "s1", "s2")).raise_for_status()
    assert fleet.lease(agent, "s1") is None
    page = fleet.page()
    assert page.index(">s2<") < page.index(">s1<")
    assert "retired" in page
    bring_back(fleet, "phone/units/s1")
    assert fleet.leased(agent, "s1").job.id == job


def test_a_unit_ends_the_job_that_it_is_at(fleet: Fleet) -> None:
    job = fleet.filed()
    agent = fleet.joined("lab", "s1")
    fleet.leased(agent)
    retire(fleet, "phone/units/s1")
    assert fleet.leased(agent).job.id == job, "the agent lost the answer and asks again"
    fleet.done(job, agent).raise_for_status()
    fleet.file(a_job()).raise_for_status()
    assert fleet.lease(agent) is None


def test_a_lost_unit_that_is_retired_is_kept_when_agents_are_forgotten(
    fleet: Fleet, engine: Engine, clock: Clock
) -> None:
    fleet.register()
    agent = fleet.joined("lab", "s1", "s2")
    fleet.announce(agent, an_agent("lab")).raise_for_status()
    retire(fleet, "phone/units/s1")
    clock.advance(timedelta(days=100))
    with writing(engine).begin() as session:
        assert forget_away(session, clock.now) == (0, 1)
    (report,) = fleet.agents()
    assert [unit["serial"] for unit in report["lost"]] == ["s1"]
    bring_back(fleet, "phone/units/s1")
    with writing(engine).begin() as session:
        assert forget_away(session, clock.now) == (1, 1)


def test_what_is_unknown_is_told_with_what_is_near(fleet: Fleet) -> None:
    fleet.register()
    fleet.joined("lab", "s1")
    unknown = fleet.post_raw("/devices/phome/retire", WHY)
    assert (unknown.status_code, unknown.json()["near"]) == (404, ["phone"])
    unit = fleet.post_raw("/devices/phone/units/s2/retire", WHY)
    assert (unit.status_code, unit.json()["near"]) == (404, ["s1"])
    assert fleet.post_raw("/devices/phone/retire", {"reason": ""}).status_code == 422


def test_who_did_it_and_why_is_kept(client: TestClient, fleet: Fleet) -> None:
    job = fleet.filed()
    fleet.joined("lab", "s1")
    for _ in range(2):
        retire(fleet)
        retire(fleet, "phone/units/s1")
    bring_back(fleet)
    bring_back(fleet, "phone/units/s1")
    deeds = client.get("/deeds", params={"subject": "phone"}).json()
    assert [(each["what"], each["detail"]) for each in deeds] == [
        ("brought back the device", WHY["reason"]),
        ("retired the device", WHY["reason"]),
        ("registered the device", None),
    ]
    deeds = client.get("/deeds", params={"subject": "phone s1"}).json()
    assert [each["what"] for each in deeds] == ["brought back the unit", "retired the unit"]
    newest, *_ = client.get("/deeds", params={"subject": str(job)}).json()
    assert (newest["what"], newest["detail"]) == (
        "cancelled the job",
        "phone was retired: its screen broke",
    )


@pytest.mark.parametrize(
    "path", ["retire", "bring-back", "units/s1/retire", "units/s1/bring-back"]
)
def test_only_an_admin_may(engine: Engine, path: str) -> None:
    with shared(engine) as client:
        agent = make(engine, "lab", "agent")
        client.put("/devices/phone", content=PHONE.model_dump_json(), headers={**JSON, **agent})
        asked = f"/devices/phone/{path}"
        assert client.post(asked, json=WHY, headers=agent).status_code == 403
        assert client.post(asked, json=WHY).status_code == 401
        admin = client.post(asked, json=WHY, headers=make(engine, "me", "admin"))
        assert admin.status_code == (404 if "units" in path else 200)
        assert client.get("/retired", headers=make(engine, "ada", "reader")).status_code == 200
