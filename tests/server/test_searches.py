"""Searches as they are told: once, in any order of repeats, and never at odds with themselves."""

from datetime import timedelta
from uuid import uuid4

import httpx
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from contract.client import TableClient
from contract.searches import Elsewhere, SearchReport, SearchRun, SearchSummary
from tests.server.conftest import Agent, local_client
from tests.server.fleet import Clock
from tests.server.making import (
    NOON,
    PHONE,
    TWO_THREADS,
    a_finding,
    a_plan,
    a_search,
    an_epoch,
    unchecked,
)

BLOCKS = a_finding().architecture


def report(client: TestClient, search: object) -> SearchReport:
    return SearchReport.model_validate(client.get(f"/searches/{search}").json())


def listed(client: TestClient, query: str = "") -> list[SearchSummary]:
    answer = client.get(f"/searches{query}").raise_for_status()
    return [SearchSummary.model_validate(each) for each in answer.json()]


def test_a_search_is_told_as_it_goes_on_and_read_back_whole(
    client: TestClient, agent: Agent
) -> None:
    plan, epochs = a_plan(target_us=1600), [an_epoch(number) for number in (1, 2, 3)]
    search = agent.tell_search(a_search(plan), *epochs)
    found = a_finding(measured_us=1520)
    agent.tell_search(a_search(plan, found=found), search=search)
    whole = report(client, search)
    assert whole.run == a_search(plan, found=found)
    assert whole.epochs == tuple(epochs)
    (summary,) = listed(client)
    assert (summary.id, summary.plan, summary.state, summary.epochs) == (
        search,
        plan,
        "finished",
        3,
    )
    assert summary.result is not None
    assert (summary.result.measured_us, summary.result.architecture) == (1520, BLOCKS)


def test_what_is_told_again_changes_nothing(client: TestClient, agent: Agent) -> None:
    run, search = a_search(), uuid4()
    agent.register()
    for status in (201, 200):
        answer = agent.put(f"/searches/{search}", run.model_dump_json())
        assert answer.status_code == status
    for status in (201, 200):
        answer = agent.put(f"/searches/{search}/epochs/2", an_epoch(2).model_dump_json())
        assert (answer.status_code, answer.json()["epoch"]) == (status, 2)
    assert report(client, search).epochs == (an_epoch(2),)


def test_another_plan_or_epoch_under_the_same_id_is_refused(
    client: TestClient, agent: Agent
) -> None:
    search = agent.tell_search(a_search(), an_epoch(1))
    other = agent.put(f"/searches/{search}", a_search(a_plan(seed=1)).model_dump_json())
    assert (other.status_code, "another plan" in other.json()["detail"]) == (409, True)
    changed = an_epoch(1).evolve(theta_loss=0.5)
    refused = agent.put(f"/searches/{search}/epochs/1", changed.model_dump_json())
    assert (refused.status_code, "other content" in refused.json()["detail"]) == (409, True)
    assert report(client, search).epochs == (an_epoch(1),)


def test_a_stopped_search_tells_why_and_may_go_on(client: TestClient, agent: Agent) -> None:
    plan = a_plan()
    stopped = SearchRun(plan=plan, state="stopped", reason="Ctrl-C")
    search = agent.tell_search(stopped, an_epoch(1))
    assert [summary.reason for summary in listed(client, "?state=stopped")] == ["Ctrl-C"]
    agent.tell_search(a_search(plan), an_epoch(2), search=search)
    assert listed(client, "?state=stopped") == []
    assert report(client, search).run.reason is None


def test_what_was_found_stays_when_the_run_goes_on(client: TestClient, agent: Agent) -> None:
    plan, found = a_plan(), a_finding()
    elsewhere = Elsewhere(
        target="tablet",
        device="tablet",
        runtime=TWO_THREADS,
        snapshot=plan.snapshot,
        predicted_us=900.0,
    )
    told = a_search(plan, found=found).evolve(elsewhere=(elsewhere,))
    search = agent.tell_search(told)
    agent.tell_search(SearchRun(plan=plan), search=search)
    stored = report(client, search).run
    assert (stored.state, stored.result, stored.elsewhere) == ("running", found, (elsewhere,))


