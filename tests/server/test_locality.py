"""What a place gives: this computer without a token, other names and pages, and proxies."""

import time
from datetime import UTC, datetime

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine
from structlog.testing import capture_logs

from server.database.engine import writing
from server.settings import Settings
from server.store import tokens
from tests.server.conftest import local_client
from tests.server.test_access import detail, make, put_phone, shared

pytestmark = pytest.mark.one_database


def test_the_first_token_ends_what_may_be_done_without_one(
    engine: Engine, client: TestClient
) -> None:
    assert put_phone(client).status_code == 201
    token = make(engine, "lab", "agent")  # by another process, as far as the server can tell
    until_refused(client)
    assert "not even at the server's own computer" in detail(client.get("/devices"), 401)
    assert put_phone(client).status_code == 401
    assert put_phone(client, **token).status_code == 200
    with writing(engine).begin() as session:
        tokens.revoke(session, "lab", datetime.now(UTC))
    with local_client(engine) as restarted:  # it does not come back with the last token's end
        assert restarted.get("/devices").status_code == 401
        assert put_phone(restarted).status_code == 401


def until_refused(client: TestClient) -> None:
    """A second or so after the first token was made."""
    deadline = time.monotonic() + 1.5
    while client.get("/devices").status_code != 401:
        assert time.monotonic() < deadline, "still nobody needs a token"
        time.sleep(0.02)


def test_where_reads_are_open_the_first_token_ends_writes_alone(engine: Engine) -> None:
    make(engine, "lab", "agent")
    with local_client(engine, Settings(open_reads=True)) as client:
        assert client.get("/devices").status_code == 200
        assert put_phone(client).status_code == 401


@pytest.mark.parametrize("settings", [{"local_access": False}, {"proxies": "10.0.0.1"}])
def test_the_local_privilege_can_be_switched_off(
    engine: Engine, settings: dict[str, object]
) -> None:
    with local_client(engine, Settings.model_validate(settings)) as client:
        assert client.get("/devices").status_code == 401
        assert put_phone(client).status_code == 401


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:8420", "localhost:9", "[::1]:80", "LOCALHOST"]
)
def test_loopback_names_need_no_token(client: TestClient, host: str) -> None:
    assert client.get("/devices", headers={"Host": host}).status_code == 200
    assert put_phone(client, Host=host).status_code in (200, 201)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil:80",
        "",
        "10.0.0.1",
        "[",
        "a@127.0.0.2.x",
    ],
)
def test_a_name_that_was_pointed_to_loopback_is_refused(client: TestClient, host: str) -> None:
    assert "PHONEBOOK_ALLOWED_HOSTS" in detail(client.get("/devices", headers={"Host": host}), 403)
    assert put_phone(client, Host=host).status_code == 403


def test_a_name_may_be_allowed(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHONEBOOK_ALLOWED_HOSTS", "bench, phones.home")
    with local_client(engine, Settings()) as client:
        assert client.get("/devices", headers={"Host": "phones.home:8420"}).status_code == 200
        assert client.get("/devices", headers={"Host": "phones.away:8420"}).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:3000"},  # another program's pages on this computer
        {"Origin": "http://[", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://127.0.0.1", "Sec-Fetch-Site": "cross-site"},
    ],
)
def test_a_write_by_a_page_of_another_origin_is_refused(
    client: TestClient, headers: dict[str, str]
) -> None:
    assert "another origin" in detail(put_phone(client, **headers), 403)
    assert client.get("/devices").json() == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://127.0.0.1", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "http://127.0.0.1"},
        {"Sec-Fetch-Site": "none"},
        {},
    ],
)
def test_a_write_by_a_program_or_an_own_page_is_taken(
    client: TestClient, headers: dict[str, str]
) -> None:
    assert put_phone(client, **headers).status_code == 201


@pytest.mark.parametrize(
    "header",
    [
        {"X-Forwarded-For": "127.0.0.1"},
        {"X-Forwarded-Proto": "https"},
        {"Forwarded": "for=127.0.0.1"},
        {"Via": "1.1 proxy"},
        {"X-Real-IP": "127.0.0.1"},
    ],
)
def test_a_proxy_on_this_computer_hands_on_no_right(
    client: TestClient, header: dict[str, str]
) -> None:
    assert client.get("/devices", headers=header).status_code == 401
    assert put_phone(client, **header).status_code == 401


FORWARDED = {"X-Forwarded-For": "203.0.113.9, 10.0.0.2", "X-Forwarded-Proto": "https"}


def test_a_trusted_proxy_tells_the_scheme_and_the_clients_address(engine: Engine) -> None:
    token = make(engine, "lab", "agent")
    settings = {"proxies": "10.0.0.1, 10.0.0.2/31", "rate": 0.5}
    with shared(engine, peer="10.0.0.1", **settings) as client, capture_logs() as logs:
        page = client.post("/sign-in", headers=FORWARDED)
        assert page.status_code == 401
        fill = {"token": token["Authorization"].removeprefix("Bearer ")}
        signed_in = client.post("/sign-in", data=fill, headers=FORWARDED, follow_redirects=False)
        assert "; Secure" in signed_in.headers["set-cookie"]
        refused = detail(client.get("/devices", headers=FORWARDED), 401)
        assert "address 203.0.113.9" in detail(client.post("/jobs", headers=FORWARDED), 429)
        assert "needs a token" in refused
        other = FORWARDED | {"X-Forwarded-For": "203.0.113.9, 203.0.113.10, 10.0.0.3"}
        assert client.post("/jobs", headers=other).status_code == 401  # another's limit
    assert {line["client"] for line in logs} == {"203.0.113.9", "203.0.113.10"}


def test_from_anybody_else_its_headers_change_nothing(engine: Engine) -> None:
    token = make(engine, "lab", "agent")
    with (
        shared(engine, peer="10.0.0.9", proxies="10.0.0.1", rate=0.25) as client,
        capture_logs() as logs,
    ):
        fill = {"token": token["Authorization"].removeprefix("Bearer ")}
        answer = client.post("/sign-in", data=fill, headers=FORWARDED, follow_redirects=False)
        assert "Secure" not in answer.headers["set-cookie"]
        assert "address 10.0.0.9" in detail(client.post("/sign-in", headers=FORWARDED), 429)
    assert {line["client"] for line in logs} == {"10.0.0.9"}
