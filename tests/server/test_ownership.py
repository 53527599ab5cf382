"""What a token made is its own: every door that changes it is shut to other agents' tokens."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import httpx2
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from contract.jobs import LEASE
from contract.searches import SearchRun
from contract.timings import TimingBatch
from server.app import create_app
from server.database.engine import writing
from server.roles import Role
from server.settings import Settings
from server.store import tokens
from tests.server.conftest import Agent, local_client
from tests.server.fleet import Clock, Fleet, an_agent
from tests.server.making import SPACE, a_search, a_session, a_timing, an_epoch
from tests.server.test_access import bearer, detail, make


class Lab:
    """One server, and somebody with each token."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._app = create_app(engine, Settings(rate=0), clock=clock)
        self.x, self.y = self.holder("x"), self.holder("y")
        self.boss = self.holder("boss", "admin")

    def holder(self, name: str, role: Role = "agent") -> "Holder":
        return self._with(make(self._engine, name, role))

    def renewed(self, name: str) -> "Holder":
        """Whoever has the new token of that name; the old one works no more."""
        with writing(self._engine).begin() as session:
            return self._with(bearer(tokens.renew(session, name, "agent", datetime.now(UTC))))

    def _with(self, headers: dict[str, str]) -> "Holder":
        return Holder(TestClient(self._app, headers=headers, raise_server_exceptions=False))


class Holder:
    """Does with one token what agents do."""

    def __init__(self, client: TestClient) -> None:
        self.client = client
        self.fleet = Fleet(client)
        self.agent = Agent(client)

    def units(self) -> dict[str, list[str]]:
        """Which units each host has."""
        return {
            found["description"]["host"]: [
                unit["serial"] for unit in found["description"]["units"]
            ]
            for found in self.fleet.agents()
        }


@pytest.fixture
def lab(engine: Engine, clock: Clock) -> Lab:
    clock.advance(timedelta(hours=1))  # when what is posted was over
    with local_client(engine, Settings(rate=0), clock=clock) as nobody:
        Agent(nobody).register()  # without a token, as before there was one
    return Lab(engine, clock)


def refused(answer: httpx2.Response, owner: str = "x", other: str = "y") -> None:
    """With the names of both, and what to send instead."""
    words = detail(answer, 403)
    assert f"belongs to the token {owner}, and {other} may not change it" in words
    assert "an admin's" in words


def test_an_agent_is_renamed_by_its_own_token_and_by_admins_alone(lab: Lab) -> None:
    agent = lab.x.fleet.joined("mine", "s1")
    refused(lab.y.fleet.announce(agent, an_agent("yours")))
    assert lab.x.units() == {"mine": ["s1"]}
    assert lab.boss.fleet.announce(agent, an_agent("ours")).status_code == 200
    assert lab.x.fleet.announce(agent, an_agent("mine")).status_code == 200


def test_no_lease_is_taken_renewed_or_ended_in_the_name_of_anothers_agent(lab: Lab) -> None:
    job, agent = lab.x.fleet.filed(), lab.x.fleet.joined("mine", "s1")
    refused(lab.y.fleet.ask(agent))
    lab.x.fleet.leased(agent)
    refused(lab.y.fleet.renew(job, agent))
    refused(lab.y.fleet.done(job, agent))
    refused(lab.y.fleet.failed(job, agent))
    assert lab.y.fleet.job(job)["state"] == "leased"
    assert lab.boss.fleet.renew(job, agent).status_code == 200
    assert lab.boss.fleet.done(job, agent).status_code == 200


def test_anothers_job_is_neither_cancelled_nor_retried_but_may_be_worked_on(lab: Lab) -> None:
    job = lab.x.fleet.filed()
    refused(lab.y.fleet.cancel(job))
    agent = lab.y.fleet.joined("yours", "s1")
    lab.y.fleet.leased(agent)
    lab.y.fleet.failed(job, agent, again=False).raise_for_status()
    refused(lab.y.fleet.retry(job))
    assert lab.boss.fleet.retry(job).status_code == 200
    assert lab.boss.fleet.cancel(job).status_code == 200
    assert lab.x.fleet.retry(job).status_code == 200
    assert lab.x.fleet.retry(job).status_code == 200, "it waits already"
    deeds = lab.y.client.get("/deeds", params={"subject": str(job)}).json()
    assert [(each["who"], each["what"]) for each in deeds] == [
        ("x", "retried the job"),
        ("boss", "cancelled the job"),
        ("boss", "retried the job"),
        ("x", "filed the job"),
    ]


def test_anothers_session_takes_no_timings(lab: Lab) -> None:
    session, timing = a_session(), a_timing()
    batch = TimingBatch(timings=(timing,)).model_dump_json()
    lab.x.agent.begin(session)
    refused(lab.y.agent.post("/sessions", session.model_dump_json()))
    refused(lab.y.agent.post_timing(session.id, timing))
    refused(lab.y.agent.post(f"/sessions/{session.id}/timings/batch", batch))
    assert lab.y.client.get(f"/sessions/{session.id}").json()["timings"] == []
    assert lab.x.agent.post_timing(session.id, timing).status_code == 201
    assert lab.boss.agent.post_timing(session.id, timing).status_code == 200
    more = a_timing(SPACE.operators[1])
    assert lab.boss.agent.post_timing(session.id, more).status_code == 201


