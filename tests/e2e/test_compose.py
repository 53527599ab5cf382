"""`docker compose up` on a real engine, as root; `.ci/containers` runs this.

It posts what a phone might measure, and reads it back after a restart, anew made, and a kill.
"""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from contract.client import TableClient, table_client
from contract.credentials import TOKEN_VARIABLE
from contract.errors import RequestRefused, ServerUnreachable
from contract.operators import Operator
from contract.timings import Timing
from tests.server.making import PHONE, SPACE, a_session, a_timing

pytestmark = [pytest.mark.containers, pytest.mark.timeout(600)]

TOP = Path(__file__).parents[2]
PROJECT = "phonebook-test"
PORT = 8431
ADDRESS = f"http://127.0.0.1:{PORT}"
SERVICES = ("db", "migrate", "server")
LARGEST_IMAGE_BYTES = 300_000_000
PATIENCE_S = 60


class Stack:
    """The services, as a project of its own beside one that a person may run."""

    def compose(self, *arguments: str, check: bool = True) -> str:
        return run("docker", "compose", "--project-name", PROJECT, *arguments, check=check)

    def up(self, *options: str) -> None:
        self.compose("up", "--detach", "--wait", *options)

    def inspect(self, service: str) -> Any:
        container = self.compose("ps", "--all", "--quiet", service).strip()
        return json.loads(run("docker", "inspect", container))[0]

    def token(self) -> str:
        """As docs/server.md shows it."""
        return self.compose("exec", "-T", "server", "cat", "/var/lib/phonebook/agent-token")

    @contextmanager
    def client(self, token: str = "") -> Iterator[TableClient]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(TOKEN_VARIABLE, token)
            with table_client(ADDRESS) as client:
                yield client


def run(*command: str, check: bool = True) -> str:
    environment = os.environ | {"PHONEBOOK_PORT": str(PORT)}
    done = subprocess.run(command, cwd=TOP, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 or not check, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    stack = Stack()
    stack.compose("down", "--volumes")  # an interrupted run's
    try:
        stack.up("--build")
        yield stack
    finally:
        print(stack.compose("logs", "--no-color"))  # noqa: T201  # pytest shows it with a failure
        stack.compose("down", "--volumes")


@pytest.fixture(scope="module")
def session(stack: Stack) -> str:
    """A session with a timing of each of the first twenty operators."""
    with stack.client(stack.token()) as client:
        session = begin(client, "phone")
        post(client, session, (a_timing(each) for each in OPERATORS[:20]))
    return session


OPERATORS: tuple[Operator, ...] = tuple(each for each in SPACE.operators if not each.is_free)


def begin(client: TableClient, device: str) -> str:
    client.register(device, PHONE)
    return str(client.add_session(a_session(device)).id)


def post(client: TableClient, session: str, timings: Iterable[Timing]) -> set[str]:
    """Each until it is accepted, as the agent does; returns the operators accepted."""
    accepted = set()
    for timing in timings:
        deadline = time.monotonic() + PATIENCE_S
        while timing.operator.key not in accepted:
            try:
                accepted.add(client.add_timing(session, timing).operator)
            except (RequestRefused, ServerUnreachable):
                assert time.monotonic() < deadline, "the server did not come back"
                time.sleep(0.2)
    return accepted


def table() -> bytes:
    """The phone's table as it comes over the wire, as soon as the server answers."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            with urlopen(f"{ADDRESS}/lut/phone") as answer:
                return bytes(answer.read())
        except OSError:
            assert time.monotonic() < deadline, "the server did not come back"
            time.sleep(0.2)


def test_anybody_here_reads_and_only_the_token_writes(stack: Stack, session: str) -> None:
    with stack.client() as nobody:
        assert [device.name for device in nobody.devices()] == ["phone"]
        with pytest.raises(RequestRefused) as refused:
            nobody.register("intruder", PHONE)
    assert refused.value.status == 401


def test_what_was_posted_is_there_after_a_restart(stack: Stack, session: str) -> None:
    before = table()
    stack.compose("restart")
    assert table() == before


def test_new_containers_keep_tables_and_token(stack: Stack, session: str) -> None:
    before, token = table(), stack.token()
    stack.compose("down")
    stack.up()
    assert table() == before
    assert stack.token() == token
    with stack.client(token) as client:
        client.register("phone", PHONE)


def test_a_killed_database_comes_back_and_has_lost_nothing(stack: Stack) -> None:
    database = stack.inspect("db")["State"]["Pid"]
    with stack.client(stack.token()) as client:
        session = begin(client, "another-phone")
        killer = threading.Timer(0.5, os.kill, (database, signal.SIGKILL))
        killer.start()
        accepted = post(client, session, (a_timing(each) for each in OPERATORS))
        killer.join()
        stored = {timing.operator for timing in client.session_report(session).timings}
    assert stack.inspect("db")["RestartCount"] == 1
    assert stored == accepted == {each.key for each in OPERATORS}


def test_the_image_is_small_and_only_the_server(stack: Stack) -> None:
    (image,) = json.loads(run("docker", "image", "inspect", "phonebook-server"))
    assert image["Size"] < LARGEST_IMAGE_BYTES
    looks = (
        "from importlib.util import find_spec; from shutil import which; "
        "print(*(n for n in ('torch', 'executorch', 'search') if find_spec(n)), which('cc') or '')"
    )
    assert stack.compose("exec", "-T", "server", "python", "-c", looks).split() == []


@pytest.mark.parametrize("service", SERVICES)
def test_nobody_in_a_container_is_root_or_changes_it(stack: Stack, service: str) -> None:
    container = stack.inspect(service)
    assert container["Config"]["User"] not in ("", "0", "root")
    assert container["HostConfig"]["ReadonlyRootfs"]
    assert container["HostConfig"]["CapDrop"] == ["ALL"]
    assert container["HostConfig"]["SecurityOpt"] == ["no-new-privileges:true"]


def test_only_the_server_is_reached_and_only_from_here(stack: Stack) -> None:
    server, database = stack.inspect("server"), stack.inspect("db")
    assert server["NetworkSettings"]["Ports"] == {
        "8420/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(PORT)}]
    }
    assert list(database["NetworkSettings"]["Networks"]) == ["none"]


def test_the_server_can_write_nothing_of_its_own(stack: Stack) -> None:
    tries = "id -u; for f in / /opt/phonebook /var/lib/phonebook; do touch $f/x && echo $f; done"
    output = stack.compose("exec", "-T", "server", "sh", "-c", tries, check=False)
    assert output.split() == ["10001"]
