"""HEAD wherever GET is answered: the same status and headers, and no body."""

import pytest
from fastapi.testclient import TestClient

from contract.problems import Problem
from server.pages.assets import PLOTLY_PATH
from tests.server.conftest import Agent
from tests.server.making import a_timing
from tests.server.serving import connected, rest

pytestmark = pytest.mark.one_database

OF_ONE_ANSWER = ("x-request-id", "date")
PAGE, DATA = {"accept": "text/html"}, {"accept": "application/json"}


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
@pytest.mark.parametrize(
    ("path", "accept"),
    [
        ("/healthz", DATA),
        ("/devices", DATA),
        ("/lut/phone", DATA),
        ("/lut/nobody", DATA),
        ("/nowhere", PAGE),
        ("/networks", PAGE),
        ("/fleet", PAGE),
        ("/openapi.json", DATA),
        ("/docs", PAGE),
        ("/static/phonebook.css", DATA),
        (PLOTLY_PATH, DATA),
    ],
)
def test_head_tells_what_get_would(
    client: TestClient, agent: Agent, path: str, accept: dict[str, str], encoding: str
) -> None:
    agent.tell(agent.begin(), a_timing())
    asked = {**accept, "accept-encoding": encoding}
    got, head = (client.request(method, path, headers=asked) for method in ("GET", "HEAD"))
    assert head.status_code == got.status_code
    assert int(head.headers["content-length"]) > 0
    assert head.content == b""
    for answer in (got, head):
        for name in OF_ONE_ANSWER:
            answer.headers.pop(name, None)
    assert head.headers == got.headers


def test_a_copy_that_is_current_is_so_for_head_too(client: TestClient, agent: Agent) -> None:
    agent.tell(agent.begin(), a_timing())
    tag = client.head("/lut/phone").headers["etag"]
    assert client.head("/lut/phone", headers={"if-none-match": tag}).status_code == 304


def test_where_nothing_can_be_read_head_is_no_method_either(client: TestClient) -> None:
    for method in ("GET", "HEAD"):
        answer = client.request(method, "/leases")
        assert answer.status_code == 405
        assert answer.headers["allow"] == "POST"
        assert answer.headers["content-type"] == "application/problem+json"
    assert Problem.model_validate_json(client.get("/leases").text).status == 405


def test_the_schema_says_nothing_of_head(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert not [path for path, methods in paths.items() if "head" in methods]


def test_head_of_a_stream_ends_at_once(address: str) -> None:
    with connected(address) as connection:
        connection.sendall(b"HEAD /fleet/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        connection.sendall(
            b"HEAD /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
        )
        connection.settimeout(10)
        said = rest(connection)
    assert said.count(b"HTTP/1.1 200 OK") == 2
    assert b"text/event-stream" in said
    assert said.endswith(b"\r\n\r\n")
