"""What all pages share: the frame, both schemes, a narrow window, and errors as pages."""

import httpx2
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Watch, accessible, drawn
from tests.browser.seed import WATCHED

OPERATOR = f"/devices/phone/operators/{WATCHED.key}"
PAGES = ("/", "/devices/phone", "/devices/spare", OPERATOR, "/history")
EMPTY_PAGES = ("/", "/history")
TABLET_PX = 820


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_each_page_is_accessible_in_both_schemes(page: Page, path: str, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.goto(path)
    if page.locator("[data-chart]").count():
        drawn(page)
    accessible(page)


@pytest.mark.slow
@pytest.mark.parametrize("path", PAGES)
def test_no_page_is_wider_than_a_tablet(page: Page, path: str) -> None:
    page.set_viewport_size({"width": TABLET_PX, "height": 1100})
    page.goto(path)
    if page.locator("[data-chart]").count():
        drawn(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= TABLET_PX


@pytest.mark.parametrize("path", EMPTY_PAGES)
def test_empty_pages_are_accessible_and_name_a_command(
    page: Page, empty_address: str, path: str
) -> None:
    page.goto(empty_address + path)
    expect(page.locator(".lesson pre").first).to_contain_text("python -m ")
    accessible(page)


@pytest.mark.slow
def test_the_navigation_marks_the_page_and_can_be_skipped(page: Page) -> None:
    page.goto("/history")
    expect(page.locator("nav [aria-current=page]")).to_have_text("History")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.goto("/devices/phone")
    expect(page.locator("nav [aria-current=page]")).to_have_text("Overview")


@pytest.mark.slow
def test_charts_follow_the_colour_scheme(page: Page) -> None:
    page.emulate_media(color_scheme="light")
    page.goto("/devices/phone")
    drawn(page)
    tick = page.locator(".drawing .ytick text").first
    light = tick.evaluate("node => getComputedStyle(node).fill")
    page.emulate_media(color_scheme="dark")
    expect(tick).not_to_have_css("fill", light)


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/nowhere", 404, "/nowhere"),
        ("/devices/fone", 404, "did you mean phone?"),
        ("/devices/phone?runtime=fast", 422, "is no runtime"),
        ("/lut/fone", 404, "did you mean phone?"),
        ("/lut/phone?origin=guessed", 422, "origin"),
        ("/devices/phone?chart=maps", 404, "did you mean map"),
    ],
)
def test_a_wrong_url_gets_a_page_in_a_browser_and_a_document_elsewhere(
    page: Page, watch: Watch, address: str, path: str, status: int, words: str
) -> None:
    watch.refusals_expected = True
    answer = page.goto(path)
    assert answer is not None
    assert answer.status == status
    expect(page.locator("main")).to_contain_text(words)
    accessible(page)
    page.get_by_role("link", name="All devices").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Devices")
    if not path.startswith("/devices"):
        plain = httpx2.get(address + path)
        assert (plain.status_code, plain.headers["content-type"]) == (
            status,
            "application/problem+json",
        )
