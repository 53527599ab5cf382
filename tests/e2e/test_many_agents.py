"""A hundred agents at a thousand short jobs: each is done once, and no lease is lost."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import select

from contract.client import TableClient
from contract.jobs import (
    AgentDescription,
    Job,
    LeaseRequest,
    Outcome,
    Profile,
    Progress,
    Renewal,
    UnitDescription,
)
from server.database.engine import open_database
from server.database.records import JobRecord
from server.database.schema import upgrade
from tests.e2e.beside import CERTIFICATES, LIMIT_S, beside
from tests.e2e.processes import OwnServer
from tests.fakes import DESCRIPTION, RUNTIME
from tests.postgres import database

AGENTS = 100
JOBS = 1000
DEVICE = "bench"

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/phonebook.db"
        return
    with database(request.getfixturevalue("postgres"), f"agents-{uuid4()}") as url:
        engine = open_database(url)
        upgrade(engine)
        engine.dispose()
        yield url


def test_each_of_a_thousand_jobs_is_done_once(database_url: str) -> None:
    did: list[UUID] = []
    with OwnServer(database_url, rate=0) as server:

        def everybody_works() -> None:
            with ThreadPoolExecutor(AGENTS) as pool:
                for jobs in pool.map(work, [server.address] * AGENTS, range(AGENTS)):
                    did.extend(jobs)

        filed = file_jobs(server.address)
        beside(server.address, everybody_works, read="/jobs").check()
        server.stop()
    assert Counter(did) == Counter(filed)
    assert standing(database_url) == dict.fromkeys(filed, ("done", 1))


def file_jobs(server: str) -> list[UUID]:
    ids = [uuid4() for _ in range(JOBS)]
    with httpx.Client(base_url=server, timeout=LIMIT_S, verify=CERTIFICATES) as http:
        client = TableClient(http)
        client.register(DEVICE, DESCRIPTION)
        for id in ids:
            work = Profile(space="fbnet-32")
            client.file_job(Job(id=id, device=DEVICE, runtime=RUNTIME, work=work))
    return ids


def work(server: str, number: int) -> list[UUID]:
    """Do jobs until none waits, as an agent with one phone; which."""
    agent, unit = uuid4(), f"bench-{number}"
    did = []
    with httpx.Client(base_url=server, timeout=LIMIT_S, verify=CERTIFICATES) as http:
        client = TableClient(http)
        units = (UnitDescription(device=DEVICE, serial=unit),)
        client.announce(agent, AgentDescription(host=f"host-{number}", version="1", units=units))
        request = LeaseRequest(agent=agent, device=DEVICE, unit=unit)
        while (lease := client.lease(request)) is not None:
            assert (lease.unit, lease.attempt) == (unit, 1)
            half = Progress(what="visits", done=1, total=2)
            client.renew(lease.job.id, Renewal(agent=agent, attempt=1, progress=half))
            report = client.finish(lease.job.id, Outcome(agent=agent, attempt=1, done=True))
            assert report.state == "done"
            did.append(lease.job.id)
    return did


def standing(database_url: str) -> dict[UUID, tuple[str, int]]:
    engine = open_database(database_url)
    with engine.connect() as connection:
        found = connection.execute(select(JobRecord.id, JobRecord.state, JobRecord.attempts))
        jobs: dict[UUID, tuple[str, int]] = {
            id: (state, attempts) for id, state, attempts in found
        }
    engine.dispose()
    return jobs