@pytest.mark.one_database
@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("", a_search(a_plan("fone")).model_dump_json(), 404, "did you mean phone?"),
        (
            "",
            a_search(a_plan(minutes=-60 * 24 * 365 * 40)).model_dump_json(),
            422,
            "plan.started_at",
        ),
        ("", unchecked(a_search(found=a_finding()), result=None), 422, "has a result"),
        (
            "",
            a_search(found=a_finding().evolve(architecture=BLOCKS[1:])).model_dump_json(),
            422,
            "22 slots, got 21",
        ),
        (
            "",
            unchecked(
                a_search(found=a_finding()),
                result=a_finding().model_dump(mode="json") | {"layers": []},
            ),
            422,
            "result.layers",
        ),
        ("/epochs/2", an_epoch(1).model_dump_json(), 422, "of epoch 1, and the address of 2"),
        ("/epochs/0", an_epoch(1).model_dump_json(), 422, "path.number"),
        (
            "/epochs/1",
            an_epoch(1).evolve(theta=((1.0,),)).model_dump_json(),
            422,
            "each of its 22 slots",
        ),
    ],
    ids=[
        *("device", "clock", "no-result", "slots", "layers"),
        *("number", "zero", "theta"),
    ],
)
def test_what_contradicts_itself_is_refused_with_the_reason(
    agent: Agent, path: str, body: str, status: int, words: str
) -> None:
    search = agent.tell_search(a_search())
    answer = agent.put(f"/searches/{search}{path}", body)
    assert answer.status_code == status
    assert words in answer.json()["detail"]


def test_epochs_of_an_unknown_search_are_refused(client: TestClient, agent: Agent) -> None:
    nobody = uuid4()
    answer = agent.put(f"/searches/{nobody}/epochs/1", an_epoch(1).model_dump_json())
    assert (answer.status_code, f"no search {nobody}" in answer.json()["detail"]) == (404, True)
    assert client.get(f"/searches/{nobody}").status_code == 404


def test_the_newest_come_first_and_can_be_chosen_by_device(
    client: TestClient, agent: Agent
) -> None:
    old = agent.tell_search(a_search(a_plan(minutes=0)))
    new = agent.tell_search(a_search(a_plan(minutes=5, runtime=TWO_THREADS)))
    tablet = agent.tell_search(a_search(a_plan("tablet", minutes=3)))
    assert [summary.id for summary in listed(client)] == [new, tablet, old]
    assert [summary.id for summary in listed(client, "?device=tablet")] == [tablet]
    assert [summary.id for summary in listed(client, "?space=fbnet-224")] == []
    assert client.get("/searches?device=fone").status_code == 404


def test_each_new_word_tells_when_the_search_was_heard_of(engine: Engine, clock: Clock) -> None:
    with local_client(engine, clock=clock) as client:
        agent = Agent(client)
        search = agent.tell_search(a_search())
        clock.advance(timedelta(minutes=1))
        agent.tell_search(a_search(), an_epoch(1), search=search)
        clock.advance(timedelta(minutes=1))
        agent.put(f"/searches/{search}/epochs/1", an_epoch(1).model_dump_json())
        assert report(client, search).heard_at == NOON + timedelta(minutes=1)


def test_the_client_tells_and_reads_over_http(address: str) -> None:
    with httpx.Client(base_url=address) as http:
        client, search, plan = TableClient(http), uuid4(), a_plan()
        client.register("phone", PHONE)
        assert client.tell_search(search, a_search(plan)).epochs == 0
        assert client.tell_epoch(search, an_epoch(1)) == an_epoch(1)
        assert client.search(search).epochs == (an_epoch(1),)
        assert [found.id for found in client.searches("phone")] == [search]