def test_anothers_search_is_told_of_by_nobody_else(lab: Lab) -> None:
    run: SearchRun = a_search()
    epoch = an_epoch().model_dump_json()
    search = lab.x.agent.tell_search(run)
    refused(lab.y.agent.put(f"/searches/{search}", run.model_dump_json()))
    refused(lab.y.agent.put(f"/searches/{search}/epochs/1", epoch))
    assert lab.y.client.get(f"/searches/{search}").json()["epochs"] == []
    assert lab.boss.agent.put(f"/searches/{search}/epochs/1", epoch).status_code == 201
    assert lab.x.agent.put(f"/searches/{search}", run.model_dump_json()).status_code == 200


def test_a_renewed_token_of_the_name_goes_on_with_all_of_it(lab: Lab) -> None:
    session, run, search = a_session(), a_search(), uuid4()
    lab.x.agent.begin(session)
    lab.x.agent.tell_search(run, search=search)
    job, agent = lab.x.fleet.filed(), lab.x.fleet.joined("mine", "s1")
    lab.x.fleet.leased(agent)
    successor = lab.renewed("x")
    assert lab.x.client.get("/devices").status_code == 401
    assert successor.fleet.announce(agent, an_agent("mine", "s1")).status_code == 200
    assert successor.fleet.done(job, agent).status_code == 200
    assert successor.agent.post_timing(session.id, a_timing()).status_code == 201
    successor.agent.tell_search(run, an_epoch(), search=search)


@pytest.fixture
def without_token(engine: Engine, clock: Clock) -> Iterator[TestClient]:
    """Who made things before there was a token."""
    clock.advance(timedelta(hours=1))
    with local_client(engine, Settings(rate=0), clock=clock) as client:
        yield client


def test_what_was_made_without_a_token_is_any_agents(
    without_token: TestClient, engine: Engine, clock: Clock
) -> None:
    fleet, agent = Fleet(without_token), Agent(without_token)
    session, run, search = a_session(), a_search(), uuid4()
    agent.begin(session)
    agent.tell_search(run, search=search)
    job, old = fleet.filed(), fleet.joined("old", "s1")
    fleet.leased(old)

    lab = Lab(engine, clock)
    for holder, operator in ((lab.x, SPACE.operators[1]), (lab.y, SPACE.operators[2])):
        assert holder.agent.post_timing(session.id, a_timing(operator)).status_code == 201
        assert holder.agent.put(f"/searches/{search}", run.model_dump_json()).status_code == 200
    assert lab.x.fleet.renew(job, old).status_code == 200
    refused(lab.y.fleet.renew(job, old))  # since then the agent is the first one's
    refused(lab.y.fleet.announce(old, an_agent("yours")))
    assert lab.y.fleet.cancel(job).status_code == 200


def test_an_admin_who_helps_takes_no_agent_from_the_others(
    without_token: TestClient, engine: Engine, clock: Clock
) -> None:
    old = Fleet(without_token).joined("old")
    lab = Lab(engine, clock)
    assert lab.boss.fleet.announce(old, an_agent("old", "s1")).status_code == 200
    assert lab.x.fleet.announce(old, an_agent("old", "s1")).status_code == 200


def test_a_unit_stays_with_the_agent_that_lives(lab: Lab, clock: Clock) -> None:
    mine = lab.x.fleet.joined("mine", "s1")
    yours = lab.y.fleet.joined("yours", "s1", "s2")
    assert lab.x.units() == {"mine": ["s1"], "yours": ["s2"]}
    lab.x.fleet.filed()
    assert lab.y.fleet.ask(yours, "s1").status_code == 204
    assert lab.x.units() == {"mine": ["s1"], "yours": ["s2"]}
    clock.advance(LEASE - timedelta(seconds=1))
    assert lab.y.fleet.ask(yours, "s1").status_code == 204
    assert lab.x.fleet.leased(mine, "s1").unit == "s1"


@pytest.mark.parametrize("why", ["away", "lost"])
@pytest.mark.parametrize("how", ["announced", "leased"])
def test_a_unit_without_a_living_agent_is_taken_over(
    lab: Lab, clock: Clock, why: str, how: str
) -> None:
    mine = lab.x.fleet.joined("mine", "s1")
    yours = lab.y.fleet.joined("yours")
    lab.x.fleet.filed()
    if why == "away":
        clock.advance(LEASE)
    else:
        lab.x.fleet.announce(mine, an_agent("mine"))
    if how == "announced":
        lab.y.fleet.announce(yours, an_agent("yours", "s1")).raise_for_status()
    else:
        lab.y.fleet.leased(yours, "s1")
    assert lab.x.units() == {"mine": [], "yours": ["s1"]}


def test_a_unit_goes_from_agent_to_agent_of_one_token_and_admins_take_any(lab: Lab) -> None:
    def host_of_s1() -> str:
        (host,) = (host for host, units in lab.x.units().items() if "s1" in units)
        return host

    lab.x.fleet.joined("first", "s1")
    lab.x.fleet.joined("second", "s1")
    assert host_of_s1() == "second"
    lab.boss.fleet.joined("third", "s1")
    assert host_of_s1() == "third"


def test_the_units_of_an_agent_that_is_nobodys_are_any_agents(
    without_token: TestClient, engine: Engine, clock: Clock
) -> None:
    Fleet(without_token).joined("old", "s1")
    lab = Lab(engine, clock)
    yours: UUID = lab.y.fleet.joined("yours", "s1")
    assert lab.y.units() == {"old": [], "yours": ["s1"]}
    lab.y.fleet.filed()
    assert lab.y.fleet.leased(yours, "s1").unit == "s1"
