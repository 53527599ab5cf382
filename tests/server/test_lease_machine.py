"""Leases against a model of them, over every order of events that Hypothesis thinks of."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import httpx2
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Engine, delete

from contract.jobs import LEASE, JobState
from server.database.records import AgentRecord, JobRecord, UnitRecord
from tests.server.fleet import Clock, Fleet, a_job

pytestmark = pytest.mark.slow

AGENTS = ("north", "south")
UNITS = ("s1", "s2")
MOST_ATTEMPTS = 2
MOST_JOBS = 3  # few, so that events meet

Attempt = tuple[UUID, UUID, int]  # job, agent, number


@dataclass(kw_only=True, slots=True)
class ModelJob:
    """What a job should be. `held_until` is set while its last attempt has its unit."""

    priority: int
    filed: int
    state: JobState = "waiting"
    attempts: int = 0
    counted: int = 0
    agent: UUID | None = None
    unit: str | None = None
    held_until: datetime | None = None
    told: tuple[UUID, int, str] | None = None


class LeaseMachine(RuleBasedStateMachine):
    """Two units that two agents reach, and jobs that come and go."""

    attempts = Bundle("attempts")
    filed = Bundle("filed")

    def __init__(self, fleet: Fleet, clock: Clock, engine: Engine) -> None:
        super().__init__()
        self.fleet, self.clock = fleet, clock
        self.jobs: dict[UUID, ModelJob] = {}
        self.finished: set[UUID] = set()
        self.seen_attempts: dict[UUID, int] = {}
        with engine.begin() as connection:
            for record in (JobRecord, UnitRecord, AgentRecord):
                connection.execute(delete(record))
        fleet.register()
        self.agents = [fleet.joined(host) for host in AGENTS]

    @initialize(target=filed)
    def begin(self) -> UUID:
        return self._file(0)

    @precondition(lambda self: len(self.jobs) < MOST_JOBS)
    @rule(target=filed, priority=st.integers(0, 1))
    def file(self, priority: int) -> UUID:
        return self._file(priority)

    @rule(target=attempts, who=st.sampled_from(range(len(AGENTS))), unit=st.sampled_from(UNITS))
    def lease(self, who: int, unit: str) -> Attempt | MultipleResults[Attempt]:
        agent = self.agents[who]
        expected = self._expected(agent, unit)
        lease = self.fleet.lease(agent, unit)
        assert (lease and lease.job.id) == expected
        if lease is None or expected is None:
            return multiple()
        job = self.jobs[expected]
        if job.state != "leased":
            job.state, job.agent, job.unit = "leased", agent, unit
            job.attempts += 1
            job.counted += 1
            job.held_until = self.clock.now + LEASE
        assert (lease.unit, lease.attempt, lease.expires_at) == (
            unit,
            job.attempts,
            job.held_until,
        )
        return expected, agent, job.attempts

    @rule(attempt=attempts)
    def renew(self, attempt: Attempt) -> None:
        answer = self.fleet.renew(*attempt)
        if self._is_live(attempt):
            assert answer.status_code == 200
            self.jobs[attempt[0]].held_until = self.clock.now + LEASE
        else:
            assert answer.status_code == 409

    @rule(attempt=attempts)
    def finish(self, attempt: Attempt) -> None:
        self._end(attempt, "done", self.fleet.done)

    @rule(attempt=attempts, again=st.booleans())
    def fail(self, attempt: Attempt, again: bool) -> None:
        def failed(job: UUID, agent: UUID, number: int) -> httpx2.Response:
            return self.fleet.failed(job, agent, number, again=again)

        self._end(attempt, f"failed, again: {again}", failed)

    @rule(job_id=filed)
    def cancel(self, job_id: UUID) -> None:
        job = self.jobs[job_id]
        ended = job.state in ("done", "dead")
        assert self.fleet.cancel(job_id).status_code == (409 if ended else 200)
        if not ended:
            job.state = "cancelled"

    @rule(job_id=filed)
    def retry(self, job_id: UUID) -> None:
        job = self.jobs[job_id]
        refused = job.state in ("leased", "done")
        assert self.fleet.retry(job_id).status_code == (409 if refused else 200)
        if job.state in ("dead", "cancelled"):
            job.state, job.counted = "waiting", 0

    @rule(share=st.sampled_from((0.5, 1.0)))
    def time_passes(self, share: float) -> None:
        self.clock.advance(LEASE * share)
        for job in self.jobs.values():
            if job.held_until is not None and job.held_until <= self.clock.now:
                job.held_until = None
                if job.state == "leased":
                    job.state = "dead" if job.counted == MOST_ATTEMPTS else "waiting"

    @invariant()
    def everyone_reads_what_the_model_says(self) -> None:
        reports = {UUID(report["job"]["id"]): report for report in self.fleet.jobs()}
        assert reports.keys() == self.jobs.keys()
        units = []
        for job_id, job in self.jobs.items():
            report = reports[job_id]
            assert (report["state"], report["attempts"]) == (job.state, job.attempts)
            assert (report["expires_at"] is not None) == (job.state == "leased")
            assert job.state != "dead" or report["reason"]
            assert report["attempts"] >= self.seen_attempts.get(job_id, 0)
            assert job_id not in self.finished or job.state == "done"
            self.seen_attempts[job_id] = report["attempts"]
            if report["expires_at"]:
                units.append(report["unit"])
        assert len(set(units)) == len(units)
        waiting = {UUID(report["job"]["id"]) for report in self.fleet.jobs("?state=waiting")}
        assert waiting == {job_id for job_id, job in self.jobs.items() if job.state == "waiting"}

    def _file(self, priority: int) -> UUID:
        self.clock.advance(timedelta(microseconds=1))
        new = self.fleet.filed(a_job(priority=priority, most_attempts=MOST_ATTEMPTS))
        self.jobs[new] = ModelJob(priority=priority, filed=len(self.jobs))
        return new

    def _expected(self, agent: UUID, unit: str) -> UUID | None:
        """The job that this agent should get; a hold of its own cancelled job ends here."""
        for job_id, job in self.jobs.items():
            if job.held_until is not None and job.unit == unit:
                if job.agent != agent:
                    return None
                if job.state == "leased":
                    return job_id
                job.held_until = None
        free = [
            (-job.priority, job.filed, job_id)
            for job_id, job in self.jobs.items()
            if job.state == "waiting" and job.held_until is None
        ]
        return min(free)[2] if free else None

    def _is_live(self, attempt: Attempt) -> bool:
        job_id, agent, number = attempt
        job = self.jobs[job_id]
        return job.state == "leased" and (job.agent, job.attempts) == (agent, number)

    def _end(
        self,
        attempt: Attempt,
        how: str,
        tell: Callable[[UUID, UUID, int], httpx2.Response],
    ) -> None:
        job_id, agent, number = attempt
        job = self.jobs[job_id]
        answer = tell(job_id, agent, number)
        if job.told == (agent, number, how):
            assert answer.status_code == 200
            return
        if not self._is_live(attempt):
            assert answer.status_code == 409
            return
        assert answer.status_code == 200
        job.told, job.held_until = (agent, number, how), None
        if how == "done":
            assert job_id not in self.finished
            self.finished.add(job_id)
            job.state = "done"
        else:
            hopeless = how.endswith("False") or job.counted == MOST_ATTEMPTS
            job.state = "dead" if hopeless else "waiting"


def test_no_order_of_events_breaks_a_lease(fleet: Fleet, clock: Clock, engine: Engine) -> None:
    run_state_machine_as_test(
        lambda: LeaseMachine(fleet, clock, engine),  # type: ignore[arg-type]  # a factory will do
        settings=settings(
            max_examples=20,
            stateful_step_count=50,
            deadline=None,
            database=None,
            phases=[Phase.generate],  # to shorten a failure takes longer than a test may
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
