"""Leases: one per job and one per unit, ended by the agent or by the clock, fenced by number."""

from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import Engine, update
from sqlalchemy.exc import IntegrityError

from contract.estimates import estimate
from contract.footprint import Footprint
from contract.jobs import LEASE, RENEW_EVERY, Outcome, Progress
from contract.levels import AtLevel
from server.database.records import JobRecord
from tests.server.fleet import MEASURE, Clock, Fleet, a_job
from tests.server.making import NOON, an_at_level

pytestmark = pytest.mark.both_databases


def test_a_lease_names_the_job_the_attempt_and_its_end(fleet: Fleet) -> None:
    agent, job = fleet.joined("lab", "s1"), a_job()
    fleet.filed(job)
    lease = fleet.leased(agent, "s1")
    assert (lease.job, lease.unit, lease.attempt) == (job, "s1", 1)
    assert lease.expires_at == NOON + LEASE
    report = fleet.job(job.id)
    assert (report["state"], report["agent"], report["unit"]) == ("leased", str(agent), "s1")
    assert report["expires_at"] == "2026-03-01T12:01:00Z"


def test_the_highest_priority_goes_first_then_the_oldest(fleet: Fleet, clock: Clock) -> None:
    agent, filed = fleet.joined(), []
    for priority in (0, 5, 0, 5, -1):
        filed.append(fleet.filed(a_job(priority=priority)))
        clock.advance(timedelta(seconds=1))
    order = []
    for _ in filed:
        lease = fleet.leased(agent)
        order.append(filed.index(lease.job.id))
        fleet.done(lease.job.id, agent)
    assert order == [1, 3, 0, 2, 4]
    assert fleet.ask(agent).status_code == 204


def test_a_unit_gets_only_work_for_its_device(fleet: Fleet) -> None:
    agent = fleet.joined()
    fleet.filed(a_job("other"))
    assert fleet.lease(agent, "s1", "phone") is None


def test_two_units_work_at_the_same_time(fleet: Fleet) -> None:
    agent = fleet.joined()
    fleet.filed(), fleet.filed()
    assert fleet.leased(agent, "s1").job.id != fleet.leased(agent, "s2").job.id


def test_an_agent_that_comes_back_gets_its_own_lease_again_as_it_was(
    fleet: Fleet, clock: Clock
) -> None:
    agent = fleet.joined()
    fleet.filed(), fleet.filed()
    lease = fleet.leased(agent)
    clock.advance(RENEW_EVERY)
    assert fleet.leased(agent) == lease


def test_nobody_else_gets_a_unit_that_is_at_work_until_the_lease_ends(
    fleet: Fleet, clock: Clock
) -> None:
    mine, other = fleet.joined("mine"), fleet.joined("other")
    jobs = {fleet.filed(), fleet.filed()}
    fleet.leased(mine, "s1")
    assert fleet.ask(other, "s1").status_code == 204
    clock.advance(LEASE - timedelta(seconds=1))
    assert fleet.ask(other, "s1").status_code == 204
    clock.advance(timedelta(seconds=1))
    assert fleet.leased(other, "s1").job.id in jobs


def test_renewing_keeps_the_lease_and_tells_the_progress(fleet: Fleet, clock: Clock) -> None:
    agent, job = fleet.joined(), fleet.filed()
    fleet.leased(agent)
    for done in range(10):
        clock.advance(RENEW_EVERY)
        answer = fleet.renew(job, agent, progress=Progress(what="visits", done=done, total=10))
        assert answer.status_code == 200
    assert answer.json()["expires_at"] == "2026-03-01T12:03:30Z"
    assert fleet.job(job)["progress"] == {"what": "visits", "done": 9, "total": 10}
    fleet.renew(job, agent)
    assert fleet.job(job)["progress"]["done"] == 9


