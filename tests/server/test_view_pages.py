"""Compare, networks, searches and exports over both databases: the API's numbers, and refusals."""

import re

import pytest
from fastapi.testclient import TestClient

from contract.estimates import estimate
from contract.footprint import Footprint
from contract.jobs import MeasureNetwork, Outcome
from contract.levels import AtLevel
from contract.networks import published
from tests.server.conftest import Agent
from tests.server.fleet import MEASURE, Fleet, a_job
from tests.server.making import (
    RUNTIME,
    SPACE,
    TWO_THREADS,
    a_finding,
    a_plan,
    a_search,
    a_session,
    a_timing,
    an_at_level,
    an_audit,
    an_epoch,
)

PHONE, TWO = f"phone@{RUNTIME.key}", f"phone@{TWO_THREADS.key}"
BROWSER = {"accept": "text/html"}


def rows(client: TestClient, path: str, chart: str) -> list[dict[str, object]]:
    """A chart's rows."""
    query = f"{'&' if '?' in path else '?'}chart={chart}"
    found: list[dict[str, object]] = client.get(path + query).raise_for_status().json()["rows"]
    return found


def page(client: TestClient, path: str) -> str:
    answer = client.get(path, headers=BROWSER)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return re.sub(r"\s+", " ", answer.text)


def measure_both(agent: Agent) -> None:
    """Every operator under one thread; under two all but the stem, twice as fast but the head."""
    one, two = a_session(), a_session(runtime=TWO_THREADS)
    agent.tell(agent.begin(one), *(a_timing(op, us=100.0 + i) for i, op in enumerate(OPERATORS)))
    agent.tell(
        agent.begin(two),
        *(
            a_timing(op, us=(100.0 + i) * (3 if op == SPACE.head else 0.5))
            for i, op in enumerate(OPERATORS)
            if op != SPACE.stem
        ),
    )


OPERATORS = tuple(dict.fromkeys((*published("fbnet-a", in_space=SPACE).operators, SPACE.head)))
OPERATORS = tuple(operator for operator in OPERATORS if not operator.is_free)


def test_two_tables_are_compared_by_what_both_have(agent: Agent, client: TestClient) -> None:
    measure_both(agent)
    html = page(client, f"/compare?a={PHONE}&b={TWO}")
    told = rows(client, f"/compare?a={PHONE}&b={TWO}", "pairs")
    assert len(told) == len(OPERATORS) - 1
    overall = 0.5 * (3 / 0.5) ** (1 / len(told))  # the head's odd ratio counts as one of them
    assert f"{overall:.3f}</dd>" in html
    assert f"b = {overall:.3g} a, the geometric mean" in html
    head = next(row for row in told if row["operator"] == SPACE.head.key)
    assert (head["rank_b"], head["ratio"]) == (len(told), pytest.approx(3))


def test_tables_that_share_nothing_name_the_command_for_the_one_that_lacks_rows(
    agent: Agent, client: TestClient
) -> None:
    agent.tell(agent.begin(a_session()), a_timing(SPACE.head, us=100.0))
    agent.tell(agent.begin(a_session(runtime=TWO_THREADS)), a_timing(SPACE.stem, us=50.0))
    html = page(client, f"/compare?a={PHONE}&b={TWO}")
    command = f"python -m device_agent.run --device phone --space {SPACE.name} "
    assert command + " ".join(TWO_THREADS.options) in html


def test_a_table_is_compared_with_what_it_was(agent: Agent, client: TestClient) -> None:
    agent.tell(agent.begin(a_session()), a_timing(us=100), a_timing(SPACE.head, us=50))
    past = client.get(f"/lut/phone?space={SPACE.name}").json()["snapshot"]
    agent.tell(agent.begin(a_session(minutes=60)), a_timing(us=150, minutes=70))
    told = rows(client, f"/compare?a=phone@{past}&b={PHONE}&space={SPACE.name}", "pairs")
    assert [(row["operator"], row["ratio"]) for row in told] == [
        (SPACE.stem.key, pytest.approx(1.5, rel=0.02)),
        (SPACE.head.key, 1),
    ]
    diff = client.get(f"/lut/phone/diff?from={past}").json()
    html = page(client, f"/export/diff?device=phone&from={past}")
    assert f"{len(diff['changed'])}</dd>" in html
    assert "no table" in client.get("/export?table=tablet", headers=BROWSER).text


