"""A device renamed: all that is its goes with it, and its old name leads to it."""

import json
import time
from concurrent.futures import ThreadPoolExecutor, wait
from hashlib import sha256
from itertools import pairwise
from typing import Any

import httpx2
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from contract.problems import RENAMED
from contract.searches import Elsewhere
from contract.sessions import Session
from tests.server.conftest import JSON, Agent
from tests.server.fleet import Fleet, a_job, an_agent
from tests.server.making import (
    PHONE,
    RUNTIME,
    SPACE,
    a_finding,
    a_plan,
    a_search,
    a_session,
    a_timing,
    an_audit,
)
from tests.server.test_access import make, shared

RENAME = ("/devices/phone/name", {"name": "pixel-8", "reason": "two kinds of phone had it"})


def rename(
    client: httpx2.Client, name: str = "phone", to: str = "pixel-8", **headers: str
) -> httpx2.Response:
    body = {"name": to, "reason": "two kinds of phone had it"}
    return client.put(f"/devices/{name}/name", json=body, headers=headers)


def renamed(client: httpx2.Client, name: str = "phone", to: str = "pixel-8") -> None:
    answer = rename(client, name, to)
    assert answer.status_code == 200, answer.text
    assert answer.json()["name"] == to


def get(client: TestClient, path: str) -> Any:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_rows_sessions_and_audits_go_with_it(client: TestClient, agent: Agent) -> None:
    session = agent.begin()
    agent.tell(session, a_timing(), a_timing(SPACE.head, us=300))
    audit = an_audit()
    agent.tell_audit(audit)
    before = get(client, "/lut/phone")

    renamed(client)
    after = get(client, "/lut/pixel-8")
    assert after == {**before, "device": "pixel-8", "snapshot": after["snapshot"]}
    assert [each["id"] for each in get(client, "/sessions?device=pixel-8")] == [str(session)]
    assert get(client, f"/audits/{audit.id}")["audit"]["device"] == "pixel-8"
    assert [device["name"] for device in get(client, "/devices")] == ["pixel-8"]


def hashed(table: dict[str, Any]) -> str:
    """The id that anyone can make of a table's JSON."""
    named = {key: table[key] for key in ("device", "entries", "origin", "space")}
    named["runtime"] = RUNTIME.key
    text = json.dumps(named, sort_keys=True, separators=(",", ":"))
    return f"sha256:{sha256(text.encode()).hexdigest()}"


@pytest.mark.parametrize("space", ["", f"space={SPACE.name}"])
def test_a_snapshot_of_before_is_what_its_id_says_and_the_present_one_has_its_own(
    client: TestClient, agent: Agent, space: str
) -> None:
    agent.tell(agent.begin(), a_timing())
    before = get(client, f"/lut/phone?{space}")
    renamed(client)
    now = get(client, f"/lut/pixel-8?{space}")
    assert now["snapshot"] == hashed(now) != before["snapshot"]
    then = get(client, f"/lut/pixel-8?snapshot={before['snapshot']}")
    assert (then["device"], then["entries"]) == ("phone", before["entries"])
    assert then["snapshot"] == hashed(then)
    again = get(client, f"/lut/pixel-8?snapshot={now['snapshot']}")
    assert again["entries"] == now["entries"]
    diff = get(client, f"/lut/pixel-8/diff?from={before['snapshot']}")
    assert (diff["device"], diff["unchanged"], diff["changed"]) == ("pixel-8", 1, [])


def test_searches_tell_the_present_name_also_where_it_is_elsewhere(
    client: TestClient, agent: Agent
) -> None:
    plan = a_plan()
    elsewhere = Elsewhere(
        target="phone",
        device="phone",
        runtime=RUNTIME,
        snapshot="sha256:" + "0" * 64,
        predicted_us=1000,
    )
    agent.register("other")
    mine = agent.tell_search(a_search(plan, found=a_finding()))
    others = agent.tell_search(
        a_search(a_plan("other"), found=a_finding()).evolve(elsewhere=(elsewhere,))
    )
    renamed(client)
    assert get(client, f"/searches/{mine}")["run"]["plan"]["device"] == "pixel-8"
    assert get(client, f"/searches/{others}")["run"]["elsewhere"][0]["device"] == "pixel-8"
    assert [each["id"] for each in get(client, "/searches?device=pixel-8")] == [str(mine)]
    # The search itself was not told: it goes on under the name that it began with.
    told = agent.put(f"/searches/{mine}", a_search(plan).model_dump_json())
    assert told.status_code == 200, told.text
    assert told.json()["plan"]["device"] == "pixel-8"


