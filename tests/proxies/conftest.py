"""Real proxies, with the configurations that docs/proxies has, before a real server."""

import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.browser.conftest import browser_type_launch_args as browser_type_launch_args

CONFIGURATIONS = Path(__file__).parents[2] / "docs" / "proxies"
LIMIT_S = 60.0
RATE = 2  # writes a second of one sender


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """For `localhost`, signed by itself."""

    certificate: Path
    key: Path
    both: Path


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A program of Debian's, how it is run in the foreground, and how it hands on and no more."""

    name: str
    file: str
    bare: str
    command: tuple[str, ...]


NGINX = Kind(
    name="nginx",
    file="nginx.conf",
    bare="user www-data; pid FOLDER/nginx.pid; events {} http { access_log off; "
    "server { listen 127.0.0.1:PORT; location / { proxy_pass http://SERVER; } } }",
    command=("nginx", "-e", "stderr", "-g", "daemon off;", "-c"),
)
HAPROXY = Kind(
    name="haproxy",
    file="haproxy.cfg",
    bare="defaults\n mode http\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n"
    "listen all\n bind 127.0.0.1:PORT\n server phonebook SERVER\n",
    command=("haproxy", "-db", "-f"),
)
CADDY = Kind(
    name="caddy",
    file="Caddyfile",
    bare="http://:PORT {\n bind 127.0.0.1\n reverse_proxy SERVER {\n"
    "  header_up -X-Forwarded-For\n  header_up -X-Forwarded-Proto\n  header_up -X-Forwarded-Host\n"
    " }\n}\n",
    command=("caddy", "run", "--adapter", "caddyfile", "--config"),
)


@dataclass(frozen=True, kw_only=True)
class Server:
    """A server on this computer, and a token that an agent may use."""

    address: str  # host and port
    token: str

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


@dataclass(frozen=True, kw_only=True)
class Proxied:
    """A proxy that runs, and the server behind it."""

    url: str
    server: Server
    certificate: Certificate | None

    def client(self, source: str = "127.0.0.1", **options: Any) -> httpx2.Client:
        """Somebody at that address, who trusts the certificate."""
        trust = ssl.create_default_context()
        if self.certificate is not None:
            trust.load_verify_locations(self.certificate.certificate)
        transport = httpx2.HTTPTransport(verify=trust, local_address=source)
        return httpx2.Client(base_url=self.url, transport=transport, timeout=15, **options)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    folder = tmp_path_factory.mktemp("certificate")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    found = Certificate(
        certificate=folder / "certificate.pem", key=folder / "key.pem", both=folder / "both.pem"
    )
    found.certificate.write_bytes(signed)
    found.key.write_bytes(secret)
    found.both.write_bytes(signed + secret)
    return found


@pytest.fixture(scope="session", params=[NGINX, HAPROXY, CADDY], ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each of the three. Without it: skip on a person's computer, fail in CI."""
    found: Kind = request.param
    if shutil.which(found.command[0]) is None:
        missing = f"no {found.name}: install it (on Debian: apt-get install {found.name})"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return found


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that knows of the proxy."""
    with _server(tmp_path_factory.mktemp("told"), PHONEBOOK_PROXIES="127.0.0.1") as server:
        yield server


@pytest.fixture(scope="session")
def untold(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that knows of no proxy, but has a token."""
    with _server(tmp_path_factory.mktemp("untold")) as server:
        yield server


@pytest.fixture(scope="session")
def proxied(
    kind: Kind, told: Server, certificate: Certificate, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxied]:
    """The proxy as docs/proxies has it."""
    folder, port = tmp_path_factory.mktemp(kind.name), _free_port()
    replaced = {
        "phonebook.example.org:443": f"localhost:{port}",
        "listen 443": f"listen {port}",
        "bind :443": f"bind :{port}",
        "phonebook.example.org": "localhost",
        "127.0.0.1:8420": told.address,
        "/etc/ssl/phonebook/certificate.pem": str(certificate.certificate),
        "/etc/ssl/phonebook/key.pem": str(certificate.key),
        "/etc/haproxy/phonebook.pem": str(certificate.both),
        "/run/nginx.pid": f"{folder}/nginx.pid",
        "/var/log/nginx": str(folder),
    }
    text = (CONFIGURATIONS / kind.file).read_text()
    with _running(kind, _with(text, replaced), folder, port):
        url = f"https://localhost:{port}"
        yield Proxied(url=url, server=told, certificate=certificate)


@pytest.fixture(params=["told", "untold"])
def bare(
    kind: Kind, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxied]:
    """The proxy as somebody may set it up in a hurry: in clear, and it tells of nobody."""
    server: Server = request.getfixturevalue(request.param)
    folder, port = tmp_path_factory.mktemp(f"bare-{kind.name}"), _free_port()
    replaced = {"PORT": str(port), "SERVER": server.address, "FOLDER": str(folder)}
    with _running(kind, _with(kind.bare, replaced), folder, port):
        yield Proxied(url=f"http://127.0.0.1:{port}", server=server, certificate=None)


@pytest.fixture(scope="session")
def base_url(proxied: Proxied) -> str:
    """What `page.goto("/...")` begins with."""
    return proxied.url


@pytest.fixture
def browser_context_args(browser_context_args: dict[str, Any]) -> dict[str, Any]:
    return browser_context_args | {"ignore_https_errors": True}


@contextmanager
def _server(folder: Path, **settings: str) -> Iterator[Server]:
    kept = {name: value for name, value in os.environ.items() if "PHONEBOOK" not in name}
    environment = kept | {
        "PHONEBOOK_DATABASE_URL": f"sqlite:///{folder}/phonebook.db",
        "PHONEBOOK_RATE": str(RATE),
        **settings,
    }
    create = ("-m", "server.tokens", "create", "--name", "lab", "--role", "agent")
    made = subprocess.run(
        [sys.executable, *create], env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    with subprocess.Popen(
        [sys.executable, "-m", "server", "--port", "0"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        address = process.stdout.readline().split()[2].removeprefix("http://")
        try:
            yield Server(address=address, token=made.stdout.strip())
        finally:
            process.terminate()
            process.wait(LIMIT_S)


@contextmanager
def _running(kind: Kind, configuration: str, folder: Path, port: int) -> Iterator[None]:
    """The proxy, once it takes connections."""
    file, log = folder / kind.file, folder / "log"
    file.write_text(configuration)
    apart = {"CADDY_ADMIN": f"127.0.0.1:{_free_port()}", "HOME": str(folder)}
    with log.open("w") as output:
        process = subprocess.Popen(
            [*kind.command, str(file)],
            env=os.environ | apart | {"XDG_DATA_HOME": str(folder)},
            stdout=output,
            stderr=output,
        )
    try:
        deadline = time.monotonic() + LIMIT_S
        while not _answers(port):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(LIMIT_S)


def _with(text: str, replaced: Mapping[str, str]) -> str:
    for value, by in replaced.items():
        text = text.replace(value, by)
    return text


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
