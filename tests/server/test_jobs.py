"""Jobs: filed once, listed, cancelled, tried anew; what cannot be done is refused at once."""

from datetime import timedelta
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient

from contract.jobs import LEASE, Outcome
from contract.runtime import Runtime
from server.store.jobs import MOST_JOBS
from tests.server.fleet import MEASURE, Clock, Fleet, a_job
from tests.server.making import RUNTIME


def test_a_filed_job_waits_and_the_same_one_again_is_the_first(fleet: Fleet) -> None:
    fleet.register()
    job = a_job(priority=7)
    first, second = fleet.file(job), fleet.file(job)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == {
        "job": job.model_dump(mode="json"),
        "state": "waiting",
        "attempts": 0,
        "filed_at": "2026-03-01T12:00:00Z",
        "changed_at": "2026-03-01T12:00:00Z",
        "agent": None,
        "unit": None,
        "expires_at": None,
        "progress": None,
        "reason": None,
        "estimate": None,
    }
    assert second.json() == fleet.job(job.id) == first.json()


@pytest.mark.parametrize(
    "change", [{"priority": 1}, {"most_attempts": 4}, {"work": MEASURE}, {"device": "phone-b"}]
)
def test_other_content_under_a_used_id_is_a_conflict(
    fleet: Fleet, change: dict[str, object]
) -> None:
    job = a_job()
    fleet.register("phone-b")
    fleet.filed(job)
    answer = fleet.file(job.evolve(**change))
    assert answer.status_code == 409
    assert str(job.id) in answer.json()["detail"]
    assert fleet.job(job.id)["job"] == job.model_dump(mode="json")


def test_a_job_for_an_unknown_device_names_near_ones(fleet: Fleet) -> None:
    fleet.register("pixel-8")
    answer = fleet.file(a_job("pixel8"))
    assert answer.status_code == 404
    assert answer.json()["near"] == ["pixel-8"]
    assert fleet.jobs() == []


@pytest.mark.one_database
@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        (MEASURE.blocks[1:], "22 slots, got 21 blocks"),
        (("k3_e2", *MEASURE.blocks[1:]), "layer 1: no block 'k3_e2'"),
        ((*MEASURE.blocks[:-1], "skip"), "layer 22: skip cannot change"),
    ],
)
def test_blocks_that_are_no_network_are_refused_before_a_phone_meets_them(
    fleet: Fleet, blocks: tuple[str, ...], expected: str
) -> None:
    fleet.register()
    answer = fleet.file(a_job(work=MEASURE.evolve(blocks=blocks)))
    assert answer.status_code == 422
    assert expected in answer.json()["detail"]


def test_jobs_are_listed_by_device_and_state_newest_first(fleet: Fleet, clock: Clock) -> None:
    agent = fleet.joined()
    filed = []
    for device in ("phone", "phone-b", "phone"):
        clock.advance(timedelta(seconds=1))
        filed.append(str(fleet.filed(a_job(device))))
    old, other, new = filed
    fleet.done(fleet.leased(agent).job.id, agent)
    fleet.leased(agent)

    def ids(query: str) -> list[str]:
        return [report["job"]["id"] for report in fleet.jobs(query)]

    assert ids("") == [new, other, old]
    assert ids("?device=phone") == [new, old]
    assert ids("?state=done") == [old]
    assert ids("?state=leased") == [new]
    assert ids("?device=phone&state=waiting") == []
    clock.advance(LEASE)
    assert ids("?device=phone&state=waiting") == [new]
    assert ids("?state=leased") == []


@pytest.mark.slow
def test_a_listing_has_the_newest_hundred(fleet: Fleet, clock: Clock) -> None:
    filed = []
    for _ in range(103):
        clock.advance(timedelta(seconds=1))
        filed.append(str(fleet.filed()))
    assert [report["job"]["id"] for report in fleet.jobs()] == filed[:2:-1]


def test_a_listing_of_an_unknown_device_names_near_ones(fleet: Fleet, client: TestClient) -> None:
    fleet.register("pixel-8")
    answer = client.get("/jobs?device=pixel8")
    assert answer.status_code == 404
    assert answer.json()["near"] == ["pixel-8"]


def test_a_cancelled_job_is_never_begun(fleet: Fleet) -> None:
    agent, job = fleet.joined(), fleet.filed()
    first, second = fleet.cancel(job), fleet.cancel(job)
    assert (first.status_code, second.status_code) == (200, 200)
    assert second.json() == first.json() == fleet.job(job)
    assert first.json()["state"] == "cancelled"
    assert fleet.lease(agent) is None


def test_who_works_on_a_cancelled_job_learns_it_at_the_next_word(fleet: Fleet) -> None:
    agent, job = fleet.joined(), fleet.filed()
    fleet.leased(agent)
    assert fleet.cancel(job).json()["expires_at"] is None
    for answer in (fleet.renew(job, agent), fleet.done(job, agent), fleet.failed(job, agent)):
        assert answer.status_code == 409
        assert "it is cancelled; leave it" in answer.json()["detail"]
    assert fleet.job(job)["state"] == "cancelled"