@pytest.mark.parametrize(
    "path",
    [
        "/lut/phone",
        "/lut/phone/snapshots",
        "/sessions?device=phone",
        "/jobs?device=phone",
        "/searches?device=phone",
    ],
)
def test_whoever_asks_under_the_old_name_is_told_the_present_one(
    client: TestClient, agent: Agent, path: str
) -> None:
    agent.tell(agent.begin(), a_timing())
    renamed(client)
    answer = client.get(path)
    assert answer.status_code == 404
    problem = answer.json()
    assert (problem["type"], problem["near"]) == (RENAMED, ["pixel-8"])
    assert "device phone is called pixel-8 now, since 20" in problem["detail"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("/devices/phone?mode=p90", "/devices/pixel-8?mode=p90"),
        (
            f"/devices/phone/operators/{SPACE.stem.key}",
            f"/devices/pixel-8/operators/{SPACE.stem.key}",
        ),
        (
            f"/history?table=phone@{RUNTIME.key}",
            f"/history?table=pixel-8@{RUNTIME.key}",
        ),
        (f"/export?table=phone@{RUNTIME.key}", f"/export?table=pixel-8@{RUNTIME.key}"),
        (f"/compare?a=phone@{RUNTIME.key}", f"/compare?a=pixel-8@{RUNTIME.key}"),
        ("/networks?device=phone", "/networks?device=pixel-8"),
        ("/searches?device=phone", "/searches?device=pixel-8"),
        ("/fleet?device=phone", "/fleet?device=pixel-8"),
    ],
)
def test_a_link_to_a_page_leads_to_the_same_page_of_the_present_name(
    client: TestClient, agent: Agent, old: str, new: str
) -> None:
    agent.tell(agent.begin(), a_timing())
    agent.tell_search(a_search())
    expected = client.get(old, headers={"accept": "text/html"})
    assert expected.status_code == 200, expected.text
    renamed(client)
    answer = client.get(old, headers={"accept": "text/html"}, follow_redirects=False)
    assert answer.status_code == 307, answer.text
    there = httpx2.URL(answer.headers["location"])
    assert (there.path, there.params) == (httpx2.URL(new).path, httpx2.URL(new).params)
    shown = client.get(str(there), headers={"accept": "text/html"})
    assert shown.status_code == 200
    assert "pixel-8" in shown.text


def test_what_was_measured_under_the_old_name_is_stored_under_the_present_one(
    client: TestClient, agent: Agent
) -> None:
    agent.register()
    renamed(client)
    late = a_session()
    told = client.put("/devices/phone", content=PHONE.model_dump_json(), headers=JSON)
    assert (told.status_code, told.json()["name"]) == (200, "pixel-8")
    for status in (201, 200):  # the answer to the first post may be lost
        answer = agent.post("/sessions", late.model_dump_json())
        assert (answer.status_code, answer.json()["device"]) == (status, "pixel-8")
    agent.tell(late.id, a_timing())
    audit = an_audit()
    for _ in range(2):
        agent.tell_audit(audit)
    job = a_job()
    for _ in range(2):
        filed = agent.post("/jobs", job.model_dump_json())
        assert filed.json()["job"]["device"] == "pixel-8"
    table = get(client, "/lut/pixel-8")
    assert [row["session"] for row in table["entries"]] == [str(late.id)]
    assert table["audit"]["id"] == str(audit.id)


def test_another_kind_of_phone_does_not_slip_under_the_old_name(
    client: TestClient, agent: Agent
) -> None:
    agent.register()
    renamed(client)
    other = PHONE.evolve(model="Another Phone")
    answer = agent.put("/devices/phone", other.model_dump_json())
    assert answer.status_code == 409
    assert "pixel-8 is registered with model 'Test Phone 1'" in answer.json()["detail"]


def test_an_agent_that_serves_the_old_name_is_told_to_start_anew(
    fleet: Fleet,
) -> None:
    fleet.register()
    agent = fleet.joined("lab", "s1")
    fleet.file(a_job()).raise_for_status()
    fleet.put_raw(*RENAME).raise_for_status()
    for refused in (fleet.announce(agent, an_agent("lab", "s1")), fleet.ask(agent)):
        assert refused.status_code == 409
        assert refused.json()["type"] == RENAMED
        assert "--name pixel-8" in refused.json()["detail"]
    fleet.announce(agent, an_agent("lab", "s1", device="pixel-8")).raise_for_status()
    lease = fleet.lease(agent, device="pixel-8")
    assert lease is not None
    assert lease.job.device == "pixel-8"


def test_a_unit_that_was_announced_under_the_new_name_already_is_one_unit(
    fleet: Fleet,
) -> None:
    fleet.register()
    agent = fleet.joined("lab", "s1", "s2")
    fleet.announce(agent, an_agent("lab", "s1", device="pixel-8")).raise_for_status()
    fleet.put_raw(*RENAME).raise_for_status()
    (report,) = fleet.agents()
    units = [*report["description"]["units"], *report["lost"]]
    assert sorted((unit["device"], unit["serial"]) for unit in units) == [
        ("pixel-8", "s1"),
        ("pixel-8", "s2"),
    ]


