"""Compare, networks, searches, fleet and export as people use them."""

import re

import httpx2
import pytest
from playwright.sync_api import Page, expect

from contract.ranking import kendall_tau, spearman
from tests.browser.conftest import Watch, accessible, drawn
from tests.browser.seed_views import GROUP, RUNS
from tests.server.fleet import Fleet, a_job
from tests.server.making import RUNTIME, SPACE, TWO_THREADS

STEADY, TABLET_RUN = RUNS["steady"], RUNS["tablet"]
PHONE, TABLET = f"phone@{RUNTIME.key}", f"tablet@{RUNTIME.key}"
PAGES = (
    "/compare",
    f"/compare?a={PHONE}&b={TABLET}&space={SPACE.name}",
    f"/networks?network=search:{STEADY}",
    f"/searches?run={STEADY}&run={TABLET_RUN}",
    f"/searches/{STEADY}",
    "/fleet",
    "/export",
)
EMPTY_PAGES = ("/compare", "/networks", "/searches", "/fleet", "/export")
TABLET_PX = 820


def opened(page: Page, path: str) -> None:
    """The page, with its charts drawn."""
    page.goto(path)
    if page.locator("[data-chart]").count():
        drawn(page)


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_each_page_is_accessible_in_both_schemes(page: Page, path: str, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    opened(page, path)
    accessible(page)


@pytest.mark.slow
@pytest.mark.parametrize("path", PAGES)
def test_no_page_is_wider_than_a_tablet(page: Page, path: str) -> None:
    page.set_viewport_size({"width": TABLET_PX, "height": 1100})
    opened(page, path)
    assert page.evaluate("document.documentElement.scrollWidth") <= TABLET_PX


@pytest.mark.parametrize("path", EMPTY_PAGES)
def test_empty_pages_are_accessible_and_name_a_command(
    page: Page, empty_address: str, path: str
) -> None:
    page.goto(empty_address + path)
    expect(page.locator(".lesson pre").first).to_contain_text("python -m ")
    accessible(page)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/compare?a=fone@x&b=y", 404, "did you mean phone?"),
        ("/compare?a=phone", 422, "DEVICE@RUNTIME"),
        (f"/compare?a={PHONE}@guessed", 404, "no origin 'guessed'"),
        ("/compare?space=fbnet-33", 404, "fbnet-32"),
        ("/networks?network=fbnet-z", 404, "fbnet-a"),
        ("/networks?audit=1", 422, "audit"),
        ("/networks?device=fone", 404, "did you mean phone?"),
        ("/searches?run=1", 422, "run"),
        ("/searches?terms=x", 404, "comparable runs"),
        (f"/searches/{GROUP}", 404, "no search"),
        (f"/searches/{STEADY}?epoch=99", 404, "epochs 1 to 3"),
        ("/fleet?state=asleep", 422, "state"),
        ("/fleet?device=fone", 404, "did you mean phone?"),
        ("/export?table=fone", 404, "no table 'fone'"),
        ("/export/diff?device=phone&from=x", 422, "from"),
    ],
)
def test_a_wrong_choice_is_explained(
    page: Page, watch: Watch, path: str, status: int, words: str
) -> None:
    watch.refusals_expected = True
    answer = page.goto(path)
    assert answer is not None
    assert answer.status == status
    expect(page.locator("main")).to_contain_text(words)
    expect(page.get_by_role("link", name="All devices")).to_be_visible()


@pytest.mark.slow
def test_a_comparison_has_the_numbers_of_both_tables(page: Page, address: str) -> None:
    opened(page, f"/compare?a={PHONE}&b={TABLET}&space={SPACE.name}")
    rows = [
        {
            row["operator"]: row["latency_us"]
            for row in httpx2.get(f"{address}/lut/{device}?space={SPACE.name}").json()["entries"]
        }
        for device in ("phone", "tablet")
    ]
    both = [key for key in rows[0] if key in rows[1]]
    a, b = ([table[key] for key in both] for table in rows)
    figures = page.locator("main > .figures")
    expect(figures).to_contain_text(f"{spearman(a, b):.3f}")
    expect(figures).to_contain_text(f"{kendall_tau(a, b):.3f}")
    query = {"a": PHONE, "b": TABLET, "space": SPACE.name, "chart": "pairs", "format": "json"}
    told = httpx2.get(f"{address}/compare", params=query).json()["rows"]
    assert {row["operator"]: (row["a_us"], row["b_us"]) for row in told} == {
        key: (rows[0][key], rows[1][key]) for key in both
    }
    expect(page.locator("main")).to_contain_text("b = k · a, with k the geometric mean of b / a")


