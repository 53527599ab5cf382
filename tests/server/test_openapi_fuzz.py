"""Whatever the API's schema allows, and much that it does not, is answered as the schema says."""

from typing import Any
from uuid import UUID

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from sqlalchemy import Engine

from contract.deeds import Reason
from contract.devices import NewName
from contract.notes import NewNote
from contract.timings import TimingBatch
from server.app import create_app
from server.database.engine import open_database
from server.settings import Settings
from tests.server.conftest import Agent, local_client
from tests.server.making import (
    PHONE,
    RUNTIME,
    SPACE,
    a_failure,
    a_finding,
    a_search,
    a_session,
    a_timing,
    an_audit,
    an_epoch,
)
from tests.server.test_access import make

pytestmark = pytest.mark.slow

EXAMPLES = 25  # of each operation
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
GOOD_BODIES = {
    (method, path): body.model_dump(mode="json")
    for method, path, body in (
        ("put", "/devices/{device}", PHONE),
        ("put", "/devices/{device}/default-runtime", RUNTIME),
        ("put", "/devices/{device}/name", NewName(name="phone", reason="it is that")),
        ("post", "/devices/{device}/retire", Reason(reason="its screen broke")),
        ("post", "/devices/{device}/bring-back", Reason(reason="it was mended")),
        ("post", "/devices/{device}/units/{serial}/retire", Reason(reason="lost")),
        ("post", "/devices/{device}/units/{serial}/bring-back", Reason(reason="found")),
        ("post", "/sessions/{session_id}/notes", NewNote(text="the phone lay in the sun")),
        ("post", "/sessions", a_session()),
        ("post", "/sessions/{session_id}/timings", a_timing(SPACE.operators[5])),
        (
            "post",
            "/sessions/{session_id}/timings/batch",
            TimingBatch(timings=(a_timing(SPACE.operators[6]), a_failure(SPACE.operators[7]))),
        ),
        ("post", "/sessions/{session_id}/withdraw", Reason(reason="the phone lay in the sun")),
        ("post", "/sessions/{session_id}/bring-back", Reason(reason="it did not")),
        ("post", "/audits", an_audit()),
        ("put", "/searches/{search_id}", a_search(found=a_finding())),
        ("put", "/searches/{search_id}/epochs/{number}", an_epoch(2)),
    )
}


def operations() -> list[tuple[str, str]]:
    """Method and path of everything that the schema tells."""
    paths = over_no_database().openapi()["paths"]
    return [(method, path) for path, methods in paths.items() for method in methods]


def over_no_database() -> FastAPI:
    return create_app(open_database("sqlite:///never-opened.db"), Settings())


@pytest.fixture(scope="session")
def schema() -> BaseSchema:
    """As the server tells it. What Schemathesis works out from it serves every test."""
    return schemathesis.openapi.from_asgi("/openapi.json", over_no_database())


def fill(engine: Engine) -> dict[str, UUID | str]:
    """Something of each kind in the database; what a path or a query calls it."""
    with local_client(engine) as client:
        agent, audit = Agent(client), an_audit()
        session = agent.begin(a_session())
        agent.tell(session, a_timing(), a_timing(SPACE.head), a_failure(SPACE.operators[3]))
        agent.tell(agent.begin(a_session(minutes=60)), a_timing(minutes=60))
        agent.tell_audit(audit)
        search = agent.tell_search(a_search(), an_epoch(1))
    return {
        "device": "phone",
        "session_id": session,
        "audit_id": audit.id,
        "search_id": search,
        "number": "2",
        "runtime": RUNTIME.key,
        "space": SPACE.name,
    }


@pytest.mark.parametrize(("method", "path"), operations())
def test_every_answer_is_one_that_the_schema_tells(
    engine: Engine, schema: BaseSchema, method: str, path: str
) -> None:
    known = fill(engine)
    headers = make(engine, "fuzz", "admin")
    app = create_app(engine, Settings(rate=0))
    operation = schema[path][method]
    good = GOOD_BODIES.get((method, path), {})
    modes = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        case=st.one_of([operation.as_strategy(generation_mode=mode) for mode in modes]),
        real=st.booleans(),
        strange=st.sets(st.sampled_from(sorted(good) or [""]), max_size=2),
    )
    def answered_as_told(case: "Case[Any]", real: bool, strange: set[str]) -> None:
        if real:  # else hardly anything that is asked for would exist, or be stored
            for given_names in (case.path_parameters, case.query):
                given_names.update(
                    {name: str(known[name]) for name in given_names if name in known}
                )
            if good and isinstance(case.body, dict):
                told = {name: case.body[name] for name in strange if name in case.body}
                case.body = {**good, **told}
        case.validate_response(case.call(app=app, headers=headers), checks=CHECKS)

    answered_as_told()
