"""The page of jobs and agents: every state in words, and what to do where there is nothing."""

import re
from datetime import timedelta

from fastapi.testclient import TestClient

from contract.jobs import LEASE, AuditTable, Profile, Progress
from tests.server.conftest import Agent
from tests.server.fleet import MEASURE, Clock, Fleet, a_job
from tests.server.making import SPACE, a_session, a_timing


def text(html: str) -> str:
    """What a person reads, blanks and line breaks made alike."""
    return " ".join(re.sub(r"<[^>]+>", " ", html).split()).replace(" ,", ",")


def test_an_empty_page_teaches_where_jobs_and_agents_come_from(client: TestClient) -> None:
    html = client.get("/fleet").text
    assert "python -m search.run --device host --profile-missing" in html
    assert "python -m device_agent.serve" in html


def test_the_other_pages_lead_there(client: TestClient) -> None:
    assert 'href="/fleet"' in client.get("/").text


def test_each_job_says_its_state_in_words(fleet: Fleet, clock: Clock) -> None:
    agent = fleet.joined("lab-1", "s1")
    done = fleet.filed(a_job(work=Profile(space=SPACE.name, again=True)))
    fleet.leased(agent)
    fleet.done(done, agent)
    dead = fleet.filed(a_job(work=AuditTable(space=SPACE.name)))
    fleet.leased(agent)
    fleet.failed(dead, agent, again=False)
    fleet.cancel(fleet.filed())
    running = fleet.filed(a_job(work=MEASURE, priority=9))
    fleet.leased(agent)
    fleet.renew(running, agent, progress=Progress(what="visits of round 2", done=3, total=8))
    fleet.filed(a_job(priority=-4))

    page = fleet.page()
    seen = text(page)
    for words in (
        "profile fbnet-32, standard effort, every operator anew",
        "audit fbnet-32 with 50 networks of seed 0, standard effort",
        "measure a network of fbnet-32",
        "done, since",
        "dead: given up after 1 attempt, since",
        "too hot",
        "cancelled, since",
        "being worked on, attempt 1, since",
        "3 of 8: visits of round 2",
        "lab-1, s1",
        "phone s1",
    ):
        assert words in seen
    assert f'<a href="/jobs/{running}">' in page

    clock.advance(LEASE + timedelta(seconds=1))
    later = text(fleet.page())
    assert "being worked on" not in later
    assert "waiting, after 1 attempt, since" in later
    assert "on lab-1 with unit s1 was not heard of" in later


def test_what_agents_and_phones_call_themselves_is_no_markup(fleet: Fleet) -> None:
    agent = fleet.joined("<script>alert(1)</script>")
    job = fleet.filed()
    fleet.leased(agent)
    fleet.failed(job, agent)
    assert "<script>alert" not in fleet.page()
    assert "&lt;script&gt;alert(1)" in fleet.page()


def test_an_agent_without_phones_is_listed(fleet: Fleet) -> None:
    fleet.joined("lab-2")
    assert "lab-2 0.1.0 none attached" in text(fleet.page())


def test_the_device_page_names_the_phone_of_its_newest_session(
    agent: Agent, client: TestClient
) -> None:
    session = a_session().evolve(unit="R58M:1")
    agent.tell(agent.begin(session), a_timing())
    assert "agent 0.1.0, unit R58M:1." in client.get("/devices/phone").text
