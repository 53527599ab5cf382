"""What the environment says of the way to a server: followed, or told by its variable's name."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from contract.client import table_client
from contract.errors import PhonebookError, ServerAnsweredNonsense, ServerUnreachable
from contract.surroundings import is_loopback, proxy_for


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith("SSL_CERT_"):
            monkeypatch.delenv(name)


@contextmanager
def listening() -> Iterator[tuple[str, list[str]]]:
    """The address of something that answers every request with an empty list, and what it was
    asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"[]")

        def log_message(self, format: str, *args: object) -> None:
            """Nothing on the screen."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        thread = threading.Thread(target=listener.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{listener.server_port}", asked
        listener.shutdown()
        thread.join()


def asks(server: str) -> None:
    with table_client(server) as client:
        client.devices()


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_this_computer_is_never_reached_through_a_proxy(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    with listening() as (proxy, of_proxy), listening() as (server, of_server):
        monkeypatch.setenv(variable, proxy)
        asks(server)
        asks(server.replace("127.0.0.1", "localhost"))
        assert (of_server, of_proxy) == (["/devices"] * 2, [])
        asks("http://lab.invalid:8420")
        assert of_proxy == ["http://lab.invalid:8420/devices"]


@pytest.mark.parametrize(
    ("environment", "server", "message"),
    [
        ({"ALL_PROXY": "socks5://proxy:1080"}, "http://lab", "^ALL_PROXY names a socks5 proxy"),
        ({"https_proxy": "ftp://u:pw@proxy"}, "https://lab", "^https_proxy names .* by ftp://"),
        ({"HTTP_PROXY": "http://[::1"}, "http://lab", "^HTTP_PROXY names no address of a proxy"),
        (
            {"SSL_CERT_FILE": "/nonexistent"},
            "https://lab",
            "^SSL_CERT_FILE: /nonexistent holds no",
        ),
        ({"SSL_CERT_DIR": "/nonexistent"}, "https://lab", "^SSL_CERT_DIR: /nonexistent holds no"),
    ],
)
def test_the_variable_at_fault_is_named(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], server: str, message: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(PhonebookError, match=message) as told:
        asks(server)
    assert "pw" not in str(told.value)
    with pytest.raises(ServerUnreachable, match="no answer from http://127"):
        asks("http://127.0.0.1:9")


def test_a_file_that_holds_no_certificates_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", __file__)
    with pytest.raises(PhonebookError, match=f"^SSL_CERT_FILE: {__file__} holds no certificates"):
        asks("https://lab")


def test_a_proxy_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with pytest.raises(ServerUnreachable, match=r"through the proxy 127\.0\.0\.1 that HTTP_PROXY"):
        asks("http://lab.invalid")


@pytest.mark.parametrize(
    ("exempt", "is_used"),
    [
        ("localhost,fd00::/8", True),
        ("10.1.0.0/16", False),
        ("10.1.2.3", False),
        (" .example , 10.1.2.3 ", False),
        ("fd00::/8, *", False),
        ("nonsense/99,,", True),
    ],
)
def test_no_proxy_exempts_names_addresses_and_networks(
    monkeypatch: pytest.MonkeyPatch, exempt: str, is_used: bool
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", exempt)
    assert (proxy_for(httpx.URL("http://10.1.2.3:8420")) is not None) == is_used


@pytest.mark.parametrize("address", ["http://[fd00::7]:8420", "http://lab.example:8420"])
def test_networks_of_the_newer_protocol_and_names_are_exempt(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", "localhost,fd00::/8,.example")
    assert proxy_for(httpx.URL(address)) is None


def test_which_hosts_are_this_computer() -> None:
    here = ["localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.8.8.8", "::1"]
    assert all(map(is_loopback, here))
    assert not any(map(is_loopback, ["10.0.0.1", "localhost.example", "::2", "0.0.0.0", "lab"]))


@pytest.mark.parametrize("address", ["lab:8420", "ftp://lab", "http://[::1", "lab"])
def test_what_is_no_address_of_a_server_is_told(address: str) -> None:
    with pytest.raises(ServerUnreachable, match="is no address of a server"):
        asks(address)


def redirecting(status: int, to: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("location", to.replace("PATH", self.path))
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing on the screen."""

    return Handler


@pytest.mark.parametrize(
    ("status", "to", "message"),
    [
        (
            301,
            "https://127.0.0.1PATH",
            r"301 to https://127.0.0.1/devices: use that, with --server "
            r"https://127.0.0.1 or PHONEBOOK_SERVER=https://127.0.0.1$",
        ),
        (302, "https://127.0.0.1/phonebookPATH", "--server https://127.0.0.1/phonebook or"),
        (
            308,
            "https://other.examplePATH",
            "if that is yours, use it, with --server https://other",
        ),
        (302, "https://sso.example/login?next=PATH", r"not Phonebook's \(302 to https://sso"),
        (302, "PATH/", r"not Phonebook's \(302 to http://"),
    ],
)
def test_a_redirection_is_told_and_not_followed(status: int, to: str, message: str) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), redirecting(status, to)) as listener:
        thread = threading.Thread(target=listener.serve_forever, args=(0.05,))
        thread.start()
        with pytest.raises(ServerAnsweredNonsense, match=message):
            asks(f"http://127.0.0.1:{listener.server_port}")
        listener.shutdown()
        thread.join()
