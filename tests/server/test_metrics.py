"""`/metrics`: what happened and what is stored, in few words and none of a client's."""

from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine

from server.database.engine import open_database
from tests.server.conftest import Agent, local_client
from tests.server.making import SPACE, a_failure, a_session, a_timing
from tests.server.test_access import shared

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(client: TestClient) -> Samples:
    """Every figure by name and labels."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float | None:
    return found.get((f"phonebook_{name}", frozenset(labels.items())))


def test_requests_are_counted_by_method_route_and_status(client: TestClient, agent: Agent) -> None:
    agent.tell(agent.begin(), a_timing())
    for _ in range(3):
        client.get("/lut/phone")
    client.get("/lut/fone")
    client.delete("/lut/phone")
    found = samples(client)
    lut = {"method": "GET", "route": "/lut/{device}"}
    assert value(found, "requests_total", **lut, status="200") == 3
    assert value(found, "requests_total", **lut, status="404") == 1
    assert (
        value(found, "requests_total", method="DELETE", route="/lut/{device}", status="405") == 1
    )
    assert value(found, "request_seconds_count", **lut) == 4
    assert value(found, "request_seconds_bucket", **lut, le="+Inf") == 4


def test_what_clients_write_never_becomes_a_label(client: TestClient, agent: Agent) -> None:
    agent.register()
    for path in ("/secret-1", "/secret-2/x", "/lut/secret-3?runtime=secret-4", "/static/secret-5"):
        client.get(path, headers={"authorization": "Bearer secret-6", "x-request-id": "secret-7"})
    client.request("SECRET8", "/lut/phone")
    client.request("SECRET9", "/")
    text = client.get("/metrics").text
    assert "secret" not in text.lower()
    found = samples(client)
    assert value(found, "requests_total", method="GET", route="unknown", status="401") == 3
    assert value(found, "requests_total", method="GET", route="/static", status="404") == 1
    unknown = {"method": "unknown", "status": "405"}
    assert value(found, "requests_total", route="/lut/{device}", **unknown) == 1


def test_a_stored_timing_counts_once_and_rows_and_devices_are_told(
    client: TestClient, agent: Agent
) -> None:
    session = agent.begin()
    timing = a_timing()
    agent.tell(session, timing, timing, a_timing(SPACE.head), a_failure(SPACE.operators[1]))
    agent.tell(agent.begin(a_session(origin="emulated")), a_timing())
    agent.register("spare")
    found = samples(client)
    assert value(found, "timings_stored_total") == 4
    assert value(found, "devices") == 2
    assert value(found, "rows", device="phone", origin="measured") == 2
    assert value(found, "rows", device="phone", origin="emulated") == 1
    assert value(found, "database_up") == 1


def test_each_application_has_figures_of_its_own(client: TestClient, engine: Engine) -> None:
    client.get("/healthz")
    with local_client(engine) as other:
        found = samples(other)
    healthy = {"method": "GET", "route": "/healthz", "status": "200"}
    assert value(found, "requests_total", **healthy) is None
    assert value(samples(client), "requests_total", **healthy) == 1


def test_a_failure_of_the_server_is_counted_as_one(client: TestClient, agent: Agent) -> None:
    agent.begin()
    client.app.state.answers = None  # type: ignore[attr-defined]  # TestClient knows only ASGI
    assert client.get("/lut/phone").status_code == 500
    found = samples(client)
    assert value(found, "requests_total", method="GET", route="/lut/{device}", status="500") == 1


def test_without_a_database_whoever_needs_no_token_is_told_so() -> None:
    engine = open_database("postgresql://nobody@127.0.0.1:1/none")
    with shared(engine, open_reads=True) as client:
        found = samples(client)
    assert value(found, "database_up") == 0
    assert value(found, "devices") is None
    engine.dispose()
