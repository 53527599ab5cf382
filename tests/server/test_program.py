"""`python -m server` as a person starts it."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from contract.client import table_client
from contract.errors import RequestRefused
from tests.server.making import PHONE, SPACE, STEM, a_session, a_timing, an_audit
from tests.server.serving import connected, program

START_TIMEOUT_S = 60
ENDS_WITHIN_S = 40  # its own limits, and a computer that is busy


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if "PHONEBOOK" not in name}


@pytest.fixture
def address(empty_url: str) -> Iterator[str]:
    """Where a server of its own listens, as its first line tells."""
    configured = {**environment(), "PHONEBOOK_DATABASE_URL": empty_url}
    if empty_url.startswith("postgresql"):
        upgrade = [sys.executable, "-m", "server.schema", "upgrade"]
        subprocess.run(upgrade, env=configured, check=True, timeout=START_TIMEOUT_S)
    with subprocess.Popen(
        [sys.executable, "-m", "server", "--port", "0"],
        env=configured,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.fullmatch(r"Phonebook serves (http://127\.0\.0\.1:\d+) \(database .+\)\n", line)
        assert found is not None, line
        yield found[1]
        process.terminate()
        process.wait(timeout=START_TIMEOUT_S)


def refusal(*arguments: str, files: int = 1024, settings: Mapping[str, str] | None = None) -> str:
    """What `python -m server` says when it refuses to start."""
    limited = ["sh", "-c", f'ulimit -n {files}; exec "$@"', "sh"]
    done = subprocess.run(
        [*limited, sys.executable, "-m", "server", *arguments],
        env={**environment(), **(settings or {})},
        capture_output=True,
        text=True,
        timeout=START_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.stderr


def test_it_answers_once_it_has_printed_its_address(address: str) -> None:
    assert httpx.get(f"{address}/healthz").status_code == 200
    assert httpx.get(f"{address}/readyz").status_code == 200


@pytest.mark.slow
def test_what_the_client_posts_is_what_it_reads(address: str) -> None:
    with table_client(address) as client:
        client.register("phone", PHONE)
        session = client.add_session(a_session())
        timing = a_timing(us=40)
        assert client.add_timing(str(session.id), timing) == client.add_timing(
            str(session.id), timing
        )
        table = client.table("phone", space=SPACE.name)
        assert table.latencies_us([STEM]) == (40,)
        assert len(table.missing_of(SPACE.operators)) == len(SPACE.operators) - 1
        assert client.table("phone", runtime=session.runtime).entries == table.entries
        assert [device.name for device in client.devices()] == ["phone"]
        assert client.sessions("phone") == [session]
        report = client.session_report(str(session.id))
        assert report.session == session
        assert report.timings == (client.add_timing(str(session.id), timing),)
        audit = an_audit()
        assert client.add_audit(audit).audit == audit
        assert client.table("phone").audit == client.add_audit(audit).summary
        with pytest.raises(RequestRefused, match=r"no device 'fone'; did you mean phone\?"):
            client.table("fone")


@pytest.mark.slow
def test_the_client_shows_the_token_of_its_environment(
    address: str, empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = subprocess.run(
        [sys.executable, "-m", "server.tokens", "create", "--name", "me", "--role", "reader"],
        env={**environment(), "PHONEBOOK_DATABASE_URL": empty_url},
        capture_output=True,
        text=True,
        check=True,
        timeout=START_TIMEOUT_S,
    )
    monkeypatch.setenv("PHONEBOOK_TOKEN", made.stdout.strip())
    with table_client(address) as client:
        assert client.devices() == []
        with pytest.raises(RequestRefused, match=r"token me has the role reader.*PHONEBOOK_TOKEN"):
            client.register("phone", PHONE)
    monkeypatch.setenv("PHONEBOOK_TOKEN", "pb_wrong")
    with (
        table_client(address) as client,
        pytest.raises(RequestRefused, match=r"unknown or revoked.*PHONEBOOK_TOKEN"),
    ):
        client.devices()


@pytest.mark.slow
def test_a_port_in_use_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        said = refusal("--port", port, "--database-url", f"sqlite:///{tmp_path}/phonebook.db")
    assert f"port {port} on 127.0.0.1 is in use" in said


@pytest.mark.slow
@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.2", "phonebook.example"])
def test_an_address_that_others_can_reach_is_refused_without_a_token(
    tmp_path: Path, host: str
) -> None:
    said = refusal("--host", host, "--database-url", f"sqlite:///{tmp_path}/phonebook.db")
    assert f"{host} can be reached by others, and there is no token that works" in said
    assert "python -m server.tokens create --name NAME --role agent" in said


@pytest.mark.parametrize(
    "setting", [{"PHONEBOOK_LOCAL_ACCESS": "false"}, {"PHONEBOOK_PROXIES": "127.0.0.1"}]
)
def test_where_nobody_may_do_without_a_token_one_is_wanted_at_the_start(
    tmp_path: Path, setting: dict[str, str]
) -> None:
    said = refusal("--database-url", f"sqlite:///{tmp_path}/phonebook.db", settings=setting)
    assert "nobody may do without a token here" in said
    assert "python -m server.tokens create --name NAME --role agent" in said


@pytest.mark.slow
def test_a_proxy_is_told_by_its_address(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/phonebook.db"
    said = refusal("--database-url", database, settings={"PHONEBOOK_PROXIES": "127.0.0.1, lab"})
    assert "PHONEBOOK_PROXIES): 'lab' is no address and no network" in said


@pytest.mark.slow
def test_a_port_that_kubernetes_sets_is_ignored_with_a_hint(tmp_path: Path) -> None:
    of_kubernetes = {
        **environment(),
        "PHONEBOOK_PORT": "tcp://10.43.7.2:8420",
        "PHONEBOOK_DATABASE_URL": f"sqlite:///{tmp_path}/phonebook.db",
    }
    for command in (
        ["-m", "server.tokens", "create", "--name", "lab", "--role", "agent"],
        ["-m", "server.schema", "upgrade"],
        ["-c", "from server.app import app_from_env; app_from_env()"],
    ):
        done = subprocess.run(
            [sys.executable, *command],
            env=of_kubernetes,
            capture_output=True,
            text=True,
            timeout=START_TIMEOUT_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "PHONEBOOK_PORT=tcp://10.43.7.2:8420 is ignored: Kubernetes sets it" in done.stderr


@pytest.mark.slow
def test_a_database_that_is_made_anew_is_named_by_its_whole_path(tmp_path: Path) -> None:
    def made_token() -> str:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "server.tokens", "create"),
                *("--name", f"lab{len(list(tmp_path.iterdir()))}", "--role", "agent"),
                *("--database-url", "sqlite:///phonebook.db"),
            ],
            env={**environment(), "PYTHONPATH": os.getcwd()},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=START_TIMEOUT_S,
            check=True,
        )
        return done.stderr

    assert made_token() == f"sqlite:///{tmp_path}/phonebook.db is new and empty\n"
    assert made_token() == ""


@pytest.mark.slow
def test_an_unusable_database_is_refused() -> None:
    assert "unable to open" in refusal("--database-url", "sqlite:////no/such/folder/x.db")


@pytest.mark.slow
def test_a_server_that_may_open_too_few_files_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/phonebook.db"
    said = refusal("--port", "0", "--database-url", url, files=100)
    assert "needs 160 open files, and this process may have 100" in said
    assert "ulimit -n" in said


@pytest.mark.slow
def test_a_server_ends_though_clients_keep_it_waiting(tmp_path: Path) -> None:
    """By either signal; a server takes its time, so two of them end at once."""
    endings = {signal.SIGTERM: -15, signal.SIGINT: 130}
    with ExitStack() as stack:
        servers = {
            ending: stack.enter_context(
                program(f"sqlite:///{tmp_path}/{ending.name}.db", log=tmp_path / ending.name)
            )
            for ending in endings
        }
        for server in servers.values():
            stack.enter_context(connected(server.address))
            half_a_head, half_a_body, stream = (
                stack.enter_context(connected(server.address)) for _ in range(3)
            )
            half_a_head.sendall(b"GET /healthz HTTP/1.1\r\n")
            half_a_body.sendall(
                b"PUT /devices/phone HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n{"
            )
            stream.sendall(b"GET /fleet/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert stream.recv(100).startswith(b"HTTP/1.1 200")
        for ending, server in servers.items():
            server.process.send_signal(ending)
        until = time.monotonic() + ENDS_WITHIN_S
        codes = {
            ending: server.process.wait(until - time.monotonic())
            for ending, server in servers.items()
        }
        assert codes == endings


@pytest.mark.slow
def test_the_server_does_without_torch_and_the_other_programs() -> None:
    code = (
        "import sys, server.serving, server.schema;"
        "print([name for name in ('torch', 'search', 'device_agent') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "[]\n"
