"""What a person does with the pages: follow a cell to its operator, choose, compare, read."""

import re
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import drawn
from tests.browser.seed import WATCHED
from tests.server.making import RUNTIME, SPACE

OPERATOR = f"/devices/phone/operators/{WATCHED.key}"


def query(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


@pytest.mark.slow
def test_a_click_on_the_map_leads_to_the_operator(page: Page) -> None:
    page.goto("/devices/phone")
    drawn(page)
    operator = SPACE.choices[0].candidates[0]
    box = page.locator(".drawing .nsewdrag").first.bounding_box()
    assert box is not None
    # The first column of nine and the first row of 22.
    page.mouse.click(box["x"] + box["width"] / 18, box["y"] + box["height"] / 44)
    page.wait_for_url(f"**/operators/{operator.key}?**")
    expect(page.get_by_role("heading", level=1)).to_contain_text(operator.key)


@pytest.mark.slow
def test_the_keyboard_leads_there_too(page: Page) -> None:
    page.goto("/devices/phone")
    link = page.locator("#numbers tbody tr").nth(2).locator("a").nth(6)
    address = link.get_attribute("href")
    link.focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(re.escape(str(address)) + "$"))


@pytest.mark.slow
def test_a_choice_changes_the_url_and_comes_back_with_it(page: Page) -> None:
    page.goto("/devices/phone")
    page.locator("select[name=mode]").select_option("noise")
    page.wait_for_url("**mode=noise**")
    assert "against" not in query(page)  # what is not chosen stays out
    expect(page.get_by_role("heading", name="Noise by layer and block")).to_be_visible()
    page.locator("select[name=against]").select_option(f"tablet@{RUNTIME.key}")
    page.wait_for_url("**against=**")
    assert query(page)["mode"] == ["noise"]
    expect(
        page.get_by_role("heading", name="Latency against another table by layer")
    ).to_be_visible()
    drawn(page)
    page.reload()
    expect(page.locator("select[name=against]")).to_have_value(f"tablet@{RUNTIME.key}")


def test_the_table_has_the_numbers_of_the_api(page: Page, address: str) -> None:
    page.goto("/devices/phone")
    answer = httpx2.get(f"{address}/lut/phone", params={"space": SPACE.name}).json()
    latencies = {row["operator"]: row["latency_us"] for row in answer["entries"]}
    cells = page.locator("#numbers tbody td a").evaluate_all(
        "links => links.map(link => [link.getAttribute('href'), link.textContent])"
    )
    assert len(cells) == 22 * 8
    for href, shown in cells:
        expected = latencies[href.rpartition("/")[2].partition("?")[0]]
        assert float(shown.removeprefix("≈ ").replace(",", "")) == float(
            f"{expected:.1f}" if expected >= 10 else f"{expected:.3f}"
        )


@pytest.mark.slow
def test_downloads_are_what_the_chart_draws(page: Page, address: str) -> None:
    page.goto("/devices/phone?mode=p90")
    drawn(page)
    drawn_text = page.locator("#map-rows").text_content()
    with page.expect_download() as download:
        page.get_by_role("link", name="90th percentile by layer and block as CSV").click()
    lines = download.value.path().read_text().splitlines()
    assert lines[0] == "layer,block,operator,p90_us,text,state,about"
    assert drawn_text is not None
    assert f'"{WATCHED.key}"' in drawn_text
    href = page.get_by_role("link", name="90th percentile by layer and block as JSON")
    found = httpx2.get(address + str(href.get_attribute("href"))).json()["rows"]
    assert len(found) == 22 * 9


@pytest.mark.slow
def test_the_operator_page_draws_samples_drift_and_history(page: Page) -> None:
    page.goto(OPERATOR)
    drawn(page)
    expect(page.locator("figure.chart h2")).to_have_text(
        [
            "Raw samples by session",
            "Order within the session",
            "Drift within the session",
            "History",
            "The same operator elsewhere",
        ]
    )
    assert page.locator(".drawing svg.main-svg").count() >= 5
    expect(page.get_by_role("table").filter(has_text="agent 0.1.0 → 0.2.0")).to_contain_text("+33")


@pytest.mark.slow
def test_a_regression_leads_from_the_overview_to_its_operator(page: Page) -> None:
    page.goto("/")
    page.locator("section", has_text="Newest regressions").get_by_role(
        "link", name=WATCHED.key
    ).click()
    page.wait_for_url(f"**{OPERATOR}**")
    page.goto("/history")
    page.get_by_role("link", name=WATCHED.key).click()
    page.wait_for_url(f"**{OPERATOR}**")


@pytest.mark.slow
def test_the_history_of_one_table(page: Page) -> None:
    page.goto("/history")
    page.locator("select[name=table]").select_option(f"tablet@{RUNTIME.key}")
    page.wait_for_url("**table=tablet**")
    expect(page.locator(".lesson")).to_contain_text("--again")


def test_emulated_rows_are_called_so(page: Page) -> None:
    page.goto("/")
    card = page.get_by_role("article").filter(has_text="imitation")
    expect(card.locator(".badge")).to_have_text("emulated")
    card.get_by_role("link", name="imitation").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("emulated")
