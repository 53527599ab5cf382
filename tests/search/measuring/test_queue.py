"""Waiting for a job, against a server that answers as it was told."""

import io
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
from rich.console import Console

from contract.client import TableClient
from contract.errors import DeviceFailed, PhonebookError, ServerAnsweredNonsense
from contract.health import Health
from contract.jobs import (
    AgentDescription,
    AgentReport,
    Job,
    JobReport,
    JobState,
    Profile,
    Progress,
    UnitDescription,
)
from contract.runtime import Runtime
from search.measuring.queue import file_and_wait, is_served

SERVER = "http://server"
JOB = Job(
    id=uuid4(),
    device="phone",
    runtime=Runtime.parse("xnnpack-float32-t1-contiguous-et1.5.1-native-any-in_situ"),
    work=Profile(space="fbnet-32"),
)
NOW = datetime.now(UTC)


def report(
    state: JobState,
    *,
    attempts: int = 0,
    progress: Progress | None = None,
    reason: str | None = None,
) -> JobReport:
    return JobReport(
        job=JOB,
        state=state,
        attempts=attempts,
        filed_at=NOW,
        changed_at=NOW,
        agent=None,
        unit="unit-1" if attempts else None,
        expires_at=None,
        progress=progress,
        reason=reason,
        estimate=None,
    )


def agent(*devices: str, silent: timedelta = timedelta(0)) -> AgentReport:
    units = tuple(UnitDescription(device=device, serial="unit-1") for device in devices)
    description = AgentDescription(host="bench", version="1", units=units)
    return AgentReport(id=uuid4(), description=description, seen_at=datetime.now(UTC) - silent)


def now() -> datetime:
    return datetime.now(UTC)


def client(
    *reports: JobReport | int | str,
    agents: tuple[AgentReport, ...] = (),
    clock: Callable[[], datetime] = now,
) -> TableClient:
    """Of a server where the job stands so, each time it is asked; a number is an HTTP status, and
    text a proxy's word."""
    left: Iterator[JobReport | int | str] = iter(reports)

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/agents":
            return httpx.Response(200, text=f"[{','.join(a.model_dump_json() for a in agents)}]")
        if request.url.path == "/healthz":
            return httpx.Response(200, text=Health(status="ok", now=clock()).model_dump_json())
        assert (request.method, request.url.path) in {
            ("POST", "/jobs"),
            ("GET", f"/jobs/{JOB.id}"),
        }
        told = next(left)
        if isinstance(told, str):
            return httpx.Response(404, text=told)
        if isinstance(told, int):
            problem = {"type": "about:blank", "title": "No", "status": told, "detail": "away"}
            return httpx.Response(told, json=problem)
        return httpx.Response(200, text=told.model_dump_json())

    return TableClient(httpx.Client(base_url=SERVER, transport=httpx.MockTransport(answer)))


def waited(
    server: TableClient, *, stop: Callable[[], bool] = lambda: False
) -> tuple[JobReport | BaseException, str]:
    """What came of the waiting, and what the screen said meanwhile."""
    said = io.StringIO()
    console = Console(file=said, width=400, markup=False)
    try:
        came: JobReport | BaseException = file_and_wait(
            server, JOB, console=console, stop=stop, poll_s=0.01, quiet_s=0
        )
    except (PhonebookError, KeyboardInterrupt) as raised:
        came = raised
    return came, said.getvalue()


def test_a_job_is_waited_for_while_the_server_comes_and_goes() -> None:
    halfway = report("leased", attempts=1, progress=Progress(what="visits", done=5, total=10))
    server = client(report("waiting"), halfway, 503, 503, halfway, report("done", attempts=1))
    came, said = waited(server)
    assert isinstance(came, JobReport)
    assert f"job {JOB.id} is filed for phone" in said
    assert said.count("an agent works on unit-1") == 2  # and again once the server is back
    assert said.count("away; still waiting") == 1
    assert "visits" in said
    assert f"job {JOB.id} is done" in said


def test_a_job_is_waited_for_while_a_proxy_answers_for_its_server() -> None:
    lost = ("404 page not found",) * 3
    server = client(report("waiting"), *lost, report("leased", attempts=1), report("done"))
    came, said = waited(server)
    assert isinstance(came, JobReport)
    assert said.count("is not Phonebook's (status 404)") == 1


def test_a_job_is_filed_as_soon_as_the_server_answers() -> None:
    came, said = waited(client(503, 503, report("waiting"), report("done")))
    assert isinstance(came, JobReport)
    assert said.count("away; trying again until it answers") == 1


def test_at_the_first_contact_what_is_not_phonebook_is_told_at_once() -> None:
    came, _ = waited(client("<html>welcome</html>"))
    assert isinstance(came, ServerAnsweredNonsense)
    assert "check the address" in str(came)


def test_a_job_that_nobody_takes_says_which_command_starts_an_agent() -> None:
    gone = agent("phone", silent=timedelta(hours=1))
    server = client(*[report("waiting")] * 9, report("done"), agents=(gone, agent("tablet")))
    _, said = waited(server)
    command = f"`python -m device_agent.serve --device phone --server {SERVER}`"
    assert said.count(command) == 1


def test_a_job_behind_others_says_so() -> None:
    server = client(*[report("waiting")] * 9, report("done"), agents=(agent("tablet", "phone"),))
    _, said = waited(server)
    assert "the agents that serve phone have other jobs before this one" in said


def test_a_job_whose_agent_fell_silent_says_so_again() -> None:
    leased = report("leased", attempts=1)
    back = report("waiting", attempts=1)
    _, said = waited(client(back, leased, back, back, report("done", attempts=2)))
    assert "an agent works on unit-1" in said
    assert said.count("no agent serves phone now") == 1


def test_a_dead_job_says_why() -> None:
    came, _ = waited(client(report("waiting"), report("dead", attempts=3, reason="no screen")))
    assert isinstance(came, DeviceFailed)
    assert str(came) == f"job {JOB.id} is dead after 3 attempts: no screen"


def test_a_cancelled_job_is_told() -> None:
    came, _ = waited(client(report("waiting"), report("cancelled")))
    assert "was cancelled" in str(came)


def test_who_stops_waiting_learns_the_id_of_the_job_that_stays() -> None:
    came, said = waited(client(report("waiting")), stop=lambda: True)
    assert isinstance(came, KeyboardInterrupt)
    assert f"job {JOB.id} stays filed" in said


def test_a_device_is_served_by_an_agent_that_was_heard_of_lately() -> None:
    def served(*agents: AgentReport) -> bool:
        return is_served(client(agents=agents), "phone")

    assert served(agent("tablet"), agent("phone"))
    assert not served()
    assert not served(agent("tablet"))
    assert not served(agent("phone", silent=timedelta(minutes=10)))


def test_the_servers_clock_tells_how_long_an_agent_has_been_silent() -> None:
    ago = timedelta(days=3)
    server = client(agents=(agent("phone", silent=ago),), clock=lambda: now() - ago)
    assert is_served(server, "phone")
