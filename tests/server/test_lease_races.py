"""Many agents at once: the database decides, and nobody meets an error of the server."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest

from contract.jobs import LEASE, Lease
from tests.server.fleet import Clock, Fleet, a_job, an_agent

pytestmark = pytest.mark.both_databases

THREADS = 16


def test_each_job_is_leased_once_however_many_ask(fleet: Fleet) -> None:
    jobs = [fleet.filed() for _ in range(3 * THREADS)]
    agents = [fleet.joined(f"host-{number}") for number in range(THREADS)]

    def work(number: int) -> list[UUID]:
        agent, unit, did = agents[number], f"s{number}", []
        while lease := fleet.lease(agent, unit):
            assert lease.attempt == 1
            fleet.renew(lease.job.id, agent).raise_for_status()
            fleet.done(lease.job.id, agent).raise_for_status()
            did.append(lease.job.id)
        return did

    with ThreadPoolExecutor(THREADS) as pool:
        done = Counter(job for did in pool.map(work, range(THREADS)) for job in did)
    assert done == Counter(jobs)


def test_of_many_agents_one_gets_the_unit(fleet: Fleet) -> None:
    for _ in range(THREADS):
        fleet.filed()
    agents = [fleet.joined(f"host-{number}") for number in range(THREADS)]
    with ThreadPoolExecutor(THREADS) as pool:
        leases = [lease for lease in pool.map(fleet.lease, agents) if lease]
    assert len(leases) == 1
    assert len(fleet.jobs("?state=leased")) == 1


def test_an_agent_that_asks_many_times_at_once_has_one_lease(fleet: Fleet) -> None:
    for _ in range(THREADS):
        fleet.filed()
    agent = fleet.joined()
    with ThreadPoolExecutor(THREADS) as pool:
        leases = list(pool.map(fleet.leased, [agent] * THREADS))
    assert leases == [leases[0]] * THREADS
    assert len(fleet.jobs("?state=leased")) == 1


def test_leases_that_ran_out_are_taken_back_once_whoever_asks(fleet: Fleet, clock: Clock) -> None:
    jobs = {fleet.filed(a_job(most_attempts=20)) for _ in range(THREADS)}
    agents = [fleet.joined(f"host-{number}") for number in range(THREADS)]
    units = [f"s{number}" for number in range(THREADS)]
    for agent, unit in zip(agents, units, strict=True):
        fleet.leased(agent, unit)
    leases: list[Lease] = []
    with ThreadPoolExecutor(THREADS) as pool:
        for turn in range(1, 4):
            clock.advance(LEASE)
            others = agents[turn:] + agents[:turn]
            leases = [lease for lease in pool.map(fleet.lease, others, units) if lease]
            assert len({lease.job.id for lease in leases}) == len(leases)
            # Who met a row that another was taking back asks again.
            leases += [
                lease
                for agent, unit in zip(others, units, strict=True)
                if unit not in {lease.unit for lease in leases}
                and (lease := fleet.lease(agent, unit))
            ]
            assert {lease.job.id for lease in leases} == jobs
            assert {lease.unit for lease in leases} == set(units)
    attempts = {UUID(report["job"]["id"]): report["attempts"] for report in fleet.jobs()}
    assert attempts == {lease.job.id: lease.attempt for lease in leases} == dict.fromkeys(jobs, 4)


def test_an_outcome_told_many_times_at_once_counts_once(fleet: Fleet) -> None:
    agent, job = fleet.joined(), fleet.filed()
    fleet.leased(agent)
    with ThreadPoolExecutor(THREADS) as pool:
        answers = list(pool.map(lambda _: fleet.failed(job, agent), range(THREADS)))
    assert {answer.status_code for answer in answers} == {200}
    report = fleet.job(job)
    assert (report["state"], report["attempts"]) == ("waiting", 1)


def test_a_job_filed_many_times_at_once_is_stored_once(fleet: Fleet) -> None:
    fleet.register()
    with ThreadPoolExecutor(THREADS) as pool:
        answers = list(pool.map(fleet.file, [a_job()] * THREADS))
    assert Counter(answer.status_code for answer in answers) == {201: 1, 200: THREADS - 1}
    assert len(fleet.jobs()) == 1


@pytest.mark.slow
def test_agents_that_take_each_others_units_and_ask_for_work_at_once_all_succeed(
    fleet: Fleet,
) -> None:
    for _ in range(8):
        fleet.filed()
    agents = [fleet.joined(f"host-{number}", f"s{number}") for number in range(4)]
    serials = [f"s{number}" for number in range(8)]

    def announce_and_ask(turn: int) -> tuple[int, int]:
        agent = agents[turn % 4]
        shown = serials[turn % 5 :] + serials[: turn % 3]
        announced = fleet.announce(agent, an_agent(f"host-{turn % 4}", *shown))
        return announced.status_code, fleet.ask(agent, serials[turn % 8]).status_code

    with ThreadPoolExecutor(THREADS) as pool:
        answers = set(pool.map(announce_and_ask, range(4 * THREADS)))
    assert answers <= {(200, 200), (200, 204)}
    units = [unit["serial"] for agent in fleet.agents() for unit in agent["description"]["units"]]
    assert sorted(units) == sorted(set(units))
    leased = [report["unit"] for report in fleet.jobs("?state=leased")]
    assert sorted(leased) == sorted(set(leased))
