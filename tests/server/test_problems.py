"""Every error is a problem document that says who, what, and what to do next."""

import pytest
from fastapi.testclient import TestClient

from contract.problems import NO_SPACE, Problem
from tests.server.conftest import JSON, MAX_BODY_BYTES, Agent
from tests.server.making import PHONE, a_session

pytestmark = pytest.mark.one_database


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("", "body: Field required"),
        ("{", "JSON decode error"),
        ("[]", "body: "),
        ("null", "body: "),
        ('{"model": "M"}', "body.soc: Field required; "),
        (PHONE.model_dump_json().replace("8,", "0,"), "body.cores: "),
        (PHONE.model_dump_json().replace("8,", "9" * 30 + ",", 1), "body.cores: "),
        (PHONE.model_dump_json().replace("{", '{"colour": "red",'), "body.colour: Extra inputs"),
        (PHONE.model_dump_json().replace("TestOS", "\\ud800"), "body.os: "),
    ],
)
def test_a_body_of_the_wrong_shape_is_explained_by_field(
    agent: Agent, body: str, expected: str
) -> None:
    answer = agent.put("/devices/phone", body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert expected in Problem.model_validate_json(answer.text).detail


def test_many_wrong_fields_are_told_in_short(agent: Agent) -> None:
    detail = agent.post("/sessions", "{}").json()["detail"]
    assert detail.count("Field required") == 3
    assert detail.endswith("; and 6 more")


def test_a_space_that_does_not_exist_is_explained(agent: Agent) -> None:
    agent.register()
    body = a_session().model_dump_json().replace("fbnet-32", "fbnet-33")
    answer = agent.post("/sessions", body)
    assert (answer.status_code, answer.json()["type"]) == (404, NO_SPACE)
    assert "did you mean fbnet-32" in answer.json()["detail"]


def test_a_body_that_is_too_large_is_refused(agent: Agent) -> None:
    answer = agent.put("/devices/phone", " " * (MAX_BODY_BYTES + 1))
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"
    assert f"larger than {MAX_BODY_BYTES} bytes" in answer.json()["detail"]


def test_a_body_that_does_not_tell_its_length_is_limited_too(client: TestClient) -> None:
    chunks = (b" " * 1000 for _ in range(MAX_BODY_BYTES // 1000 + 1))
    answer = client.put("/devices/phone", content=chunks, headers=JSON)
    assert answer.status_code == 413


def test_a_wrong_path_or_method_is_a_problem_document(client: TestClient) -> None:
    lost, wrong = client.get("/nowhere"), client.delete("/devices/phone")
    assert (lost.status_code, wrong.status_code) == (404, 405)
    for answer in (lost, wrong):
        assert Problem.model_validate_json(answer.text).status == answer.status_code
    assert "allow" in wrong.headers


def test_a_request_keeps_the_id_it_came_with_if_that_is_readable(client: TestClient) -> None:
    def answered(sent: str) -> str:
        return client.get("/healthz", headers={"x-request-id": sent}).headers["x-request-id"]

    assert answered("agent-7.1") == "agent-7.1"
    assert answered("two words") != "two words"
