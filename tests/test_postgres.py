"""Where tests find their PostgreSQL, and what becomes of them without one."""

import pytest
from sqlalchemy import create_engine, text

from tests.postgres import PostgresServer, missing


def test_a_server_keeps_its_data_and_its_url_over_restarts(own_postgres: PostgresServer) -> None:
    url = own_postgres.url
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE kept AS SELECT 7 AS number"))
    for mode in ("fast", "immediate"):
        own_postgres.stop(mode)
        own_postgres.start()
        engine.dispose()
        with engine.connect() as connection:
            assert connection.scalar(text("SELECT number FROM kept")) == 7
    assert own_postgres.url == url
    engine.dispose()


@pytest.mark.slow
def test_without_one_a_person_is_told_and_ci_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="apt-get install postgresql"):
        missing()
    monkeypatch.setenv("CI", "1")
    with pytest.raises(pytest.fail.Exception, match="TEST_POSTGRES_URL"):
        missing()