def test_a_published_network_is_predicted_where_its_rows_are(
    agent: Agent, client: TestClient
) -> None:
    measure_both(agent)
    table = client.get(f"/lut/phone?space={SPACE.name}").json()
    us = {row["operator"]: row["latency_us"] for row in table["entries"]}
    network = published("fbnet-a", in_space=SPACE)
    predicted = sum(us[op.key] for op in network.operators if not op.is_free)
    html = page(client, f"/networks?network=fbnet-a&space={SPACE.name}")
    assert f"{predicted:,.1f}" in html
    assert "1 row missing" in html  # under two threads, the stem
    assert f"--space {SPACE.name} --threads 2" in html
    parts = rows(client, f"/networks?network=fbnet-a&space={SPACE.name}", "layers")
    assert sum(float(str(part["latency_us"])) for part in parts) == pytest.approx(predicted)
    assert [part["layer"] for part in parts][:2] == ["stem", "1"]


def a_job_measures(
    fleet: Fleet, *, footprint: Footprint | None = None, at_level: AtLevel | None = None
) -> None:
    """FBNet-A, in 4321 us."""
    network = published("fbnet-a", in_space=SPACE)
    work = MeasureNetwork(space=SPACE.name, blocks=network.blocks)
    job, by = fleet.filed(a_job(work=work)), fleet.joined()
    fleet.leased(by)
    outcome = Outcome(
        agent=by,
        attempt=1,
        done=True,
        estimate=estimate([[4321.0, 4321.0]]),
        footprint=footprint,
        at_level=at_level,
    )
    fleet.finish(job, outcome).raise_for_status()


@pytest.mark.parametrize(
    ("footprint", "words"),
    [
        (None, ""),
        (Footprint(load_ms=38.06, first_run_ms=14.2), "loaded in 38.1 ms, first run 14.2 ms"),
        (
            Footprint(load_ms=38.06, first_run_ms=14.2, peak_bytes=36_149_658),
            "loaded in 38.1 ms, first run 14.2 ms, up to 34.5 MiB of memory",
        ),
    ],
    ids=["of an agent of before", "without memory", "whole"],
)
def test_a_network_s_page_shows_what_it_takes_besides_as_far_as_it_is_known(
    agent: Agent, client: TestClient, fleet: Fleet, footprint: Footprint | None, words: str
) -> None:
    measure_both(agent)
    a_job_measures(fleet, footprint=footprint)
    html = page(client, f"/networks?network=fbnet-a&space={SPACE.name}")
    (cells,) = re.findall(r"4,321\.0</a>.*?</tr>", html.split("Predicted beside measured")[0])
    assert re.findall(r"<td>(.*?)</td>", cells) == [words]


def test_a_network_s_error_is_told_at_the_tables_level(
    agent: Agent, client: TestClient, fleet: Fleet
) -> None:
    measure_both(agent)
    a_job_measures(fleet, at_level=an_at_level(4154.8, factor=1.04))
    html = page(client, f"/networks?network=fbnet-a&space={SPACE.name}")
    assert "took 1.040 times as long as in its table" in html
    assert "4,154.8</span>" in html
    (row,) = rows(client, "/networks", "networks")
    assert (row["measured_us"], row["at_level_us"]) == (4321.0, 4154.8)
    assert float(str(row["error"])) == pytest.approx(float(str(row["predicted_us"])) / 4154.8 - 1)


def test_audits_and_searches_are_shown_beside_what_was_predicted(
    agent: Agent, client: TestClient
) -> None:
    measure_both(agent)
    agent.tell_audit(an_audit())
    blocks = published("fbnet-a", in_space=SPACE).blocks
    found = a_finding(blocks, measured_us=1700).evolve(measured_at_level=an_at_level(1600))
    search = agent.tell_search(a_search(found=found), an_epoch(1))
    (row,) = rows(client, "/networks", "networks")
    assert row["measured_us"] == 1700
    assert [each["measured_us"] for each in rows(client, "/networks", "calibration")] == [
        100,
        200,
        300,
    ]
    html = page(client, f"/searches/{search}")
    assert "Theta after epoch 1" in html
    assert "of the prediction, at the table" in html
    assert "at that level 1.60 ms" in html
    front = rows(client, "/searches", "front")
    assert [(each["accuracy"], each["measured_us"]) for each in front] == [(0.9, 1700)]


def test_a_browser_gets_a_page_and_a_program_the_data(agent: Agent, client: TestClient) -> None:
    search = agent.tell_search(a_search(a_plan()), an_epoch(1))
    for path in ("/searches", f"/searches/{search}"):
        assert "<h1>" in page(client, path)
        assert client.get(path).headers["content-type"] == "application/json"
    refused = client.get(f"/searches/{a_job(work=MEASURE).id}", headers=BROWSER)
    assert (refused.status_code, "<h1>Not Found" in refused.text) == (404, True)


def test_names_from_elsewhere_are_no_markup(agent: Agent, client: TestClient) -> None:
    plan = a_plan().evolve(target="<script>alert(1)</script>", preset="</b>")
    search = agent.tell_search(a_search(plan), an_epoch(1))
    for path in ("/searches", f"/searches/{search}", f"/searches?run={search}"):
        assert "<script>alert" not in page(client, path)
