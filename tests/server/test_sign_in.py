"""A browser shows a token once; then its cookie stands for it, on the server's own pages."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import httpx2
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, text

from server.app import create_app
from server.database.engine import writing
from server.pages.links import is_own
from server.roles import Role
from server.settings import Settings
from server.store import tokens
from tests.server.conftest import JSON
from tests.server.fleet import Clock
from tests.server.test_access import PHONE_JSON, detail, last_use, make

PAGE = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
OWN_PAGE = PAGE | {"Origin": "http://lab", "Sec-Fetch-Site": "same-origin"}


class Browser:
    """Sends forms as a browser does, keeps the cookie and follows nothing by itself."""

    def __init__(self, engine: Engine, clock: Clock, **settings: object) -> None:
        self.client = TestClient(
            create_app(engine, Settings.model_validate(settings), clock=clock),
            base_url="http://lab",
            client=("192.168.1.7", 50_000),
            raise_server_exceptions=False,
            follow_redirects=False,
        )

    def sign_in(self, token: str, then: str = "/", **headers: str) -> httpx2.Response:
        fields = {"token": token, "next": then}
        return self.client.post("/sign-in", data=fields, headers=OWN_PAGE | headers)

    def sign_out(self, **headers: str) -> httpx2.Response:
        return self.client.post("/sign-out", headers=OWN_PAGE | headers)

    def page(self, path: str = "/") -> httpx2.Response:
        return self.client.get(path, headers=PAGE)

    def put_phone(self, **headers: str) -> httpx2.Response:
        return self.client.put("/devices/phone", content=PHONE_JSON, headers={**JSON, **headers})


@pytest.fixture
def visitor(engine: Engine, clock: Clock) -> Iterator[Browser]:
    visitor = Browser(engine, clock, rate=0)
    with visitor.client:
        yield visitor


def token_of(engine: Engine, name: str = "ada", role: Role = "agent") -> str:
    return make(engine, name, role)["Authorization"].removeprefix("Bearer ")


def test_a_page_becomes_a_form_and_the_form_leads_to_the_page(
    engine: Engine, visitor: Browser
) -> None:
    page = visitor.page("/history?change=faster")
    assert page.status_code == 401
    assert '<form class="sign-in" method="post" action="/sign-in">' in page.text
    assert 'name="next" value="/history?change=faster"' in page.text

    token = token_of(engine)
    answer = visitor.sign_in(f" {token}\n", "/history?change=faster")
    assert (answer.status_code, answer.headers["location"]) == (303, "/history?change=faster")
    cookie = answer.headers["set-cookie"]
    assert re.fullmatch(
        r"phonebook=[A-Za-z0-9_-]{43}; HttpOnly; Max-Age=2592000; Path=/; SameSite=lax", cookie
    )
    assert visitor.page("/history").status_code == 200
    assert "ada</" in visitor.page().text or " ada " in visitor.page().text
    with engine.connect() as connection:
        (stored,) = connection.execute(text("SELECT * FROM sign_ins")).all()
    secret = visitor.client.cookies["phonebook"]
    assert secret not in str(stored)
    assert token not in str(stored)
    assert token.removeprefix("pb_") not in cookie


def test_signing_out_ends_it_for_whoever_has_the_cookie(engine: Engine, visitor: Browser) -> None:
    visitor.sign_in(token_of(engine))
    secret = visitor.client.cookies["phonebook"]
    answer = visitor.sign_out()
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "phonebook" not in visitor.client.cookies
    assert visitor.page().status_code == 401
    visitor.client.cookies.set("phonebook", secret)
    assert visitor.page().status_code == 401


@pytest.mark.parametrize(("role", "writes"), [("reader", 403), ("agent", 201), ("admin", 201)])
def test_the_cookie_has_the_rights_of_its_token(
    engine: Engine, visitor: Browser, role: Role, writes: int
) -> None:
    visitor.sign_in(token_of(engine, role=role))
    assert visitor.client.get("/devices").status_code == 200
    own = {"Origin": "http://lab", "Sec-Fetch-Site": "same-origin"}
    assert visitor.put_phone(**own).status_code == writes


FOREIGN = [
    {"Origin": "https://evil.example"},
    {"Origin": "http://lab:3000"},  # of the same site, for cookies
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "http://lab", "Sec-Fetch-Site": "same-site"},
]


@pytest.mark.one_database
@pytest.mark.parametrize("headers", FOREIGN)
def test_a_page_of_another_origin_writes_nothing_with_the_cookie(
    engine: Engine, visitor: Browser, headers: dict[str, str]
) -> None:
    visitor.sign_in(token_of(engine))
    assert "another origin" in detail(visitor.put_phone(**headers), 403)
    assert visitor.client.get("/devices").json() == []


@pytest.mark.one_database
@pytest.mark.parametrize("headers", FOREIGN)
def test_a_page_of_another_origin_signs_nobody_in_or_out(
    engine: Engine, visitor: Browser, headers: dict[str, str]
) -> None:
    token = token_of(engine)
    for answer in (
        visitor.client.post("/sign-in", data={"token": token}, headers=PAGE | headers),
        visitor.client.post("/sign-out", headers=PAGE | headers),
    ):
        assert answer.status_code == 403
        assert "another origin" in answer.text
        assert "set-cookie" not in answer.headers
    visitor.sign_in(token)
    assert visitor.client.post("/sign-out", headers=PAGE | headers).status_code == 403
    assert visitor.page().status_code == 200


@pytest.mark.one_database
@pytest.mark.parametrize("token", ["", "pb_wrong", "\u20ac", "x" * 10_000])
def test_a_token_that_does_not_work_gets_the_form_again(visitor: Browser, token: str) -> None:
    answer = visitor.sign_in(token, "/history")
    assert answer.status_code == 401
    assert "unknown or revoked" in answer.text
    assert 'value="/history"' in answer.text
    assert token not in answer.text or not token
    assert "set-cookie" not in answer.headers


@pytest.mark.one_database
@pytest.mark.parametrize(
    "body", [b"", b"token", b"token=%ff%fe&next=%00", b"&" * 50, b"token=a&" * 50, b"\xff\xfe"]
)
def test_what_is_no_such_form_gets_the_form(visitor: Browser, body: bytes) -> None:
    answer = visitor.client.post("/sign-in", content=body, headers=OWN_PAGE)
    assert answer.status_code == 401


def test_a_token_is_not_taken_from_the_address(engine: Engine, visitor: Browser) -> None:
    address = f"/sign-in?token={token_of(engine)}"
    assert visitor.client.post(address, headers=OWN_PAGE).status_code == 401
    assert visitor.page(address).status_code == 200
    assert visitor.page().status_code == 401


ELSEWHERE = [
    "//evil.example/",
    "///evil.example",
    "https://evil.example/",
    "/\\evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "javascript:alert(1)",
    "evil.example",
    "",
]


@pytest.mark.one_database
@pytest.mark.parametrize("then", ELSEWHERE)
def test_the_form_never_leads_to_another_server(
    engine: Engine, visitor: Browser, then: str
) -> None:
    assert not is_own(then)
    assert 'name="next" value="/"' in visitor.page(f"/sign-in?next={quote(then)}").text
    assert visitor.sign_in(token_of(engine), then).headers["location"] == "/"


@pytest.mark.one_database
@pytest.mark.parametrize("path", ["/lut/a%20b", "/devices/%C3%A9?x=1&y=%2F"])
def test_the_form_leads_back_to_any_path(engine: Engine, visitor: Browser, path: str) -> None:
    found = re.search(r'name="next" value="([^"]*)"', visitor.page(path).text)
    assert found is not None
    then = found[1].replace("&amp;", "&")
    assert then == path
    assert visitor.sign_in(token_of(engine), then).headers["location"] == path


def test_guesses_are_slowed_down(engine: Engine, clock: Clock) -> None:
    visitor = Browser(engine, clock, rate=0.5)
    with visitor.client:
        answers = [visitor.sign_in(f"pb_{guess}") for guess in range(3)]
    assert [answer.status_code for answer in answers] == [401, 401, 429]
    assert "address 192.168.1.7 sends more than" in answers[2].text


def test_a_revoked_token_ends_its_sign_ins(engine: Engine, visitor: Browser) -> None:
    visitor.sign_in(token_of(engine))
    with writing(engine).begin() as session:
        tokens.revoke(session, "ada", datetime.now(UTC))
    assert visitor.page().status_code == 401
    with writing(engine).begin() as session:  # the name's next token is not for that browser
        tokens.create(session, "ada", "agent", datetime.now(UTC))
    assert visitor.page().status_code == 401


def test_a_renewed_token_ends_the_sign_ins_of_the_old_one(
    engine: Engine, visitor: Browser
) -> None:
    visitor.sign_in(token_of(engine))
    with writing(engine).begin() as session:
        tokens.renew(session, "ada", "agent", datetime.now(UTC))
    assert visitor.page().status_code == 401


def test_a_sign_in_ends_after_thirty_days(engine: Engine, visitor: Browser, clock: Clock) -> None:
    token = token_of(engine)
    visitor.sign_in(token)
    clock.advance(timedelta(days=30) - timedelta(seconds=1))
    assert visitor.page().status_code == 200
    clock.advance(timedelta(seconds=1))
    assert visitor.page().status_code == 401
    visitor.sign_in(token)
    with engine.connect() as connection:  # the old one is not kept
        assert connection.scalar(text("SELECT count(*) FROM sign_ins")) == 1


def test_a_sign_in_ends_with_its_token(engine: Engine, visitor: Browser, clock: Clock) -> None:
    with writing(engine).begin() as session:
        token = tokens.create(session, "ada", "agent", clock.now, lasts=timedelta(days=1))
    found = re.search(r"Max-Age=(\d+)", visitor.sign_in(token).headers["set-cookie"])
    assert found is not None
    assert int(found[1]) <= 86_400 + 60
    clock.advance(timedelta(days=1, minutes=1))
    assert visitor.page().status_code == 401
    assert "token ada has expired" in visitor.sign_in(token).text


def test_a_token_in_the_header_goes_before_the_cookie(engine: Engine, visitor: Browser) -> None:
    reader = make(engine, "eve", "reader")
    visitor.sign_in(token_of(engine, role="admin"))
    assert "token eve has the role reader" in detail(visitor.put_phone(**reader), 403)
    assert visitor.client.get("/devices", headers={"Authorization": "Bearer x"}).status_code == 401


def test_an_unknown_cookie_is_as_none(engine: Engine, clock: Clock) -> None:
    visitor = Browser(engine, clock, open_reads=True)
    with visitor.client:
        visitor.client.cookies.set("phonebook", "another-servers")
        assert visitor.page().status_code == 200
        assert visitor.put_phone().status_code == 401


def test_the_navigation_says_who_is_there(engine: Engine, clock: Clock) -> None:
    visitor = Browser(engine, clock, open_reads=True, rate=0)
    with visitor.client:
        assert (
            'href="/sign-in?next=/history%3Fchange%3Dfaster"'
            in visitor.page("/history?change=faster").text
        )
        assert "Sign out" not in visitor.page().text
        visitor.sign_in(token_of(engine))
        shown = visitor.page().text
        assert re.search(r"signed in as</span> ada <span class=\"quiet\">\(agent\)", shown)
        assert '<form class="who" method="post" action="/sign-out">' in shown
        assert "/sign-in" not in shown
        assert "signed in as" in visitor.page("/nowhere").text


def test_over_tls_the_cookie_is_for_tls_alone(engine: Engine, clock: Clock) -> None:
    visitor = Browser(engine, clock)
    token = token_of(engine)
    with visitor.client:
        visitor.client.base_url = httpx2.URL("https://lab")
        answer = visitor.sign_in(token, Origin="https://lab")
        assert "; Secure" in answer.headers["set-cookie"]
        assert visitor.page().status_code == 200
        assert "; Secure" in visitor.sign_out(Origin="https://lab").headers["set-cookie"]


def test_a_use_of_the_cookie_is_a_use_of_the_token(engine: Engine, visitor: Browser) -> None:
    visitor.sign_in(token_of(engine))
    visitor.page()
    assert last_use(engine) is not None
