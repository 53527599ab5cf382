"""Pages show the API's numbers, teach when there are none, and load nothing from elsewhere."""

import json
import re

import pytest
from fastapi.testclient import TestClient

from tests.server.conftest import Agent
from tests.server.making import (
    PHONE,
    RUNTIME,
    SPACE,
    STEM,
    TWO_THREADS,
    a_failure,
    a_session,
    a_steady_timing,
    a_timing,
    an_audit,
)


def page(client: TestClient, path: str, status: int = 200) -> str:
    answer = client.get(path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return answer.text


def test_an_empty_overview_teaches_the_first_command(client: TestClient) -> None:
    assert "python -m device_agent.run --device host" in page(client, "/")


def test_the_overview_shows_each_device_and_how_complete_it_is(
    agent: Agent, client: TestClient
) -> None:
    agent.tell(agent.begin(), a_timing(), a_timing(SPACE.head))
    agent.register("spare", PHONE)
    html = page(client, "/")
    assert "Test Phone 1" in html
    assert "Test SoC 9 · 8 cores" in html
    assert "8.0 GiB" in html
    assert f"2 / {len(SPACE.operators)}" in html
    assert "XNNPACK float32, 1 thread, contiguous, ExecuTorch 1.5.1" in html
    assert "python -m device_agent.run --device spare" in html


def test_the_device_page_shows_the_numbers_of_the_api(agent: Agent, client: TestClient) -> None:
    candidates = SPACE.choices[0].candidates
    agent.tell(
        agent.begin(),
        a_timing(us=1234.56),
        *(a_timing(operator, us=20.0 + i) for i, operator in enumerate(candidates[:3])),
    )
    html = page(client, "/devices/phone")
    table = client.get("/lut/phone?space=fbnet-32").json()

    carried = re.search(r'<script id="map-rows" type="application/json">(.+?)</script>', html)
    assert carried is not None
    chart = json.loads(carried[1])
    cells = [dict(zip(chart["columns"], row, strict=True)) for row in chart["rows"]]
    shown = {cell["operator"]: cell["latency_us"] for cell in cells if cell["latency_us"]}
    expected = {row["operator"]: row["latency_us"] for row in table["entries"]}
    assert expected.pop(STEM.key) == 1234.56  # no layer, but in the table beside the map
    assert shown == expected
    assert len(cells) == 22 * 9

    for text in ("≈ 1,234.6", "≈ 20.0", "≈ 21.0", "≈ 22.0"):
        assert f">{text}</a></td>" in html
    assert table["snapshot"] in html
    assert "load 0.2, 2400 MHz → load 1.5, 2200 MHz, 41 °C" in html
    assert "standard effort" in html
    assert f"4 of {len(SPACE.operators)}" in html


def test_rows_of_grade_c_are_marked_and_grades_are_counted(
    agent: Agent, client: TestClient
) -> None:
    session = agent.begin()
    agent.tell(session, a_steady_timing(us=40, disturbed=7))
    agent.tell(session, *(a_timing(operator, us=20) for operator in SPACE.operators[1:3]))
    html = page(client, "/devices/phone")
    assert ">40.0</a></td>" in html
    assert ">≈ 20.0</a></td>" in html
    assert '<dt class="uncertain">≈ 12.3</dt><dd>grade C' in html
    assert "0 rows grade A, 1 B, 2 C." in " ".join(html.split())
    assert "40.0 µs ± 2.5 %, grade B; 15 of 50 samples calm, 5 rounds; median 60.0 µs" in html


def test_a_table_without_an_audit_teaches_the_command(agent: Agent, client: TestClient) -> None:
    agent.begin()
    html = page(client, "/devices/phone")
    assert "python -m device_agent.audit --device phone --space fbnet-32" in html


def test_the_page_shows_the_audit_and_whether_the_table_is_still_the_same(
    agent: Agent, client: TestClient
) -> None:
    agent.tell(agent.begin(), a_timing())
    snapshot = client.get("/lut/phone?space=fbnet-32").json()["snapshot"]
    audit = an_audit(snapshot=snapshot)
    agent.tell_audit(audit)
    html = page(client, "/devices/phone")
    assert "Audit: 3 networks measured whole against the sum of their rows" in html
    for figure in ("+0.0 %", "6.7 %", "10.0 %", "1.000", "33.3 %"):
        assert f"<td>{figure}</td>" in html
    assert "this very table." in html
    assert client.get(f"/audits/{audit.id}").status_code == 200
    agent.tell(agent.begin(), a_timing(us=50, minutes=1))
    assert "the table has changed since." in page(client, "/devices/phone")


def test_a_session_that_did_not_say_how_it_ended_is_shown_all_the_same(
    agent: Agent, client: TestClient
) -> None:
    session = a_session().evolve(ended_at=None, conditions_after=None)
    agent.tell(agent.begin(session), a_timing())
    html = " ".join(page(client, "/devices/phone").split())
    assert ", at load 0.2, 2400 MHz, agent 0.1.0." in html
    assert "ended" not in html.split("</p>", 3)[2]


def test_gaps_say_what_they_are(agent: Agent, client: TestClient) -> None:
    agent.tell(agent.begin(), a_failure())
    html = page(client, "/devices/phone")
    assert ">failed</td>" in html
    assert "killed by signal &lt;11&gt;" in html
    assert html.count(">free</td>") == 16
    assert html.count(">n/a</td>") == 6
    assert f"{len(SPACE.operators)} missing operators" in html
    assert "python -m device_agent.run --device phone --space fbnet-32" in html


def test_runtime_and_space_are_chosen_in_the_url(agent: Agent, client: TestClient) -> None:
    agent.tell(agent.begin(), a_timing(us=10))
    agent.tell(agent.begin(a_session(runtime=TWO_THREADS)), a_timing(us=500))
    html = page(client, f"/devices/phone?runtime={TWO_THREADS.key}&space=fbnet-32-0.5")
    assert "2 threads" in html
    assert "<option selected>fbnet-32-0.5</option>" in html
    html = page(client, f"/devices/phone?runtime={TWO_THREADS.key}&space=")
    assert ">≈ 500.0</a></td>" in html
    assert ">≈ 10.0</a></td>" not in html


def test_the_downloads_hold_the_chosen_table(agent: Agent, client: TestClient) -> None:
    agent.tell(agent.begin(), a_timing())
    html = page(client, "/devices/phone")
    links = [link.replace("&amp;", "&") for link in re.findall(r'href="(/lut/[^"]+)"', html)]
    as_json, as_csv = (client.get(link) for link in links)
    assert [row["operator"] for row in as_json.json()["entries"]] == [STEM.key]
    assert as_csv.text.splitlines()[1].startswith(f"phone,{RUNTIME.key},{STEM.key},100.0,")


def test_a_device_without_timings_teaches_its_command(agent: Agent, client: TestClient) -> None:
    agent.register()
    assert "python -m device_agent.run --device phone" in page(client, "/devices/phone")


@pytest.mark.one_database
@pytest.mark.parametrize(
    ("path", "status", "expected"),
    [
        ("/devices/fone", 404, "did you mean phone?"),
        ("/devices/%3Cb%3E", 404, "&lt;b&gt;"),
        ("/devices/phone?space=fbnet-223", 404, "did you mean fbnet-224"),
        ("/devices/phone?runtime=fast", 422, "is no runtime; one looks like"),
        (f"/devices/phone?runtime={TWO_THREADS.key}", 404, RUNTIME.key),
    ],
)
def test_a_wrong_url_gives_a_page_that_says_where_to_go(
    agent: Agent, client: TestClient, path: str, status: int, expected: str
) -> None:
    agent.begin()
    html = page(client, path, status)
    assert expected in html
    assert '<a href="/">All devices</a>' in html


@pytest.mark.one_database
def test_pages_load_nothing_from_elsewhere_and_run_no_inline_script(
    agent: Agent, client: TestClient
) -> None:
    agent.tell(agent.begin(), a_timing())
    for path in ("/", "/devices/phone"):
        answer = client.get(path)
        assert answer.headers["content-security-policy"].startswith("default-src 'self'; ")
        assert answer.headers["x-content-type-options"] == "nosniff"
        addresses = re.findall(r'(?:src|href)="([^"]+)"', answer.text)
        assert [address for address in addresses if not address.startswith(("/", "#"))] == []
        assert "<script>" not in answer.text
        for address in set(addresses):
            assert client.get(address.replace("&amp;", "&")).status_code == 200


@pytest.mark.one_database
def test_plotly_is_served_from_the_wheel_and_kept_by_the_browser(
    agent: Agent, client: TestClient
) -> None:
    agent.begin()
    found = re.search(r'src="(/assets/plotly-[0-9.]+\.min\.js)"', page(client, "/devices/phone"))
    assert found is not None
    compressed = client.get(found[1])
    plain = client.get(found[1], headers={"accept-encoding": "identity"})
    assert compressed.headers["content-encoding"] == "gzip"
    assert "immutable" in compressed.headers["cache-control"]
    assert compressed.text == plain.text
    assert "plotly.js" in plain.text[:200]


@pytest.mark.one_database
def test_the_api_documentation_needs_no_network(client: TestClient) -> None:
    html = page(client, "/docs")
    assert "http" not in re.sub(r"https?://(127\.0\.0\.1|testserver)", "", html)
    assert "'unsafe-inline'" in client.get("/docs").headers["content-security-policy"]
    assert "/lut/{device}" in client.get("/openapi.json").json()["paths"]
