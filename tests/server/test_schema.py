"""Migrations and ORM classes tell the same story, and the server knows where in it it is."""

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from fastapi.testclient import TestClient
from sqlalchemy import Engine, inspect, text

from contract.errors import PhonebookError
from server.db import open_database
from server.schema import is_at_head, prepare, upgrade
from server.tables import Base
from tests.server.conftest import downgrade


def test_migrating_from_nothing_gives_the_tables_that_the_code_declares(engine: Engine) -> None:
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    assert is_at_head(engine)


def test_the_whole_way_down_leaves_nothing_and_the_way_up_works_again(engine: Engine) -> None:
    downgrade(engine, "base")
    assert inspect(engine).get_table_names() == ["alembic_version"]
    assert not is_at_head(engine)
    upgrade(engine)
    assert is_at_head(engine)


def test_upgrading_twice_changes_nothing(engine: Engine) -> None:
    upgrade(engine)
    assert is_at_head(engine)


def test_ready_only_with_the_schema_of_this_version(client: TestClient, engine: Engine) -> None:
    assert client.get("/readyz").status_code == 200
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'other'"))
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "python -m server.schema upgrade" in answer.json()["detail"]
    assert client.get("/healthz").status_code == 200


def test_a_database_of_another_version_is_refused_at_start(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path}/test.db")
    prepare(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'other'"))
    with pytest.raises(PhonebookError, match="made by another version of Phonebook"):
        prepare(engine)
    engine.dispose()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("sqlite:////no/such/folder/phonebook.db", "unable to open database file"),
        ("sqlite://", "in memory is lost"),
        ("mysql://me:hidden@host/name", "SQLite .* or PostgreSQL"),
        ("postgresql://me:hidden@127.0.0.1:1/name", "refused"),
        ("phonebook.db", "cannot be used"),
    ],
)
def test_an_unusable_database_is_explained_without_its_password(url: str, reason: str) -> None:
    with pytest.raises(PhonebookError, match=reason) as caught:
        prepare(open_database(url))
    assert "hidden" not in str(caught.value)