@pytest.mark.slow
def test_choosing_another_table_changes_the_address_and_a_point_leads_to_its_operator(
    page: Page,
) -> None:
    opened(page, f"/compare?a={PHONE}&b={TABLET}&space={SPACE.name}")
    page.locator("select[name=b]").select_option(f"phone@{TWO_THREADS.key}")
    page.wait_for_url(re.compile(r"b=phone%40.*-t2-"))
    drawn(page)
    page.get_by_text("The numbers").click()
    page.locator("figure table th a").first.click()
    page.wait_for_url(re.compile(r"/devices/phone/operators/"))


@pytest.mark.slow
def test_an_emulated_table_is_called_so(page: Page) -> None:
    opened(page, f"/compare?a={PHONE}&b=imitation@{RUNTIME.key}@emulated")
    expect(page.locator(".badge.emulated")).to_have_text("emulated")
    expect(page.locator("figcaption").first).to_contain_text("imitation (emulated)")


@pytest.mark.slow
def test_a_network_shows_prediction_measurement_interval_and_error(page: Page) -> None:
    opened(page, "/networks")
    listed = page.get_by_role("region", name="Networks", exact=True)
    row = listed.locator("tr", has_text="1,702.0")
    expect(row).to_contain_text(f"searched for phone ({str(STEADY)[:8]})")
    missing = page.locator(".missing").first
    expect(missing).to_contain_text("missing")
    assert "python -m device_agent.run --device" in (missing.get_attribute("title") or "")
    row.get_by_role("link").first.click()
    page.wait_for_url(re.compile("network=search%3A"))
    drawn(page)
    expect(page.locator("#one h2")).to_contain_text("searched for phone")
    bars = page.locator("[data-chart=layers-rows] .xtick text")
    assert bars.all_text_contents()[:4] == ["stem", "1", "2", "3"]


@pytest.mark.slow
def test_the_calibration_plot_has_the_audits_networks(page: Page, address: str) -> None:
    opened(page, "/networks")
    told = httpx2.get(f"{address}/networks?chart=calibration").json()["rows"]
    summary = httpx2.get(f"{address}/lut/phone?space={SPACE.name}").json()["audit"]
    audit = httpx2.get(f"{address}/audits/{summary['id']}").json()["audit"]
    assert [(row["predicted_us"], row["measured_us"]) for row in told] == [
        (each["predicted_us"], each["measured"]["latency_us"]) for each in audit["networks"]
    ]
    expect(page.locator("main")).to_contain_text(
        f"Kendall τ {summary['table']['kendall_tau']:.3f}"
    )


@pytest.mark.slow
def test_runs_are_ticked_and_compared_in_the_address(page: Page) -> None:
    opened(page, "/searches")
    for name in ("steady", "tablet"):
        page.locator(f'input[value="{RUNS[name]}"]').check()
    page.get_by_role("button", name="Compare").click()
    page.wait_for_url(re.compile(f"run={STEADY}.*run={TABLET_RUN}|run={TABLET_RUN}.*run={STEADY}"))
    drawn(page)
    expect(page.locator("#compared")).to_have_text("2 runs compared")
    page.reload()
    expect(page.locator(f'input[value="{STEADY}"]')).to_be_checked()


def test_the_front_has_the_runs_that_nothing_beats(page: Page, address: str) -> None:
    opened(page, "/searches")
    told = httpx2.get(f"{address}/searches?chart=front").json()["rows"]
    assert [(row["predicted_us"], row["accuracy"], row["front"]) for row in told] == [
        (1650, 0.91, "on the front"),
        (2100, 0.95, "on the front"),
        (2200, 0.9, "not on the front"),
    ]
    expect(page.locator("figure", has_text="Accuracy against latency")).to_contain_text(
        "fbnet-32 on phone"
    )


def test_the_matrix_says_what_was_searched_for_one_takes_on_another(address: str) -> None:
    told = httpx2.get(f"{address}/searches?chart=cross&group={GROUP}").json()["rows"]
    cells = {(row["searched_for"], row["run_on"]): row["predicted_us"] for row in told}
    assert cells == {
        ("for phone", "on phone"): 1650,
        ("for phone", "on tablet"): 3250,
        ("for tablet", "on tablet"): 3100,
        ("for tablet", "on phone"): 1875,
    }


@pytest.mark.slow
def test_theta_follows_the_slider_by_keyboard_and_the_address_keeps_it(
    page: Page, address: str
) -> None:
    opened(page, f"/searches/{STEADY}")
    expect(page.locator("#theta-title")).to_have_text("Theta after epoch 3")
    page.locator("#epoch").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#theta-title")).to_have_text("Theta after epoch 2")
    page.wait_for_url(re.compile("epoch=2"))
    told = httpx2.get(f"{address}/searches/{STEADY}").json()["epochs"][1]["theta"]
    shown = page.locator("[data-part=theta] td.number").all_text_contents()
    flat = [share for shares in told for share in shares]
    assert [float(text) for text in shown if text] == pytest.approx(flat, rel=1e-3)
    page.reload()
    expect(page.locator("#theta-title")).to_have_text("Theta after epoch 2")


