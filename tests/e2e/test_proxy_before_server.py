"""An agent that serves through a proxy which now and then answers in its server's place."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from contract.client import TableClient, table_client
from contract.errors import ServerAnsweredNonsense
from contract.jobs import Job, Profile
from contract.places import HOME_VARIABLE
from contract.spaces import space
from tests.device_agent.servers import HTML, Answer, Proxy, before, serving
from tests.e2e.serving import Serving, wait_until
from tests.fakes import DESCRIPTION, RUNTIME, FakeDevice

SPACE = space("fbnet-32-0.35")
FEW = {operator.key: 10.0 for operator in SPACE.operators[:12]}  # the others fail to load, once
WORDS: dict[str, Answer] = {
    "404": (404, "text/plain", b"404 page not found"),
    "302": (302, HTML, b"<html>found</html>"),
    "200": (200, HTML, b"<html>We are back in a minute</html>"),
    "json": (404, "application/json", b'{"message": "no route matched"}'),
}


class Moods:
    """The proxy answers by itself `times` in a row once a request to `path` has come."""

    def __init__(self, proxy: Proxy) -> None:
        self.answer, self.path, self.times = WORDS["404"], "", 0
        proxy.instead = self

    def __call__(self, path: str, body: bytes) -> Answer | None:
        if self.times > 0 and (self.path in path or not self.path):
            self.path = ""  # from then on whatever is asked
            self.times -= 1
            return self.answer
        return None


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Moods, Serving]]:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    with serving(tmp_path / "server.db") as address, before(address) as (proxy, through):
        yield (
            Moods(proxy),
            Serving(
                server=through,
                device=FakeDevice(FEW),
                journal=tmp_path / "journal.db",
                cache=tmp_path / "cache",
            ),
        )


def file(client: TableClient, serving: Serving) -> Job:
    client.register(serving.name, DESCRIPTION)
    work = Profile(space=SPACE.name, effort="quick")
    job = Job(id=uuid4(), device=serving.name, runtime=RUNTIME, work=work)
    client.file_job(job)
    return job


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("/agents/", "404"),
        ("/leases", "302"),
        ("/lut/", "200"),
        ("/visits", "json"),
        ("/batch", "404"),
        ("/finish", "302"),
        ("/renew", "200"),
    ],
)
def test_a_job_outlasts_what_is_not_phonebooks(
    agent: tuple[Moods, Serving], path: str, word: str
) -> None:
    moods, serving = agent
    with table_client(serving.server) as client, serving:
        wait_until(lambda: bool(client.agents()))
        job = file(client, serving)
        moods.answer, moods.path, moods.times = WORDS[word], path, 2
        with table_client(serving.server, answered_before=True) as asker:

            def is_over() -> bool:
                try:
                    return asker.job(job.id).state not in ("waiting", "leased")
                except ServerAnsweredNonsense:
                    return False

            wait_until(is_over)
        report = client.job(job.id)
        assert (report.state, report.attempts) == ("done", 1), report.reason
        assert len(client.table(serving.name, space=SPACE.name).entries) == len(FEW)


def test_at_the_first_contact_it_ends_with_the_reason(agent: tuple[Moods, Serving]) -> None:
    moods, serving = agent
    moods.times = 1
    with pytest.raises(ServerAnsweredNonsense, match="check the address"):
        serving.serve_here()


@pytest.mark.slow
def test_no_job_is_asked_for_until_the_clocks_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    behind = [timedelta(days=3)]
    said: list[str] = []

    def clock() -> datetime:
        return datetime.now(UTC) - behind[0]

    def is_said() -> bool:
        said.append(capsys.readouterr().err)
        return "no job is asked for until they agree" in "".join(said)

    with serving(tmp_path / "server.db", clock=clock) as address, table_client(address) as client:
        agent = Serving(
            server=address,
            device=FakeDevice(FEW),
            journal=tmp_path / "journal.db",
            cache=tmp_path / "cache",
        )
        job = file(client, agent)
        with agent:
            wait_until(is_said)
            assert f"here it is {datetime.now(UTC):%Y-%m-%d}" in "".join(said)
            assert f"{clock():%Y-%m-%d}" in "".join(said)
            assert (client.job(job.id).attempts, agent.device.visits) == (0, [])
            behind[0] = timedelta(0)
            wait_until(lambda: client.job(job.id).state == "done")
