"""Who may do what: by token, or before there is one by sitting at the server's computer."""

import re
import select
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx2
import pytest
from fastapi.routing import APIRoute, iter_route_contexts
from fastapi.testclient import TestClient
from sqlalchemy import Engine, text
from starlette.routing import Mount, Route
from structlog.testing import capture_logs

from contract.errors import PhonebookError
from contract.problems import Problem
from server.app import create_app
from server.database.engine import reading, writing
from server.http.access import OPEN_FOLDERS, OPEN_WRITES, Needs, is_open
from server.http.locality import SAFE_METHODS
from server.roles import Role
from server.settings import Settings
from server.store import tokens
from tests.server.conftest import JSON
from tests.server.fleet import Clock
from tests.server.making import NOON, PHONE, RUNTIME, a_session, a_timing, an_audit

PHONE_JSON = PHONE.model_dump_json()
PATIENCE_S = 10.0
# The errors of a disk that is full and of a standby.
NO_WRITES = {
    "sqlite": (
        "CREATE TRIGGER no_writes BEFORE UPDATE ON tokens "
        "BEGIN SELECT RAISE(FAIL, 'database or disk is full'); END",
    ),
    "postgresql": (
        "CREATE FUNCTION no_writes() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN RAISE EXCEPTION 'no writes' USING ERRCODE = 'read_only_sql_transaction'; END$$",
        "CREATE TRIGGER no_writes BEFORE UPDATE ON tokens EXECUTE FUNCTION no_writes()",
    ),
}


def make(engine: Engine, name: str, role: Role) -> dict[str, str]:
    """The header of a new token."""
    with writing(engine).begin() as session:
        return bearer(tokens.create(session, name, role, datetime.now(UTC)))


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def shared(engine: Engine, peer: str = "192.168.1.7", **settings: object) -> TestClient:
    """Someone elsewhere, of a server that others can reach."""
    return TestClient(
        create_app(engine, Settings.model_validate(settings)),
        base_url="http://lab",
        client=(peer, 50_000),
        raise_server_exceptions=False,
    )


@pytest.fixture
def lab(engine: Engine) -> Iterator[TestClient]:
    with shared(engine) as client:
        yield client


def put_phone(client: TestClient, **headers: str) -> httpx2.Response:
    return client.put("/devices/phone", content=PHONE_JSON, headers={**JSON, **headers})


