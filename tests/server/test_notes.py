"""Notes on sessions: kept with who wrote them and when, and shown beside the figures."""

from uuid import uuid4

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from tests.server.conftest import JSON, Agent
from tests.server.making import PHONE, RUNTIME, STEM, a_session, a_timing
from tests.server.test_access import make, shared

TEXT = "a <case> was on the phone"


def test_a_note_is_kept_once_and_in_order(client: TestClient, agent: Agent) -> None:
    session = agent.begin()
    path = f"/sessions/{session}/notes"
    assert client.get(path).json() == []
    for text in (TEXT, "its battery was new", TEXT):
        assert client.post(path, json={"text": text}).status_code == 200
    found = client.get(path).json()
    assert [(each["who"], each["text"]) for each in found] == [
        (None, TEXT),
        (None, "its battery was new"),
    ]
    deeds = client.get("/deeds", params={"subject": str(session)}).json()
    assert [(each["what"], each["detail"]) for each in deeds[:2]] == [
        ("annotated the session", "its battery was new"),
        ("annotated the session", TEXT),
    ]


@pytest.mark.parametrize(
    "page", ["/devices/phone", f"/devices/phone/operators/{STEM.key}", "/history"]
)
def test_pages_show_it_with_the_figures_of_the_session(
    client: TestClient, agent: Agent, page: str
) -> None:
    session = agent.begin()
    agent.tell(session, a_timing())
    client.get("/history")  # what it reads of sessions is kept in memory
    client.post(f"/sessions/{session}/notes", json={"text": TEXT}).raise_for_status()
    shown = client.get(page, headers={"accept": "text/html"}).text
    assert "a &lt;case&gt; was on the phone" in shown


def test_the_rows_of_the_history_have_it(client: TestClient, agent: Agent) -> None:
    session = agent.begin()
    agent.tell(session, a_timing())
    other = agent.begin(a_session(minutes=60))
    agent.tell(other, a_timing(minutes=60))
    for text in ("one", "two"):
        client.post(f"/sessions/{other}/notes", json={"text": text}).raise_for_status()
    query = {"table": f"phone@{RUNTIME.key}", "chart": "calm"}
    rows = client.get("/history", params=query).json()["rows"]
    assert [row["notes"] for row in rows] == ["", "one; two"]


def test_a_note_of_nothing_or_on_nothing_is_refused(client: TestClient, agent: Agent) -> None:
    path = f"/sessions/{agent.begin()}/notes"
    for text in ("", "  ", "x" * 2001):
        assert client.post(path, json={"text": text}).status_code == 422
    assert client.post(f"/sessions/{uuid4()}/notes", json={"text": TEXT}).status_code == 404
    assert client.get(f"/sessions/{uuid4()}/notes").status_code == 404


def test_whoever_measures_may_write_one_and_readers_read_it(engine: Engine) -> None:
    reader, agent = make(engine, "ada", "reader"), make(engine, "lab", "agent")
    session = a_session()
    path = f"/sessions/{session.id}/notes"
    with shared(engine) as client:
        client.put("/devices/phone", content=PHONE.model_dump_json(), headers={**JSON, **agent})
        client.post("/sessions", content=session.model_dump_json(), headers={**JSON, **agent})
        assert client.post(path, json={"text": TEXT}, headers=reader).status_code == 403
        assert client.post(path, json={"text": TEXT}).status_code == 401
        assert client.post(path, json={"text": TEXT}, headers=agent).status_code == 200
        (note,) = client.get(path, headers=reader).json()
        assert (note["who"], note["text"]) == ("lab", TEXT)