def test_a_lease_that_is_not_renewed_ends_and_its_attempt_with_it(
    fleet: Fleet, clock: Clock
) -> None:
    slow, quick = fleet.joined("slow-host"), fleet.joined("quick-host")
    job = fleet.filed()
    fleet.leased(slow, "s1")
    fleet.renew(job, slow, progress=Progress(what="visits", done=1, total=9))
    clock.advance(LEASE)

    lost = fleet.job(job)
    assert (lost["state"], lost["attempts"], lost["expires_at"]) == ("waiting", 1, None)
    assert lost["changed_at"] == "2026-03-01T12:01:00Z"
    assert "attempt 1" in lost["reason"]
    assert f"{slow} on slow-host with unit s1" in lost["reason"]
    assert fleet.renew(job, slow).status_code == 409

    again = fleet.leased(quick, "s2")
    assert (again.job.id, again.attempt) == (job, 2)
    assert fleet.job(job)["progress"] is None
    for answer in (fleet.renew(job, slow), fleet.done(job, slow), fleet.failed(job, slow)):
        assert answer.status_code == 409
        assert f"attempt 2 of agent {quick} works on it" in answer.json()["detail"]
    assert fleet.done(job, quick, 2).status_code == 200


def test_the_same_agent_is_fenced_from_its_own_earlier_attempt(fleet: Fleet, clock: Clock) -> None:
    agent, job = fleet.joined(), fleet.filed()
    fleet.leased(agent)
    clock.advance(LEASE)
    assert fleet.leased(agent).attempt == 2
    assert fleet.renew(job, agent, 1).status_code == 409
    assert fleet.done(job, agent, 1).status_code == 409
    assert fleet.renew(job, agent, 2).status_code == 200


def test_nobody_renews_or_ends_the_lease_of_another(fleet: Fleet) -> None:
    agent, job = fleet.joined(), fleet.filed()
    fleet.leased(agent)
    for other in (fleet.joined("other"), uuid4()):
        assert fleet.renew(job, other).status_code == 409
        assert fleet.done(job, other).status_code == 409
    assert fleet.job(job)["state"] == "leased"


def test_a_job_whose_agents_all_fell_silent_is_dead_with_the_reason(
    fleet: Fleet, clock: Clock
) -> None:
    agent, job = fleet.joined("lab"), fleet.filed(a_job(most_attempts=2))
    for _ in range(2):
        fleet.leased(agent)
        clock.advance(LEASE)
    read = fleet.job(job)
    assert read["state"] == "dead"
    assert f"attempt 2: agent {agent} on lab with unit s1" in read["reason"]
    assert [report["state"] for report in fleet.jobs("?state=dead")] == ["dead"]
    assert fleet.lease(agent) is None
    assert fleet.job(job) == read  # taken back now, and told as before


def test_a_failed_attempt_is_followed_by_another_up_to_the_limit(fleet: Fleet) -> None:
    agent, job = fleet.joined(), fleet.filed(a_job(most_attempts=2))
    first = fleet.failed(job, agent, fleet.leased(agent).attempt).json()
    assert (first["state"], first["reason"]) == ("waiting", "too hot")
    second = fleet.failed(job, agent, fleet.leased(agent).attempt).json()
    assert (second["state"], second["reason"], second["attempts"]) == ("dead", "too hot", 2)
    assert (second["agent"], second["unit"]) == (str(agent), "s1")


def test_a_job_that_agents_gave_back_has_all_its_attempts(fleet: Fleet) -> None:
    agent, job = fleet.joined(), fleet.filed(a_job(most_attempts=1))
    for _ in range(3):
        report = fleet.failed(job, agent, fleet.leased(agent).attempt, counts=False).json()
        assert report["state"] == "waiting"
    report = fleet.failed(job, agent, fleet.leased(agent).attempt).json()
    assert (report["state"], report["attempts"]) == ("dead", 4)


def test_what_cannot_go_better_is_dead_at_once(fleet: Fleet) -> None:
    agent, job = fleet.joined(), fleet.filed()
    fleet.leased(agent)
    report = fleet.failed(job, agent, again=False).json()
    assert (report["state"], report["attempts"]) == ("dead", 1)
    assert fleet.lease(agent) is None


@pytest.mark.parametrize("done", [True, False])
def test_the_same_outcome_told_again_is_answered_alike(
    fleet: Fleet, clock: Clock, done: bool
) -> None:
    agent, job = fleet.joined(), fleet.filed()
    fleet.leased(agent)
    tell = fleet.done if done else fleet.failed
    first = tell(job, agent)
    clock.advance(timedelta(minutes=5))
    second = tell(job, agent)
    assert (first.status_code, second.status_code) == (200, 200)
    assert second.json() == first.json()


