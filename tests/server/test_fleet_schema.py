"""The fleet's tables come and go with data in them, and what was there before stays."""

from sqlalchemy import Engine, inspect, text

from server.database.schema import upgrade
from tests.server.conftest import Agent, downgrade, local_client
from tests.server.fleet import Fleet
from tests.server.making import a_session, a_timing


def test_sessions_outlive_the_fleets_tables_both_ways(empty_database: Engine) -> None:
    upgrade(empty_database)
    with local_client(empty_database) as client:
        agent, fleet = Agent(client), Fleet(client)
        named, unnamed = a_session().evolve(unit="s1"), a_session()
        for session in (named, unnamed):
            agent.begin(session)
        agent.tell(unnamed.id, a_timing())
        fleet.filed()
        fleet.leased(fleet.joined("lab", "s1"))
        table = client.get("/lut/phone").json()

        downgrade(empty_database, "0002")
        assert not {"jobs", "units", "agents"} & set(inspect(empty_database).get_table_names())
        with empty_database.connect() as connection:
            assert connection.execute(text("SELECT count(*) FROM sessions")).scalar() == 2

        upgrade(empty_database)
        for session in (named, unnamed):
            stored = client.get(f"/sessions/{session.id}").json()["session"]
            assert stored == session.evolve(unit=None).model_dump(mode="json")
        assert client.get("/lut/phone").json() == table
        assert (fleet.jobs(), fleet.agents()) == ([], [])
        fleet.filed()
        assert fleet.leased(fleet.joined("lab", "s1")).attempt == 1
