"""Below a path of a proxy, whether that hands the path on or keeps it to itself."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx2
import pytest

from contract.client import table_client
from tests.proxies.conftest import (
    CADDY,
    HAPROXY,
    NGINX,
    Kind,
    Server,
    _free_port,
    _running,
    _server,
)
from tests.server.making import PHONE

pytestmark = pytest.mark.proxies

ROOT = "/phonebook"
PAGE = {"Accept": "text/html"}
LINK = re.compile(r'(?:href|src|action)="([^"#][^"]*)"')
_NGINX = (
    "user www-data; pid FOLDER/nginx.pid; events {} http { access_log off; server { "
    "listen 127.0.0.1:PORT; location /phonebook/ { proxy_pass http://SERVERTAIL; "
    "proxy_set_header Host $http_host; } } }"
)
_HAPROXY = (
    "defaults\n mode http\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n"
    "frontend all\n bind 127.0.0.1:PORT\n use_backend phonebook if { path_beg /phonebook/ }\n"
    "backend phonebook\nTAIL server phonebook SERVER\n"
)
_CADDY = "http://:PORT {\n bind 127.0.0.1\n WAY /phonebook/* {\n  reverse_proxy SERVER\n }\n}\n"
WAYS = [
    (NGINX, _NGINX.replace("TAIL", "/")),
    (NGINX, _NGINX.replace("TAIL", "")),
    (HAPROXY, _HAPROXY.replace("TAIL", " http-request replace-path /phonebook(/.*) \\1\n")),
    (HAPROXY, _HAPROXY.replace("TAIL", "")),
    (CADDY, _CADDY.replace("WAY", "handle_path")),
    (CADDY, _CADDY.replace("WAY", "handle")),
]


@pytest.fixture(scope="module")
def below(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("below")
    with _server(folder, PHONEBOOK_ROOT_PATH=ROOT, PHONEBOOK_PROXIES="127.0.0.1") as server:
        yield server


@pytest.mark.parametrize(("kind", "text"), WAYS, ids=lambda way: getattr(way, "name", ""))
def test_every_link_of_every_page_leads_below_the_path(
    kind: Kind, text: str, below: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = _free_port()
    replaced = {"PORT": str(port), "SERVER": below.address, "FOLDER": str(tmp_path)}
    for word, by in replaced.items():
        text = text.replace(word, by)
    monkeypatch.setenv("PHONEBOOK_TOKEN", below.token)
    with _running(kind, text, tmp_path, port):
        origin = f"http://127.0.0.1:{port}"
        with table_client(f"{origin}{ROOT}") as client:
            client.register("phone", PHONE)
            assert [device.name for device in client.devices()] == ["phone"]
        with httpx2.Client(headers=below.bearer, timeout=15) as browser:
            seen, to_see = set[str](), {f"{origin}{ROOT}/"}
            while to_see:
                at = to_see.pop()
                seen.add(at)
                answer = browser.get(at, headers=PAGE)
                assert answer.status_code in (200, 405), at  # a form may be for sending alone
                if "html" in answer.headers.get("content-type", ""):
                    to_see |= {
                        link
                        for found in LINK.findall(answer.text)
                        if (link := urljoin(at, found).replace("&amp;", "&")).startswith(origin)
                    } - seen
            assert all(urlsplit(link).path.startswith(f"{ROOT}/") for link in seen)
            paths = {urlsplit(link).path.removeprefix(ROOT) for link in seen}
            assert {"/", "/fleet", "/export", "/static/charts.js", "/docs"} & paths >= {"/fleet"}
            docs = browser.get(f"{origin}{ROOT}/docs", headers=PAGE).text
            assert f"{ROOT}/openapi.json" in docs
            schema = browser.get(f"{origin}{ROOT}/openapi.json").json()
            assert schema["servers"] == [{"url": ROOT}]
            moved = browser.get(f"{origin}{ROOT}/queue", headers=PAGE)
            assert moved.headers["location"] == f"{ROOT}/fleet"