def test_the_unit_of_a_cancelled_job_is_kept_from_others_until_its_agent_lets_go(
    fleet: Fleet, clock: Clock
) -> None:
    mine, other = fleet.joined("mine"), fleet.joined("other")
    cancelled = fleet.filed()
    fleet.leased(mine)
    fleet.cancel(cancelled)
    waiting = fleet.filed()
    assert fleet.lease(other, "s1") is None
    assert fleet.leased(mine, "s1").job.id == waiting

    fleet.cancel(waiting)
    last = fleet.filed()
    assert fleet.lease(other, "s1") is None
    clock.advance(LEASE)
    assert fleet.leased(other, "s1").job.id == last


def test_a_job_cancelled_and_retried_is_not_begun_beside_its_last_attempt(
    fleet: Fleet, clock: Clock
) -> None:
    mine, other = fleet.joined("mine"), fleet.joined("other")
    job = fleet.filed()
    fleet.leased(mine, "s1")
    fleet.cancel(job)
    assert fleet.retry(job).json()["state"] == "waiting"
    assert fleet.lease(other, "s2") is None
    clock.advance(LEASE)
    assert fleet.leased(other, "s2").attempt == 2
    assert fleet.renew(job, mine, 1).status_code == 409


def test_a_dead_job_waits_again_with_all_its_attempts(fleet: Fleet) -> None:
    agent, job = fleet.joined(), fleet.filed(a_job(most_attempts=2))
    for _ in range(2):
        fleet.failed(job, agent, fleet.leased(agent).attempt)
    assert fleet.job(job)["state"] == "dead"
    assert fleet.retry(job).json()["state"] == "waiting"
    for attempt in (3, 4):
        lease = fleet.leased(agent)
        assert lease.attempt == attempt  # a number never fences two
        report = fleet.failed(job, agent, attempt).json()
    assert (report["state"], report["attempts"]) == ("dead", 4)


def test_what_waits_may_be_retried_and_what_runs_or_is_done_may_not(fleet: Fleet) -> None:
    agent, job = fleet.joined(), fleet.filed()
    assert fleet.retry(job).json()["state"] == "waiting"
    fleet.leased(agent)
    assert "cancel it first" in fleet.retry(job).json()["detail"]
    fleet.done(job, agent)
    answer = fleet.retry(job)
    assert answer.status_code == 409
    assert "file a new one" in answer.json()["detail"]


@pytest.mark.parametrize("state", ["done", "dead"])
def test_what_has_ended_cannot_be_cancelled(fleet: Fleet, state: str) -> None:
    agent, job = fleet.joined(), fleet.filed()
    fleet.leased(agent)
    ended = fleet.done(job, agent) if state == "done" else fleet.failed(job, agent, again=False)
    answer = fleet.cancel(job)
    assert answer.status_code == 409
    assert f"is {state}" in answer.json()["detail"]
    assert fleet.job(job) == ended.json()


@pytest.mark.parametrize("path", ["", "/cancel", "/retry", "/renew", "/finish"])
def test_a_job_that_is_not_there_is_said_so(fleet: Fleet, client: TestClient, path: str) -> None:
    job, agent = uuid4(), fleet.joined()
    answer = {
        "": lambda: client.get(f"/jobs/{job}"),
        "/cancel": lambda: fleet.cancel(job),
        "/retry": lambda: fleet.retry(job),
        "/renew": lambda: fleet.renew(job, agent),
        "/finish": lambda: fleet.finish(job, Outcome(agent=agent, attempt=1, done=True)),
    }[path]()
    assert answer.status_code == 404
    assert "`GET /jobs` lists the newest" in answer.json()["detail"]


def test_a_job_under_a_foreign_runtime_is_refused(fleet: Fleet) -> None:
    foreign = Runtime.model_validate({**RUNTIME.model_dump(), "backend": "foreign"})
    job = a_job().evolve(runtime=foreign)
    fleet.joined()
    answer = fleet.file(job)
    assert answer.status_code == 422
    assert "no agent measures under foreign-" in answer.json()["detail"]


@pytest.mark.slow
def test_a_listing_goes_on_after_its_last_job(
    fleet: Fleet, clock: Clock, client: TestClient
) -> None:
    fleet.joined()
    filed = []
    for number in range(MOST_JOBS + 30):
        filed.append(str(fleet.filed()))
        if number % 3 == 0:  # some at the same moment
            clock.advance(timedelta(seconds=1))
    first = fleet.jobs()
    rest = fleet.jobs(f"?before={first[-1]['job']['id']}")
    assert (len(first), len(rest)) == (MOST_JOBS, 30)
    assert {each["job"]["id"] for each in (*first, *rest)} == set(filed)
    unknown = client.get(f"/jobs?before={uuid4()}")
    assert (unknown.status_code, "leave `before` out" in unknown.text) == (404, True)
