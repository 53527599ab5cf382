"""What one sender may ask of the server: how much at once, how often, how deeply nested."""

import json
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from contract.timings import MOST_ROUNDS, MOST_SAMPLES
from server.http.rates import BURST_S, MOST_BUCKETS, Rates
from server.settings import Settings
from tests.server.conftest import JSON, MAX_BODY_BYTES, Agent, local_client
from tests.server.making import a_timing, an_audit
from tests.server.test_access import bearer, detail, make, put_phone, shared

pytestmark = pytest.mark.one_database


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_a_burst_passes_and_then_so_many_a_second() -> None:
    clock = Clock()
    rates = Rates(2, now_s=clock)
    assert [rates.wait_s("a") for _ in range(2 * BURST_S + 1)] == [0] * 2 * BURST_S + [1]
    assert rates.wait_s("b") == 0
    clock.now_s += 1.5
    assert [rates.wait_s("a") for _ in range(4)] == [0, 0, 0, 1]
    clock.now_s += 1e6
    assert [rates.wait_s("a") for _ in range(2 * BURST_S + 1)][-2:] == [0, 1]


def test_the_wait_is_long_enough() -> None:
    clock = Clock()
    rates = Rates(0.1, now_s=clock)
    assert rates.wait_s("a") == 0
    wait_s = rates.wait_s("a")
    assert wait_s == 10
    clock.now_s += wait_s
    assert rates.wait_s("a") == 0


def test_the_memory_for_senders_is_bounded() -> None:
    clock = Clock()
    rates = Rates(0.1, now_s=clock)
    for number in range(MOST_BUCKETS + 1):
        rates.wait_s(str(number))
    assert rates.wait_s(str(MOST_BUCKETS)) > 0
    assert rates.wait_s("0") == 0  # forgotten


def test_who_writes_too_often_is_told_when_to_go_on(engine: Engine) -> None:
    boss, lab = make(engine, "boss", "admin"), make(engine, "lab", "agent")
    with shared(engine, rate=0.5) as client:
        assert [put_phone(client, **lab).status_code for _ in range(3)] == [201, 200, 429]
        refused = put_phone(client, **lab)
        assert "token lab sends more than 0.5 writes a second" in detail(refused, 429)
        assert 1 <= int(refused.headers["retry-after"]) <= 2
        assert client.get("/devices", headers=lab).status_code == 200
        assert put_phone(client, **boss).status_code == 200


def test_who_guesses_tokens_is_slowed_down(engine: Engine) -> None:
    with shared(engine, rate=0.5) as client:
        guesses = [client.get("/devices", headers=bearer(f"pb_{n}")) for n in range(3)]
        assert [guess.status_code for guess in guesses] == [401, 401, 429]
        assert "192.168.1.7" in detail(guesses[2], 429)


def test_no_limit_is_a_choice(engine: Engine) -> None:
    with local_client(engine, Settings(rate=0)) as client:
        assert {put_phone(client).status_code for _ in range(50)} == {200, 201}


def test_a_body_that_says_it_is_too_large_is_refused(client: TestClient) -> None:
    def body() -> Iterator[bytes]:
        yield b"{}"

    length = {"content-length": str(MAX_BODY_BYTES + 1)}
    answer = client.put("/devices/phone", content=body(), headers={**JSON, **length})
    assert "larger than" in detail(answer, 413)


@pytest.mark.parametrize(
    "body",
    [
        "[" * 90_000,
        '{"a":' * 15_000,
        '{"os": ' + "[" * 900 + "]" * 900 + "}",
        '{"cores": ' + "9" * 90_000 + "}",
        '{"cores": ' + "9" * 4_000 + "}",
        '{"cores": 1e999}',
        '{"cores": -Infinity}',
        '{"os": NaN}',
        '"' + "\\ud800" * 1_000 + '"',
        "\x00",
    ],
)
def test_a_body_made_to_harm_is_refused_as_any_wrong_one(agent: Agent, body: str) -> None:
    for path in ("/sessions", "/audits"):
        answer = agent.post(path, body)
        assert answer.status_code in (400, 422)
        assert answer.headers["content-type"] == "application/problem+json"
        assert len(answer.text) < 2_000


def test_a_timing_has_a_bounded_number_of_samples(engine: Engine) -> None:
    with local_client(engine) as client:
        agent = Agent(client)
        session = agent.begin()
        timing = json.loads(a_timing().model_dump_json())
        timing["rounds_us"] = [[1.0] * 1000] * (MOST_SAMPLES // 1000) + [[1.0]]
        answer = agent.post(f"/sessions/{session}/timings", json.dumps(timing))
        assert f"give at most {MOST_SAMPLES} samples" in detail(answer, 422)
        timing["rounds_us"] = [[1.0]] * (MOST_ROUNDS + 1)
        answer = agent.post(f"/sessions/{session}/timings", json.dumps(timing))
        assert "body.rounds_us: Tuple should have at most" in detail(answer, 422)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "n" * 101),
        ("blocks", ["k3_e1"] * 201),
        ("blocks", ["k" * 51]),
    ],
)
def test_an_audits_texts_are_bounded(agent: Agent, field: str, value: object) -> None:
    agent.register()
    audit = json.loads(an_audit().model_dump_json())
    audit["networks"][0][field] = value
    assert f"body.networks.0.{field}" in detail(agent.post("/audits", json.dumps(audit)), 422)


@pytest.mark.parametrize("number", [0, 2**20 + 1, 10**4000])
def test_an_operators_numbers_are_bounded(agent: Agent, number: int) -> None:
    session = agent.begin()
    timing = json.loads(a_timing().model_dump_json())
    timing["operator"]["slot"]["in_channels"] = number
    answer = agent.post(f"/sessions/{session}/timings", json.dumps(timing))
    assert "body.operator.slot.in_channels" in detail(answer, 422)


def test_every_answer_tells_browsers_to_be_careful(client: TestClient) -> None:
    for path in ("/", "/devices", "/nowhere", "/static/phonebook.css", "/docs"):
        headers = client.get(path).headers
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "camera=()" in headers["permissions-policy"]
        assert "access-control-allow-origin" not in headers
        assert "strict-transport-security" not in headers
