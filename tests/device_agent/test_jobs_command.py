"""`python -m device_agent.jobs`, as a person types it, against a server on loopback."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from pydantic import TypeAdapter

from contract.client import TableClient, table_client
from contract.estimates import estimate
from contract.footprint import Footprint
from contract.jobs import (
    AgentDescription,
    AuditTable,
    JobReport,
    LeaseRequest,
    MeasureNetwork,
    Outcome,
    Profile,
    Progress,
    Renewal,
    UnitDescription,
)
from contract.networks import published
from tests.device_agent.results import SESSION, TIMINGS
from tests.device_agent.servers import serving
from tests.fakes import DESCRIPTION

Command = Callable[..., subprocess.CompletedProcess[str]]
AGENT = uuid4()
MEASURED = SESSION.evolve(origin="measured")


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TableClient]:
    """Of a server on which the device `bench` has a row, and so a default runtime."""
    with serving(tmp_path / "server.db") as address, table_client(address) as client:
        client.register("bench", DESCRIPTION)
        client.add_session(MEASURED)
        client.add_timing(str(MEASURED.id), TIMINGS[0])
        yield client


@pytest.fixture
def jobs(client: TableClient) -> Command:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "device_agent.jobs", *arguments, "--server", client.server],
            env=os.environ | {"COLUMNS": "1000"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def begin(client: TableClient) -> UUID:
    """An agent with the unit s1 begins the job that waits, and is at 3 of its 12 visits."""
    client.announce(
        AGENT,
        AgentDescription(
            host="lab", version="1", units=(UnitDescription(device="bench", serial="s1"),)
        ),
    )
    lease = client.lease(LeaseRequest(agent=AGENT, device="bench", unit="s1"))
    assert lease is not None
    at = Progress(what="visits", done=3, total=12)
    client.renew(lease.job.id, Renewal(agent=AGENT, attempt=lease.attempt, progress=at))
    return lease.job.id


def fail(client: TableClient, job: UUID, attempt: int) -> None:
    client.finish(
        job, Outcome(agent=AGENT, attempt=attempt, done=False, reason="too hot", again=False)
    )


@pytest.mark.slow
def test_a_job_is_filed_listed_shown_and_called_off(client: TableClient, jobs: Command) -> None:
    assert jobs("list").stdout == f"no such job on {client.server}\n"
    filed = jobs("file", "profile", "--device", "bench", "--space", "fbnet-32", "--priority", "7")
    assert filed.returncode == 0
    (report,) = client.jobs()
    assert report.job.work == Profile(space="fbnet-32")
    assert (report.job.runtime, report.job.priority) == (MEASURED.runtime, 7)
    id = report.job.id
    words = "profile fbnet-32, standard effort"
    assert filed.stdout == f"job {id} ({words} on bench): waiting\n"

    assert begin(client) == id
    heads, line = jobs("list", "--device", "bench", "--state", "leased").stdout.splitlines()
    assert heads.split() == ["job", "device", "work", "state", "unit", "filed"]
    state = "being worked on, attempt 1: 3 of 12 visits"
    assert [cell.strip() for cell in line.split("  ") if cell.strip()] == [
        *(str(id), "bench", words, state, "s1", "just now")
    ]
    shown = jobs("show", str(id)).stdout
    assert f"unit      s1, of agent {AGENT}\n" in shown
    assert "progress  3 of 12 visits\n" in shown

    cancelled = jobs("cancel", str(id))
    assert cancelled.stdout == f"job {id} ({words} on bench): cancelled\n"
    assert client.job(id).state == "cancelled"


@pytest.mark.slow
def test_a_dead_job_says_why_and_waits_again(client: TableClient, jobs: Command) -> None:
    jobs("file", "audit", "--device", "bench", "--space", "fbnet-32", "--networks", "9")
    id = begin(client)
    assert isinstance(client.job(id).job.work, AuditTable)
    fail(client, id, 1)
    shown = jobs("show", str(id)).stdout
    assert "state     dead: given up after 1 attempt, since " in shown
    assert "reason    too hot\n" in shown
    assert f"`python -m device_agent.jobs retry {id} --server {client.server}`" in shown
    (dead,) = TypeAdapter(list[JobReport]).validate_json(
        jobs("list", "--state", "dead", "--json").stdout
    )
    assert (
        dead
        == client.job(id)
        == JobReport.model_validate_json(jobs("show", str(id), "--json").stdout)
    )
    assert "waiting, after 1 attempt" in jobs("retry", str(id)).stdout
    assert client.job(id).state == "waiting"


def test_a_network_is_filed_under_a_runtime_that_is_named(
    client: TableClient, jobs: Command
) -> None:
    two = MEASURED.runtime.evolve(threads=2)
    filed = jobs(
        *("file", "network", "--device", "bench", "--runtime", two.key),
        *("--network", "fbnet-a", "--space", "fbnet-32"),
    )
    assert filed.returncode == 0, filed.stderr
    (report,) = client.jobs()
    blocks = published("fbnet-a").blocks
    assert report.job.work == MeasureNetwork(space="fbnet-32", blocks=blocks)
    assert report.job.runtime == two

    id = begin(client)
    client.finish(
        id,
        Outcome(
            agent=AGENT,
            attempt=1,
            done=True,
            estimate=estimate([[100.0, 100.0]]),
            footprint=Footprint(load_ms=38.06, first_run_ms=14.2, peak_bytes=36_149_658),
        ),
    )
    shown = jobs("show", str(id)).stdout
    assert "latency   100.0 us +- 0.0%, grade C\n" in shown
    words = "loaded in 38.1 ms, first run 14.2 ms, up to 34.5 MiB of memory"
    assert f"besides   {words}\n" in shown


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("show", "nothing"), 2, "nothing"),
        (("show", str(uuid4())), 3, "no job"),
        (("list", "--device", "bunch"), 3, "did you mean bench?"),
        (("file", "profile", "--device", "bunch"), 2, "no device 'bunch'; did you mean bench?"),
        (("file", "profile", "--device", "new"), 2, "give --runtime KEY"),
        (("file", "profile", "--device", "bench", "--runtime", "fast"), 2, "is no runtime"),
        (("file", "network", "--device", "bench", "--network", "fbnet-z"), 2, "fbnet-z"),
    ],
)
def test_what_cannot_be_is_explained(
    client: TableClient, jobs: Command, arguments: tuple[str, ...], code: int, words: str
) -> None:
    client.register("new", DESCRIPTION)
    done = jobs(*arguments)
    assert done.returncode == code
    assert words in done.stdout + done.stderr
