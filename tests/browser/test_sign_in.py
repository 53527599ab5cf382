"""Somebody with a token and a browser: page, form, signed in, page, out."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import httpx2
import pytest
from playwright.sync_api import Browser, Page, expect

from server.database.engine import open_database, writing
from server.store import tokens
from tests.browser.conftest import Watch, accessible, served
from tests.server.fleet import Fleet, an_agent


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[str]:
    """The address of a server that wants to know who asks."""
    yield from served(tmp_path, seeded=False, local=False)


@pytest.fixture
def token(lab: str, tmp_path: Path) -> str:
    engine = open_database(f"sqlite:///{tmp_path}/phonebook.db")
    with writing(engine).begin() as session:
        made = tokens.create(session, "ada", "agent", datetime.now(UTC))
    engine.dispose()
    return made


def sign_in(page: Page, token: str) -> None:
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Sign in").click()


@pytest.mark.slow
def test_a_person_signs_in_follows_the_fleet_and_signs_out(
    page: Page, watch: Watch, lab: str, token: str
) -> None:
    watch.refusals_expected = True
    refused = page.goto(f"{lab}/fleet?state=waiting")
    assert refused is not None
    assert refused.status == 401
    sign_in(page, "pb_wrong")
    expect(page.locator(".refusal")).to_contain_text("unknown or revoked")
    sign_in(page, token)
    expect(page).to_have_url(f"{lab}/fleet?state=waiting")
    expect(page.locator(".who")).to_contain_text("signed in as ada (agent)")
    watch.refusals_expected = False

    expect(page.locator("#live")).to_have_text("live")  # the stream of events knows who it is
    with httpx2.Client(base_url=lab, headers={"Authorization": f"Bearer {token}"}) as agent:
        Fleet(agent).announce(uuid4(), an_agent("bench", "s1")).raise_for_status()
    expect(page.get_by_role("rowheader", name="bench")).to_be_visible()  # and so does the fetch
    accessible(page)

    watch.refusals_expected = True
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    assert page.context.cookies() == []
    page.goto(f"{lab}/fleet")
    expect(page.get_by_label("Token")).to_be_visible()


@pytest.mark.slow
def test_it_works_without_scripts(browser: Browser, lab: str, token: str) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(f"{lab}/history")
        sign_in(page, token)
        expect(page.get_by_role("heading", level=1)).to_have_text("History")
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_label("Token")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_form_is_accessible_and_fits_a_phone(
    page: Page, watch: Watch, lab: str, scheme: str
) -> None:
    watch.refusals_expected = True
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.goto(lab)
    accessible(page)
    sign_in(page, "pb_wrong")
    expect(page.locator(".refusal")).to_be_visible()
    accessible(page)
    page.set_viewport_size({"width": 360, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.slow
def test_another_program_of_this_computer_cannot_use_the_cookie(
    page: Page, watch: Watch, lab: str, token: str
) -> None:
    """Its pages are of the same site for cookies, which know no ports."""
    watch.refusals_expected = True
    page.goto(lab)
    sign_in(page, token)
    expect(page.locator(".who")).to_be_visible()
    page.route(
        "http://127.0.0.1:9/",
        lambda route: route.fulfill(
            content_type="text/html",
            body=f'<form method="post" action="{lab}/jobs/{uuid4()}/cancel" '
            f'enctype="text/plain"><button>Win a phone</button></form>',
        ),
    )
    page.goto("http://127.0.0.1:9/")
    with page.expect_response(f"{lab}/**") as caught:
        page.get_by_role("button").click()
    assert caught.value.status == 403
    assert "phonebook=" in caught.value.request.all_headers().get("cookie", "")
    expect(page.locator("main")).to_contain_text("another origin")