def test_not_while_an_agent_is_at_a_job_of_it(fleet: Fleet) -> None:
    job = fleet.filed()
    agent = fleet.joined("lab", "s1")
    fleet.leased(agent)
    refused = fleet.put_raw(*RENAME)
    assert refused.status_code == 409
    assert f"device_agent.jobs cancel {job}" in refused.json()["detail"]
    fleet.cancel(job).raise_for_status()
    fleet.put_raw(*RENAME).raise_for_status()
    assert fleet.job(job)["job"]["device"] == "pixel-8"


def test_a_name_of_another_device_is_refused_be_it_a_former_one(
    client: TestClient, agent: Agent
) -> None:
    agent.register("phone")
    agent.register("other")
    taken = rename(client, "phone", "other")
    assert taken.status_code == 409
    assert "there is a device other already" in taken.json()["detail"]
    renamed(client, "other", "another")
    former = rename(client, "phone", "other")
    assert former.status_code == 409
    assert "another was called other until 20" in former.json()["detail"]
    assert rename(client, "nobody", "x").status_code == 404
    assert rename(client, "other", "x").json()["type"] == RENAMED
    assert rename(client, "phone", "No Name").status_code == 422


def test_every_former_name_leads_to_the_present_one_and_it_may_go_back(
    client: TestClient, agent: Agent
) -> None:
    agent.tell(agent.begin(), a_timing())
    first = get(client, "/lut/phone")
    renamed(client, "phone", "b")
    renamed(client, "b", "c")
    assert client.get("/lut/phone").json()["near"] == ["c"]
    assert client.get("/lut/b").json()["near"] == ["c"]
    renamed(client, "c", "phone")
    assert get(client, "/lut/phone") == first
    assert client.get("/lut/b").json()["near"] == ["phone"]
    assert get(client, f"/lut/phone?snapshot={first['snapshot']}")["device"] == "phone"
    agent.tell(agent.begin(a_session(minutes=60)), a_timing(us=50, minutes=60))
    assert get(client, "/lut/phone")["entries"][0]["newest"]["latency_us"] == 50


def test_who_did_it_and_why_is_kept_and_found_under_the_present_name(
    client: TestClient, agent: Agent
) -> None:
    agent.register()
    renamed(client)
    deeds = get(client, "/deeds?subject=pixel-8")
    assert [(each["what"], each["subject"], each["detail"]) for each in deeds] == [
        ("renamed the device", "pixel-8", "it was phone: two kinds of phone had it"),
        ("registered the device", "phone", None),
    ]


def test_only_an_admin_may(engine: Engine) -> None:
    with shared(engine) as client:
        agent = make(engine, "lab", "agent")
        client.put("/devices/phone", content=PHONE.model_dump_json(), headers={**JSON, **agent})
        assert rename(client, **agent).status_code == 403
        assert rename(client).status_code == 401
        assert rename(client, **make(engine, "me", "admin")).status_code == 200


def test_the_history_goes_on(client: TestClient, agent: Agent) -> None:
    agent.tell(agent.begin(), a_timing())
    agent.tell(agent.begin(a_session(minutes=60)), a_timing(us=90, minutes=60))
    client.get("/history")  # it is kept in memory now
    renamed(client)
    agent.tell(agent.begin(a_session("pixel-8", minutes=90)), a_timing(us=95, minutes=90))
    query = {"table": f"pixel-8@{RUNTIME.key}", "chart": "calm"}
    rows = client.get("/history", params=query).json()["rows"]
    assert [row["unit"] for row in rows] == ["pixel-8"] * 3


@pytest.mark.slow
def test_nothing_is_lost_that_comes_while_it_is_renamed(engine: Engine, address: str) -> None:
    sessions = [a_session() for _ in range(12)]
    late: list[str] = []

    def post(session: Session) -> None:
        with httpx2.Client(base_url=address, headers=JSON) as client:
            ends_at = time.monotonic() + 20
            for path, body in (
                ("/sessions", session.model_dump_json()),
                (f"/sessions/{session.id}/timings", a_timing().model_dump_json()),
            ):
                answer = client.post(path, content=body)
                while answer.status_code == 503 and time.monotonic() < ends_at:
                    answer = client.post(path, content=body)
                if answer.status_code not in (200, 201):
                    late.append(f"{answer.status_code} {answer.text}")

    with httpx2.Client(base_url=address) as client, ThreadPoolExecutor(6) as posting:
        client.put("/devices/phone", content=PHONE.model_dump_json(), headers=JSON)
        posts = [posting.submit(post, each) for each in sessions]
        names = ["phone", *(f"phone-{number}" for number in range(6))]
        for name, to in pairwise(names):
            renamed(client, name, to)
        wait(posts)
        assert late == []
        found = client.get("/sessions", params={"device": names[-1]}).json()
        assert {each["id"] for each in found} == {str(each.id) for each in sessions}
        assert len(client.get(f"/lut/{names[-1]}").json()["entries"]) == 1
