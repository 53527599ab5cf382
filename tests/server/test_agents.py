"""Agents: announced with their units, heard of, and never at odds over a unit."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx2
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from server import retention
from tests.server.fleet import Clock, Fleet, an_agent


def test_an_agent_is_announced_and_its_heartbeat_tells_when_it_was_seen(
    fleet: Fleet, clock: Clock
) -> None:
    agent, description = uuid4(), an_agent("lab", "s1", "s2")
    first = fleet.announce(agent, description)
    clock.advance(timedelta(minutes=5))
    second = fleet.announce(agent, description)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == {
        "id": str(agent),
        "description": description.model_dump(mode="json"),
        "seen_at": "2026-03-01T12:00:00Z",
        "lost": [],
    }
    assert second.json() == {**first.json(), "seen_at": "2026-03-01T12:05:00Z"}
    assert fleet.agents() == [second.json()]


def test_phones_of_a_device_that_is_not_registered_yet_are_kept(fleet: Fleet) -> None:
    agent = uuid4()
    fleet.announce(agent, an_agent("lab", "s1", device="pixel-8")).raise_for_status()
    assert fleet.lease(agent, "s1", "pixel-8") is None
    fleet.register("pixel-8")
    (found,) = fleet.agents()
    assert found["description"]["units"] == [{"device": "pixel-8", "serial": "s1"}]


def test_a_phone_that_is_gone_stays_with_its_agent_as_lost(fleet: Fleet, clock: Clock) -> None:
    agent = uuid4()
    fleet.announce(agent, an_agent("lab", "s1", "s2", "s2"))
    clock.advance(timedelta(minutes=5))
    told = fleet.announce(agent, an_agent("lab", "s2", "s3")).json()
    assert [unit["serial"] for unit in told["description"]["units"]] == ["s2", "s3"]
    s1 = {"device": "phone", "serial": "s1", "lost_at": "2026-03-01T12:05:00Z"}
    assert told["lost"] == [s1]
    clock.advance(timedelta(minutes=5))
    later = fleet.announce(agent, an_agent("lab", "s3")).json()
    assert later["lost"] == [s1, {**s1, "serial": "s2", "lost_at": "2026-03-01T12:10:00Z"}]


def test_a_lost_phone_is_found_by_whichever_agent_has_it_again(fleet: Fleet) -> None:
    left, right = fleet.joined("left", "s1", "s2"), fleet.joined("right")
    fleet.announce(left, an_agent("left"))
    fleet.announce(right, an_agent("right", "s1"))
    fleet.filed()
    fleet.leased(right, "s2")  # an agent offers the unit before its next heartbeat
    found = {agent["description"]["host"]: agent for agent in fleet.agents()}
    assert (found["left"]["lost"], found["right"]["lost"]) == ([], [])
    serials = [unit["serial"] for unit in found["right"]["description"]["units"]]
    assert serials == ["s1", "s2"]


def test_a_phone_belongs_to_the_agent_that_announced_it_last(fleet: Fleet) -> None:
    fleet.joined("left", "s1", "s2")
    fleet.joined("right", "s2")
    assert {
        agent["description"]["host"]: [unit["serial"] for unit in agent["description"]["units"]]
        for agent in fleet.agents()
    } == {"left": ["s1"], "right": ["s2"]}


def test_whoever_works_is_seen(fleet: Fleet, clock: Clock) -> None:
    agent, job = fleet.joined(), fleet.filed()
    works: tuple[Callable[[], httpx2.Response], ...] = (
        lambda: fleet.ask(agent),
        lambda: fleet.renew(job, agent),
        lambda: fleet.done(job, agent),
    )
    for work in works:
        clock.advance(timedelta(seconds=10))
        work().raise_for_status()
        (found,) = fleet.agents()
        assert found["seen_at"] == clock.now.isoformat().replace("+00:00", "Z")


@pytest.mark.one_database
@pytest.mark.parametrize("serial", ["", "-x", "a b", "x" * 101])
def test_what_is_no_serial_number_is_refused(fleet: Fleet, serial: str) -> None:
    description = an_agent("lab", "s1").model_dump(mode="json")
    description["units"][0]["serial"] = serial
    answer = fleet.put_raw(f"/agents/{uuid4()}", description)
    assert answer.status_code == 422
    assert "body.units.0.serial" in answer.json()["detail"]


def test_an_agent_that_nobody_knows_gets_no_work_and_is_told_why(fleet: Fleet) -> None:
    fleet.filed()
    stranger = uuid4()
    answer = fleet.ask(stranger)
    assert answer.status_code == 404
    assert f"`PUT /agents/{stranger}` first" in answer.json()["detail"]


def test_agents_long_away_are_folded_on_the_page_and_shown_where_asked(
    fleet: Fleet, clock: Clock, client: TestClient
) -> None:
    fleet.joined("old-lab", "s1")
    clock.advance(timedelta(days=2))
    fleet.joined("new-lab", "s2")
    page = fleet.page()
    assert "new-lab" in page
    assert "s1" not in page.split("Who did what")[0]
    assert "1 agent more, not heard of for a day" in " ".join(page.split())
    assert "old-lab" in client.get("/fleet?away=true").text


def test_agents_long_away_are_forgotten_but_for_those_that_jobs_name(
    fleet: Fleet, clock: Clock, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    worked, idle = fleet.joined("worked", "s1"), fleet.joined("idle", "s2", "s3")
    fleet.filed()
    fleet.leased(worked)
    clock.now = datetime.now(UTC)
    present = fleet.joined("present", "s4")
    url = engine.url.render_as_string(hide_password=False)
    retention.run(older_than="30d", database_url=url)
    assert "forgot 1 agents that were not heard of since, and 3 units" in capsys.readouterr().out
    found = {agent["id"]: agent["description"]["units"] for agent in fleet.agents()}
    assert str(idle) not in found
    assert found[str(worked)] == []
    assert len(found[str(present)]) == 1
