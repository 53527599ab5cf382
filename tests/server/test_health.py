"""Whoever watches the server learns whether it can answer, and it recovers by itself."""

import pytest

from contract.problems import Problem
from server.database.engine import open_database
from server.database.schema import upgrade
from tests.postgres import PostgresServer
from tests.server.conftest import Agent, local_client
from tests.server.making import SPACE, a_timing

pytestmark = pytest.mark.slow


def test_while_postgresql_is_away_the_server_says_so_and_then_goes_on(
    own_postgres: PostgresServer,
) -> None:
    engine = open_database(own_postgres.url)
    upgrade(engine)
    with local_client(engine) as client:
        agent = Agent(client)
        session = agent.begin()
        agent.tell(session, a_timing())
        assert client.get("/readyz").status_code == 200
        table = client.get("/lut/phone")

        own_postgres.stop()
        late = a_timing(SPACE.head)
        refused = agent.post_timing(session, late)
        for answer in (refused, client.get("/readyz"), client.get("/lut/phone")):
            assert answer.status_code == 503
            assert answer.headers["content-type"] == "application/problem+json"
            assert (
                "the database does not answer" in Problem.model_validate_json(answer.text).detail
            )
        assert client.get("/healthz").status_code == 200

        own_postgres.start()
        assert client.get("/readyz").status_code == 200
        assert client.get("/lut/phone").text == table.text
        assert agent.post_timing(session, late).status_code == 201
        assert len(client.get("/lut/phone").json()["entries"]) == 2
    engine.dispose()


def test_a_crash_of_postgresql_that_nobody_noticed_costs_one_refusal(
    own_postgres: PostgresServer,
) -> None:
    engine = open_database(own_postgres.url)
    upgrade(engine)
    with local_client(engine) as client:
        agent = Agent(client)
        session, timing = agent.begin(), a_timing()
        agent.tell(session, timing)
        own_postgres.stop("immediate")
        own_postgres.start()
        again = [agent.post_timing(session, timing).status_code for _ in range(3)]
        assert again == [503, 200, 200]
        assert len(client.get("/lut/phone").json()["entries"]) == 1
    engine.dispose()
