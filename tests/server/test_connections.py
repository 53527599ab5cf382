"""Nobody keeps others out by opening connections and doing little with them."""

import json
import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine

from contract.problems import Problem
from server.app import create_app
from server.http.bodies import WholeBodies
from server.http.connections import Limits
from server.pages.assets import PLOTLY_PATH
from server.settings import Settings
from tests.server.making import PHONE
from tests.server.serving import Served, connected, program, rest, serving, wait_until

HALF_A_HEAD = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n"
REQUEST = HALF_A_HEAD + b"Connection: close\r\n\r\n"
KEPT_OPEN = HALF_A_HEAD + b"\r\n"
HALF_A_BODY = (
    b"PUT /devices/phone HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b"Content-Length: 1000\r\n\r\n{"
)
EVENTS = b"GET /fleet/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
IN_ONE_PIECE, IN_PIECES = PLOTLY_PATH, "/static-offline-docs/swagger-ui-bundle.js"
ROOM = 4


@pytest.fixture
def dialect() -> str:
    """The database has no part in this."""
    return "sqlite"


@pytest.fixture
def sockets() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def hurried(engine: Engine) -> Iterator[Served]:
    """A server that waits for next to nothing."""
    application = create_app(engine, Settings(), local=True)
    with serving(application, Limits(ROOM, head_s=0.5, taking_s=0.5)) as served:
        yield served


@pytest.fixture
def crowded(engine: Engine) -> Iterator[Served]:
    """A server with room for four."""
    with serving(create_app(engine, Settings(), local=True), Limits(ROOM)) as served:
        yield served


def sent(sockets: ExitStack, served: Served, text: bytes) -> socket.socket:
    """A new connection on which that was sent."""
    connection = sockets.enter_context(connected(served.address))
    connection.sendall(text)
    return connection


def trickle(connection: socket.socket) -> bytes:
    """What the server says while it is sent a byte now and then."""
    began = time.monotonic()
    while not select.select([connection], [], [], 0.05)[0]:
        assert time.monotonic() - began < 10
        connection.sendall(b"a")
    return rest(connection)


def is_open(connection: socket.socket) -> bool:
    """Whether more may come, once what is there was read."""
    connection.setblocking(False)
    try:
        while connection.recv(65_536):
            pass
    except BlockingIOError:
        return True
    return False


def answer(connection: socket.socket) -> bytes:
    """One whole answer, after which the connection stays open."""
    said = b""
    while b"\r\n\r\n" not in said:
        said += connection.recv(65_536)
    head, _, body = said.partition(b"\r\n\r\n")
    while len(body) < told_length(head):
        body += connection.recv(65_536)
    return head


def told_length(head: bytes) -> int:
    lines = head.lower().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(b"content-length"))


def request_for(path: str) -> bytes:
    return REQUEST.replace(b"/healthz", path.encode())


def problem_in(said: bytes) -> tuple[dict[str, str], Problem]:
    head, _, body = said.partition(b"\r\n\r\n")
    lines = head.decode().splitlines()[1:]
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    assert headers["content-type"] == "application/problem+json"
    return headers, Problem.model_validate_json(body)


@pytest.mark.parametrize("begun", [b"", HALF_A_HEAD])
def test_who_sends_no_whole_head_in_time_is_let_go(
    hurried: Served, sockets: ExitStack, begun: bytes
) -> None:
    assert rest(sent(sockets, hurried, begun)) == b""
    assert trickle(sent(sockets, hurried, HALF_A_HEAD + b"X-A: ")) == b""


def test_a_connection_stays_for_the_next_request_and_not_for_half_of_one(
    hurried: Served, sockets: ExitStack
) -> None:
    connection = sent(sockets, hurried, KEPT_OPEN)
    for _ in range(3):
        assert answer(connection).startswith(b"HTTP/1.1 200")
        connection.sendall(KEPT_OPEN)
    assert answer(connection).startswith(b"HTTP/1.1 200")
    connection.sendall(HALF_A_HEAD + b"X-A: ")
    assert trickle(connection) == b""


def test_whoever_has_waited_for_longest_makes_room(crowded: Served, sockets: ExitStack) -> None:
    first, *others = [sent(sockets, crowded, HALF_A_HEAD) for _ in range(ROOM)]
    assert rest(sent(sockets, crowded, REQUEST)).startswith(b"HTTP/1.1 200")
    assert rest(first) == b""
    for other in others:
        other.sendall(b"Connection: close\r\n\r\n")
        assert rest(other).startswith(b"HTTP/1.1 200")


def test_half_a_body_makes_room_too_and_an_answer_at_work_does_not(
    crowded: Served, sockets: ExitStack
) -> None:
    stream = sent(sockets, crowded, EVENTS)
    assert stream.recv(65_536).startswith(b"HTTP/1.1 200")
    half = [sent(sockets, crowded, HALF_A_BODY) for _ in range(ROOM)]
    for _ in range(2 * ROOM):
        assert rest(sent(sockets, crowded, REQUEST)).startswith(b"HTTP/1.1 200")
    assert rest(half[0]) == b""
    assert is_open(stream)