@pytest.mark.slow
def test_where_theta_cannot_follow_the_slider_the_browser_goes_to_its_page(
    page: Page, watch: Watch
) -> None:
    watch.refusals_expected = True
    opened(page, f"/searches/{STEADY}")
    page.route(
        "**/*",
        lambda route: (
            route.fulfill(status=503)
            if route.request.resource_type == "fetch"
            else route.continue_()
        ),
    )
    page.locator("#epoch").focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_url(re.compile("epoch=2"))
    expect(page.locator("#theta-title")).to_have_text("Theta after epoch 2")


@pytest.mark.slow
def test_a_run_says_why_it_stopped_and_one_without_epochs_says_what_comes(page: Page) -> None:
    opened(page, f"/searches/{RUNS['stopped']}")
    expect(page.locator(".bad")).to_have_text("no space left")
    opened(page, f"/searches/{RUNS['running']}")
    expect(page.locator(".lesson")).to_contain_text("No epoch yet")
    accessible(page)


@pytest.mark.slow
def test_programs_get_searches_as_json_at_the_same_address(page: Page, address: str) -> None:
    page.goto("/searches")
    assert httpx2.get(f"{address}/searches").json()[0]["plan"]["device"] in ("phone", "tablet")
    assert httpx2.get(f"{address}/searches/{STEADY}").json()["run"]["state"] == "finished"


@pytest.mark.slow
def test_the_fleet_is_followed_without_a_reload(page: Page, address: str) -> None:
    page.goto("/fleet")
    expect(page.locator("#live")).to_have_text("live")
    page.evaluate("window.stays = true")
    with httpx2.Client(base_url=address) as client:
        fleet = Fleet(client)
        fleet.joined("lab-new", "S99")
        expect(page.locator("tr", has_text="S99").first).to_contain_text("free")
        fleet.cancel(fleet.filed(a_job(priority=-9)))
    expect(page.locator("main")).to_contain_text("cancelled")
    assert page.evaluate("window.stays")


def test_an_unplugged_phone_is_lost_and_a_dead_job_says_why(page: Page) -> None:
    page.goto("/fleet")
    row = page.locator("[data-part=units] tr", has_text="S7").first
    expect(row).to_contain_text("lost")
    expect(row.locator("time").first).to_be_visible()
    expect(row).to_contain_text("too hot")
    dead = page.locator("section", has=page.get_by_role("heading", name="Dead jobs"))
    expect(dead).to_contain_text("too hot")
    expect(dead.locator("pre")).to_contain_text("python -m device_agent.jobs retry ")


def test_the_queue_is_filtered_in_the_address(page: Page) -> None:
    page.goto("/queue?state=done")
    page.wait_for_url("**/fleet?state=done")
    jobs = page.get_by_role("region", name="Jobs")
    expect(jobs.locator("tbody tr")).to_have_count(1)
    expect(jobs).to_contain_text("measure a network of fbnet-32")
    page.get_by_label("work").select_option("audit")
    page.wait_for_url(re.compile("kind=audit"))
    expect(page.locator("main")).to_contain_text("No job is of that state")


@pytest.mark.slow
def test_an_export_leads_to_every_form_and_to_what_changed(page: Page, address: str) -> None:
    page.goto(f"/export?table={PHONE}&space={SPACE.name}")
    command = page.locator("pre").nth(1).inner_text()
    url = re.search(r"'(http[^']+)'", command)
    assert url is not None
    lines = httpx2.get(url[1]).text.splitlines()
    table = httpx2.get(f"{address}/lut/phone?space={SPACE.name}").json()
    assert len(lines) == len(table["entries"]) + 1
    page.get_by_role("button", name="What changed").click()
    page.wait_for_url("**/export/diff?*")
    drawn(page)
    query = page.url.split("?")[1]
    diff = httpx2.get(f"{address}/lut/phone/diff?{query}").json()
    figures = page.locator(".figures")
    expect(figures).to_contain_text(f"changed{len(diff['changed'])}")
    expect(figures).to_contain_text(f"unchanged{diff['unchanged']}")
    shown = httpx2.get(f"{address}/export/diff?{query}&chart=changes").json()["rows"]
    assert [(row["operator"], row["ratio"]) for row in shown] == [
        (change["operator"], change["ratio"]) for change in diff["changed"]
    ]
    accessible(page)