def detail(answer: httpx2.Response, status: int) -> str:
    """The reason in a problem document of that status."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return Problem.model_validate_json(answer.text).detail


@pytest.mark.one_database
def test_every_route_demands_a_role_or_is_open_on_purpose(engine: Engine) -> None:
    for route in iter_route_contexts(create_app(engine, Settings()).routes):
        original = route.original_route
        if isinstance(original, Mount):  # files, which answer reads alone
            assert f"{original.path}/".startswith(OPEN_FOLDERS)
            continue
        assert isinstance(original, Route | APIRoute)
        writes = set(route.methods or ()) - SAFE_METHODS
        roles = {need.role for need in needs_of(route)}
        if writes and route.path not in OPEN_WRITES:
            assert roles & {"agent", "admin"}, f"{writes} {route.path} may be called by anybody"
        elif not writes and not is_open(route.path or ""):
            assert roles, f"{route.path} may be read by anybody"


def needs_of(route: object) -> list[Needs]:
    dependant = getattr(route, "dependant", None)
    dependencies = dependant.dependencies if dependant else []
    return [each.call for each in dependencies if isinstance(each.call, Needs)]


@pytest.mark.parametrize(
    ("role", "reads", "posts", "decides"),
    [("reader", 200, 403, 403), ("agent", 200, 201, 403), ("admin", 200, 201, 200)],
)
def test_a_token_has_the_rights_of_its_role(
    engine: Engine, lab: TestClient, role: Role, reads: int, posts: int, decides: int
) -> None:
    admin, token = make(engine, "boss", "admin"), make(engine, "me", role)
    session = a_session()
    put_phone(lab, **admin)
    lab.post("/sessions", content=session.model_dump_json(), headers={**JSON, **admin})
    own = a_session()
    bodies = {
        "/sessions": own,
        f"/sessions/{own.id}/timings": a_timing(),
        "/audits": an_audit(),
    }
    for path in ("/", "/devices", "/lut/phone", "/devices/phone", f"/sessions/{session.id}"):
        assert lab.get(path, headers=token).status_code == reads
    for path, body in bodies.items():
        answer = lab.post(path, content=body.model_dump_json(), headers={**JSON, **token})
        assert answer.status_code == posts
    answer = lab.put(
        "/devices/phone/default-runtime",
        content=RUNTIME.model_dump_json(),
        headers={**JSON, **token},
    )
    assert answer.status_code == decides
    if decides == 403:
        assert f"token me has the role {role}, and this needs admin" in detail(answer, 403)


@pytest.mark.one_database
@pytest.mark.parametrize("path", ["/devices", "/lut/phone", "/sessions?device=phone", "/"])
def test_nobody_in_particular_reads_nothing_from_a_shared_server(
    lab: TestClient, path: str
) -> None:
    answer = lab.get(path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "python -m server.tokens create" in answer.text


@pytest.mark.one_database
@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/static/phonebook.css", "/docs"])
def test_what_tells_nothing_measured_is_open(lab: TestClient, path: str) -> None:
    assert lab.get(path).status_code == 200
    assert lab.get(path, headers=bearer("wrong")).status_code == 200


def test_open_reads_open_reads_alone(engine: Engine) -> None:
    with shared(engine, open_reads=True) as client:
        put_phone(client, **make(engine, "lab", "agent"))
        assert [device["name"] for device in client.get("/devices").json()] == ["phone"]
        assert client.get("/").status_code == 200
        assert "agent" in detail(put_phone(client), 401)
        assert client.get("/devices", headers=bearer("pb_unknown")).status_code == 401


@pytest.mark.parametrize(
    "authorization", ["Bearer pb_unknown", "Bearer", "Basic bWU6eW91", "pb_unknown", ""]
)
def test_a_token_that_does_not_work_gives_less_than_none(
    client: TestClient, authorization: str
) -> None:
    answer = client.get("/devices", headers={"Authorization": authorization})
    assert "token" in detail(answer, 401)
    assert answer.headers["www-authenticate"] == "Bearer"
    assert client.get("/devices").status_code == 200


def test_a_revoked_token_is_refused_from_the_next_request_on(
    engine: Engine, lab: TestClient
) -> None:
    token = make(engine, "lab", "agent")
    assert put_phone(lab, **token).status_code == 201
    with writing(engine).begin() as session:
        tokens.revoke(session, "lab", datetime.now(UTC))
    assert "unknown or revoked" in detail(put_phone(lab, **token), 401)
    again = make(engine, "lab", "agent")
    assert put_phone(lab, **again).status_code == 200
    assert put_phone(lab, **token).status_code == 401


def test_a_token_counts_on_a_loopback_server_too(engine: Engine, client: TestClient) -> None:
    assert put_phone(client, **make(engine, "me", "reader")).status_code == 403


def test_the_database_has_no_token_in_clear_and_knows_when_it_was_used(
    engine: Engine, lab: TestClient
) -> None:
    token = make(engine, "lab", "agent")
    put_phone(lab, **token)
    with engine.connect() as connection:
        (stored,) = connection.execute(text("SELECT * FROM tokens")).all()
    secret = token["Authorization"].removeprefix("Bearer pb_")
    assert len(secret) == 43
    assert secret not in str(stored)
    assert last_use(engine) is not None


def last_use(engine: Engine) -> datetime | None:
    """When the only token was used last."""
    with reading(engine)() as session:
        (report,) = tokens.reports(session)
    return report.last_used_at


def test_a_use_is_noted_once_an_hour(engine: Engine, clock: Clock) -> None:
    token = make(engine, "lab", "reader")
    app = create_app(engine, Settings(), clock=clock)
    with TestClient(app, base_url="http://lab", headers=token) as client:
        client.get("/devices")
        assert last_use(engine) == NOON
        clock.advance(timedelta(minutes=59))
        client.get("/devices")
        assert last_use(engine) == NOON
        clock.advance(timedelta(minutes=1))
        client.get("/devices")
        assert last_use(engine) == NOON + timedelta(hours=1)


def test_whoever_reads_does_not_wait_for_the_note_of_it(engine: Engine, address: str) -> None:
    token = make(engine, "lab", "reader")
    with httpx2.Client(base_url=address, headers=token) as client:
        with writing(engine).begin() as session:  # somebody else has the database, or this row
            session.execute(text("UPDATE tokens SET role = role"))
            began = time.monotonic()
            for _ in range(3):
                assert client.get("/devices").status_code == 200
            assert time.monotonic() - began < PATIENCE_S / 2
        deadline = time.monotonic() + PATIENCE_S
        while last_use(engine) is None:
            assert time.monotonic() < deadline, "the use was not noted"
            time.sleep(0.02)


def test_a_database_that_takes_no_writes_is_read_with_a_token_too(engine: Engine) -> None:
    token = make(engine, "lab", "reader")
    with engine.begin() as connection:
        for statement in NO_WRITES[engine.dialect.name]:
            connection.exec_driver_sql(statement)
    with shared(engine) as client, capture_logs() as logs:
        for _ in range(2):
            assert client.get("/devices", headers=token).status_code == 200
    told = [line for line in logs if "was not noted" in line["event"]]
    assert [(line["log_level"], line["token"]) for line in told] == [("info", "lab")]


def test_an_expired_token_is_told_from_an_unknown_one(engine: Engine, clock: Clock) -> None:
    with writing(engine).begin() as session:
        token = bearer(tokens.create(session, "lab", "agent", clock.now, lasts=timedelta(days=1)))
    app = create_app(engine, Settings(), clock=clock)
    with TestClient(app, base_url="http://lab", raise_server_exceptions=False) as client:
        clock.advance(timedelta(hours=23))
        assert put_phone(client, **token).status_code == 201
        clock.advance(timedelta(hours=2))
        for answer in (put_phone(client, **token), client.get("/devices", headers=token)):
            refused = detail(answer, 401)
            assert re.search(r"token lab has expired, at \d{4}-\d\d-\d\d \d\d:\d\d UTC", refused)
            assert "create --name lab --role agent --expires 90d" in refused


def test_the_name_of_an_expired_token_may_be_given_again(engine: Engine) -> None:
    with writing(engine).begin() as session:
        tokens.create(session, "lab", "agent", datetime.now(UTC), lasts=timedelta(0))
    assert make(engine, "lab", "agent")
    with pytest.raises(PhonebookError, match="there is a token lab already"):
        make(engine, "lab", "agent")


@pytest.mark.one_database
def test_there_is_no_token_in_a_query(engine: Engine, lab: TestClient) -> None:
    token = make(engine, "lab", "agent")["Authorization"].removeprefix("Bearer ")
    assert lab.get(f"/devices?token={token}&access_token={token}").status_code == 401


def test_the_log_has_the_name_of_whoever_asked(engine: Engine, lab: TestClient) -> None:
    with capture_logs() as logs:
        lab.get("/devices", headers=make(engine, "ada", "reader"))
        lab.get("/devices")
    assert [(line["by"], line["status"]) for line in logs] == [("ada", 200), (None, 401)]


def test_someone_elsewhere_is_not_local_however_the_server_listens(engine: Engine) -> None:
    app = create_app(engine, Settings(), local=True)
    for peer in ("10.1.2.3", "testclient"):
        with TestClient(app, base_url="http://127.0.0.1", client=(peer, 1)) as client:
            assert client.get("/devices").status_code == 401
    with shared(engine, peer="127.0.0.1") as client:  # here, but the server listens everywhere
        assert client.get("/devices", headers={"Host": "127.0.0.1"}).status_code == 401


def test_a_stranger_who_is_still_sending_hears_why_it_is_refused(
    engine: Engine, address: str
) -> None:
    make(engine, "lab", "agent")
    body = b"x" * 300_000
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as connection:
        head = f"POST /jobs HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body[:1000])
        assert select.select([connection], [], [], 0.3) == ([], [], [])  # no answer yet
        connection.sendall(body[1000:])
        answer = b""
        while b"own computer" not in answer:
            answer += connection.recv(10_000)
    assert answer.startswith(b"HTTP/1.1 401 ")


def test_a_stranger_is_refused_before_the_body_is_looked_at(lab: TestClient) -> None:
    assert lab.post("/sessions", content=b"{" * 100, headers=JSON).status_code == 401
    assert lab.post(f"/sessions/{uuid4()}/timings", content=b"{").status_code == 401
    assert lab.post("/nowhere", content=b"{").status_code == 401