def test_a_newcomer_is_told_to_come_back_while_everybody_is_served(
    crowded: Served, sockets: ExitStack
) -> None:
    streams = [sent(sockets, crowded, EVENTS) for _ in range(ROOM)]
    for stream in streams:
        assert stream.recv(65_536).startswith(b"HTTP/1.1 200")
    said = rest(sent(sockets, crowded, b""))
    assert said.startswith(b"HTTP/1.1 503")
    headers, problem = problem_in(said)
    assert int(headers["retry-after"]) >= 1
    assert "answers 4 requests already; ask again" in problem.detail
    streams[0].close()
    wait_until(lambda: crowded.connections() < ROOM)
    assert rest(sent(sockets, crowded, REQUEST)).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("path", [IN_ONE_PIECE, IN_PIECES])
def test_who_takes_nothing_of_an_answer_is_let_go(
    hurried: Served, sockets: ExitStack, path: str
) -> None:
    connection = sockets.enter_context(connected(hurried.address))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    connection.sendall(request_for(path))
    wait_until(lambda: hurried.connections() == 1)
    wait_until(lambda: hurried.connections() == 0)
    head, _, body = rest(connection).partition(b"\r\n\r\n")
    assert len(body) < told_length(head)


def test_who_takes_nothing_and_sends_a_little_is_let_go_too(
    hurried: Served, sockets: ExitStack
) -> None:
    connection = sockets.enter_context(connected(hurried.address))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    half_a_body = b"Content-Length: 1000\r\nConnection: close"
    connection.sendall(request_for(IN_PIECES).replace(b"Connection: close", half_a_body))
    wait_until(lambda: hurried.connections() == 1)

    def is_gone() -> bool:
        with suppress(ConnectionError):
            connection.sendall(b"a")
        return hurried.connections() == 0

    wait_until(is_gone)


@pytest.mark.slow
@pytest.mark.parametrize("path", [IN_ONE_PIECE, IN_PIECES])
def test_who_takes_an_answer_slowly_gets_all_of_it(
    hurried: Served, sockets: ExitStack, path: str
) -> None:
    connection = sockets.enter_context(connected(hurried.address))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    connection.sendall(request_for(path))
    said, began = b"", time.monotonic()
    while some := connection.recv(40_000):
        said += some
        time.sleep(0.03)  # the client is slow, not the test
    head, _, body = said.partition(b"\r\n\r\n")
    assert len(body) == told_length(head)
    assert time.monotonic() - began > 2 * 0.5


def test_what_is_no_http_gets_a_problem_document(crowded: Served, sockets: ExitStack) -> None:
    for text in (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"GET /\r\n\r\n", b"x" * 100_000):
        said = rest(sent(sockets, crowded, text))
        assert said.startswith(b"HTTP/1.1 400")
        assert "no HTTP/1.1 request" in problem_in(said)[1].detail


def test_nonsense_after_an_answer_is_no_request(crowded: Served, sockets: ExitStack) -> None:
    chunked = HALF_A_HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    connection = sent(sockets, crowded, chunked)
    assert answer(connection).startswith(b"HTTP/1.1 200")
    connection.sendall(b"no chunk\r\n")
    assert rest(connection) == b""


def test_a_body_that_trickles_is_refused_and_keeps_no_writer_waiting(
    engine: Engine, sockets: ExitStack
) -> None:
    application = create_app(engine, Settings(), local=True)
    longest_s = 3
    slow = WholeBodies(application, most_bytes=10_000, longest_s=longest_s)
    with serving(slow, Limits(100)) as served:
        half = [sent(sockets, served, HALF_A_BODY) for _ in range(50)]
        began = time.monotonic()
        for _ in range(3):
            url = f"{served.address}/devices/phone"
            assert httpx.put(url, content=PHONE.model_dump_json(), headers=JSON).is_success
        assert time.monotonic() - began < longest_s, "they waited for those that trickle"
        for connection in half:
            said = trickle(connection)
            assert said.startswith(b"HTTP/1.1 408")
            headers, problem = problem_in(said)
            assert f"not complete within {longest_s} s" in problem.detail
            assert headers["connection"] == "close"


JSON = {"content-type": "application/json"}


@pytest.mark.slow
def test_a_server_with_few_files_serves_through_a_flood_of_half_requests(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with (
        program(f"sqlite:///{tmp_path}/phonebook.db", log=log, files=192) as server,
        ExitStack() as held,
    ):
        for _ in range(300):
            held.enter_context(connected(server.address)).sendall(HALF_A_HEAD)
        for _ in range(5):
            began = time.monotonic()
            assert httpx.get(f"{server.address}/devices").status_code == 200
            assert time.monotonic() - began < 2
        for _ in range(100):
            with connected(server.address) as nonsense:
                nonsense.sendall(b"nonsense\r\n\r\n")
                assert rest(nonsense).startswith(b"HTTP/1.1 400")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert len(lines) < 20
    assert any("too many connections" in line["event"] for line in lines)
    assert not any("exception" in line for line in lines)