def test_another_outcome_of_an_attempt_that_has_ended_is_refused(fleet: Fleet) -> None:
    agent, job = fleet.joined(), fleet.filed()
    fleet.leased(agent)
    fleet.done(job, agent)
    answer = fleet.failed(job, agent)
    assert answer.status_code == 409
    assert "since it is done" in answer.json()["detail"]


def test_an_outcome_told_again_leaves_the_next_attempt_alone(fleet: Fleet) -> None:
    agent, job = fleet.joined(), fleet.filed()
    fleet.leased(agent)
    fleet.failed(job, agent)
    fleet.leased(agent)
    assert fleet.failed(job, agent).json()["state"] == "leased"
    assert fleet.renew(job, agent, 2).status_code == 200


def test_a_measured_network_needs_its_estimate_and_keeps_it(fleet: Fleet) -> None:
    agent, job = fleet.joined(), fleet.filed(a_job(work=MEASURE))
    fleet.leased(agent)
    answer = fleet.done(job, agent)
    assert answer.status_code == 422
    assert "needs its estimate" in answer.json()["detail"]
    measured = estimate([[100.0, 101.0], [100.5, 102.0]])
    answer = fleet.finish(job, Outcome(agent=agent, attempt=1, done=True, estimate=measured))
    assert answer.json()["estimate"] == measured.model_dump(mode="json")
    assert fleet.job(job)["state"] == "done"
    assert not {"footprint", "at_level"} & answer.json().keys()  # of an agent of before


@pytest.mark.parametrize("peak", [{}, {"peak_bytes": 3 << 20}])
def test_what_a_measured_network_takes_besides_is_kept_as_told(
    fleet: Fleet, peak: dict[str, int]
) -> None:
    agent, job = fleet.joined(), fleet.filed(a_job(work=MEASURE))
    fleet.leased(agent)
    told = {"load_ms": 38.5, "first_run_ms": 14.0, **peak}
    outcome = Outcome(
        agent=agent,
        attempt=1,
        done=True,
        estimate=estimate([[100.0, 101.0], [100.5, 102.0]]),
        footprint=Footprint.model_validate(told),
        at_level=an_at_level(96.2),
    )
    for _ in range(2):  # told again, it changes nothing
        assert fleet.finish(job, outcome).json()["footprint"] == told
    assert fleet.job(job)["footprint"] == told
    assert AtLevel.model_validate(fleet.job(job)["at_level"]) == an_at_level(96.2)


@pytest.mark.one_database
@pytest.mark.parametrize("reason", [None, ""])
def test_a_failure_without_a_reason_is_refused(fleet: Fleet, reason: str | None) -> None:
    agent, job = fleet.joined(), fleet.filed()
    fleet.leased(agent)
    outcome = {"agent": str(agent), "attempt": 1, "done": False, "reason": reason}
    answer = fleet.post_raw(f"/jobs/{job}/finish", outcome)
    assert answer.status_code == 422
    assert fleet.job(job)["state"] == "leased"


def test_the_database_itself_keeps_a_unit_to_one_job(fleet: Fleet, engine: Engine) -> None:
    agent = fleet.joined()
    fleet.filed(), fleet.filed()
    fleet.leased(agent, "s1")
    second = fleet.leased(agent, "s2").job.id
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(update(JobRecord).where(JobRecord.id == second).values(unit="s1"))


def test_a_clock_that_was_set_back_keeps_no_lease_alive(fleet: Fleet, clock: Clock) -> None:
    agent, other = fleet.joined("lab", "s1"), fleet.joined("desk", "s2")
    job = fleet.filed()
    fleet.leased(agent, "s1")
    clock.advance(-timedelta(hours=5))
    assert fleet.lease(other, "s2") is None, "its agent may live, and has a lease's time to say so"
    clock.advance(LEASE + timedelta(seconds=1))
    assert fleet.leased(other, "s2").job.id == job
