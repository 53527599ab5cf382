"""What holds behind a proxy: who may do what, and what a proxy may get in the way of."""

from uuid import uuid4

import httpx2
import pytest
from playwright.sync_api import Page, expect

from contract.timings import BatchReport, TimingBatch
from tests.proxies.conftest import Kind, Proxied
from tests.server.conftest import JSON
from tests.server.fleet import Fleet, an_agent
from tests.server.making import PHONE, SPACE, a_session, a_timing
from tests.server.test_access import detail

pytestmark = pytest.mark.proxies


def assert_nobody_may_do_anything(client: httpx2.Client) -> None:
    for path in ("/devices", "/", "/fleet", "/metrics"):
        assert client.get(path).status_code == 401
    assert put_phone(client).status_code == 401


def put_phone(client: httpx2.Client) -> httpx2.Response:
    return client.put("/devices/phone", content=PHONE.model_dump_json(), headers=JSON)


def test_nobody_is_taken_for_the_keeper(kind: Kind, proxied: Proxied) -> None:
    with proxied.client() as client:
        assert_nobody_may_do_anything(client)
        answer = client.get("/devices", headers={"Host": "127.0.0.1"})
        if kind.name == "caddy":  # which knows no such name
            assert answer.content == b""
        else:
            assert answer.status_code == 401


def test_nor_where_the_proxy_only_hands_on(bare: Proxied) -> None:
    for host in ("127.0.0.1", "127.0.0.1:8420", "localhost", "phonebook.example.org"):
        with bare.client(headers={"Host": host}) as client:
            assert_nobody_may_do_anything(client)
    with bare.client(headers=bare.server.bearer) as client:
        assert client.get("/devices").status_code == 200


def slowed_down(client: httpx2.Client) -> str:
    """The words of the rate limit, for somebody who guesses tokens as fast as can be."""
    for _ in range(500):
        answer = client.get("/devices", headers={"Authorization": "Bearer pb_wrong"})
        if answer.status_code != 401:
            break
    return detail(answer, 429)


def test_the_rate_limit_is_of_the_client_and_not_of_the_proxy(proxied: Proxied) -> None:
    with proxied.client("127.0.0.3") as guesser, proxied.client("127.0.0.5") as other:
        assert "address 127.0.0.3 sends more than" in slowed_down(guesser)
        assert other.get("/devices").status_code == 401


def test_what_a_client_says_of_itself_is_not_believed(proxied: Proxied) -> None:
    lies = {"X-Forwarded-For": "203.0.113.9", "X-Real-IP": "203.0.113.9", "Forwarded": "for=::1"}
    with proxied.client("127.0.0.4", headers=lies) as client:
        assert "address 127.0.0.4 sends more than" in slowed_down(client)
        assert client.get("/devices").status_code in (401, 429)


def test_a_token_works_over_tls(proxied: Proxied) -> None:
    with proxied.client(headers=proxied.server.bearer) as client:
        assert put_phone(client).status_code in (200, 201)
        assert [device["name"] for device in client.get("/devices").json()] == ["phone"]


def test_a_large_batch_passes(proxied: Proxied) -> None:
    session = a_session()
    timings = [
        a_timing(operator).evolve(rounds_us=((100 + 1 / 3,) * 2000,))
        for operator in [each for each in SPACE.operators if not each.is_free][:90]
    ]
    body = TimingBatch(timings=tuple(timings)).model_dump_json()
    assert 3_000_000 < len(body) < 4 * 2**20
    with proxied.client(headers={**proxied.server.bearer, **JSON}) as client:
        put_phone(client)
        client.post("/sessions", content=session.model_dump_json()).raise_for_status()
        answer = client.post(f"/sessions/{session.id}/timings/batch", content=body)
    report = BatchReport.model_validate_json(answer.raise_for_status().content)
    assert [outcome.refused for outcome in report.outcomes] == [None] * len(timings)


def test_of_what_is_too_large_the_server_says_so(proxied: Proxied) -> None:
    with proxied.client(headers={**proxied.server.bearer, **JSON}) as client:
        answer = client.put("/devices/phone", content=b" " * (4 * 2**20 + 1))
    assert "larger than 4194304 bytes" in detail(answer, 413)


def test_an_event_arrives_at_once(proxied: Proxied) -> None:
    with (
        proxied.client(headers=proxied.server.bearer) as client,
        client.stream("GET", "/fleet/events") as events,  # waits for no more than its time-out
    ):
        assert events.headers["content-type"].startswith("text/event-stream")
        lines = events.iter_lines()
        first = next(line for line in lines if line.startswith("data:"))
        Fleet(client).announce(uuid4(), an_agent("bench", "s1")).raise_for_status()
        assert next(line for line in lines if line.startswith("data:")) != first


def test_a_browser_signs_in_and_its_cookie_is_for_tls_alone(page: Page, proxied: Proxied) -> None:
    page.goto("/fleet")
    page.get_by_label("Token").fill(proxied.server.token)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator(".who")).to_contain_text("lab (agent)")
    expect(page.locator("#live")).to_have_text("live")
    (cookie,) = page.context.cookies()
    assert (cookie["secure"], cookie["httpOnly"], cookie["sameSite"]) == (True, True, "Lax")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Token")).to_be_visible()
    assert page.context.cookies() == []
