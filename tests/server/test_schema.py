"""Migrations and ORM classes tell the same story, and the server knows where in it it is."""

from pathlib import Path
from uuid import UUID, uuid4

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from fastapi.testclient import TestClient
from sqlalchemy import Connection, Engine, MetaData, String, func, inspect, null, select, text
from sqlalchemy.exc import IntegrityError

from contract.errors import PhonebookError
from contract.estimates import estimate
from server.database.engine import migrating, open_database
from server.database.records import Base, UtcDateTime
from server.database.schema import is_at_head, prepare, upgrade
from tests.server.conftest import Agent, downgrade, local_client
from tests.server.making import (
    NOON,
    PHONE,
    RUNTIME,
    SPACE,
    a_failure,
    a_steady_timing,
    a_timing,
    an_audit,
)

pytestmark = pytest.mark.both_databases


def test_migrating_from_nothing_gives_the_tables_that_the_code_declares(engine: Engine) -> None:
    assert differences(engine) == []
    assert is_at_head(engine)


def differences(engine: Engine) -> list[object]:
    """Between the database and what the code declares."""
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        return list(compare_metadata(context, Base.metadata))


def test_the_whole_way_down_leaves_nothing_and_the_way_up_works_again(engine: Engine) -> None:
    downgrade(engine, "base")
    assert inspect(engine).get_table_names() == ["alembic_version"]
    assert not is_at_head(engine)
    upgrade(engine)
    assert is_at_head(engine)


@pytest.mark.parametrize("below", ["0001", "base"])
def test_down_and_up_again_works_with_something_in_every_table(
    agent: Agent, engine: Engine, below: str
) -> None:
    session = agent.begin()
    agent.tell(session, a_steady_timing(disturbed=3), a_failure(SPACE.head))
    agent.tell_audit(an_audit())
    fill_empty_tables(engine)
    before = {table: stored(engine, table) for table in ("devices", "sessions", "timings")}
    assert before == {"devices": 1, "sessions": 1, "timings": 2}

    downgrade(engine, below)
    upgrade(engine)
    kept = before if below == "0001" else dict.fromkeys(before, 0)
    assert {table: stored(engine, table) for table in before} == kept
    assert differences(engine) == []
    assert is_at_head(engine)


def fill_empty_tables(engine: Engine) -> None:
    """A row for every table that has none, of whatever its columns take."""
    plain: dict[type, object] = {
        **{str: "1", int: 1, float: 1.0, bool: True, bytes: b"1"},
        UUID: uuid4(),
        object: {},  # JSON
    }
    with engine.begin() as connection:
        for table in Base.metadata.sorted_tables:
            if connection.scalar(select(func.count()).select_from(table)):
                continue
            values = {}
            for column in table.columns:
                keys = list(column.foreign_keys)
                values[column.name] = (
                    connection.scalar(select(keys[0].column).limit(1))
                    if keys
                    else NOON
                    if isinstance(column.type, UtcDateTime)
                    else plain[column.type.python_type]
                )
            connection.execute(table.insert().values(values))


def stored(engine: Engine, table: str) -> int:
    with engine.connect() as connection:
        return connection.scalar(text(f"SELECT count(*) FROM {table}")) or 0


def test_an_upgrade_keeps_what_was_stored_and_computes_figures_from_raw_samples(
    empty_database: Engine,
) -> None:
    upgrade(empty_database, "0001")
    session, operators = uuid4(), SPACE.operators[:4]
    good, failed, lost, absurd = (operator.key for operator in operators)
    rounds_us = [[100.0, 101.0, 130.0], [99.0, 100.0, 131.0]]
    with empty_database.begin() as connection:
        fill_first_schema(
            connection, session, {good: rounds_us, failed: None, absurd: [[1e-9] * 9]}, lost=lost
        )
    upgrade(empty_database)

    figures = estimate(rounds_us)
    with local_client(empty_database) as client:
        (row,) = client.get("/lut/phone").json()["entries"]
        assert row == {
            **figures.model_dump(),
            "operator": good,
            "measured_at": "2026-03-01T12:00:00Z",
            "origin": "measured",
            "session": str(session),
        }
        (stored,) = client.get("/sessions?device=phone").json()
        assert stored["effort"] == "standard"
        assert (stored["ended_at"], stored["conditions_after"]) == (None, None)
        assert stored["started_at"] == "2026-03-01T12:00:00Z"
        answer = client.get(f"/sessions/{session}")
        assert answer.status_code == 422
        assert f"rounds_us of {absurd} are no durations" in answer.json()["detail"]
    with empty_database.connect() as connection:
        kept = connection.execute(text("SELECT operator, drift FROM timings")).all()
    assert sorted(kept) == sorted([(good, None), (failed, None), (absurd, None)])

    downgrade(empty_database, "0001")
    with empty_database.connect() as connection:
        medians = connection.execute(text("SELECT operator, median_us FROM rows")).all()
    assert medians == [(good, figures.median_us)]


def fill_first_schema(
    connection: Connection,
    session: UUID,
    rounds_us: dict[str, list[list[float]] | None],
    *,
    lost: str,
) -> None:
    """One session as the first version stored it: samples or null for a failure, by operator.

    `lost` has a row without samples.
    """
    tables = MetaData()
    tables.reflect(connection)
    id = session.hex if connection.dialect.name == "sqlite" else session

    def insert(table: str, **values: object) -> None:
        connection.execute(tables.tables[table].insert().values(**values))

    insert(
        "devices",
        name="phone",
        registered_at=NOON,
        revision=7,
        default_runtime=RUNTIME.key,
        **PHONE.model_dump(),
    )
    insert(
        "sessions",
        id=id,
        device="phone",
        runtime=RUNTIME.key,
        space=SPACE.name,
        origin="measured",
        started_at=NOON,
        agent_version="0.1.0",
        conditions={"load_1min": None, "clock_mhz": None, "temperature_c": None},
    )
    for operator, samples in rounds_us.items():
        timing = uuid4()
        insert(
            "timings",
            id=timing.hex if connection.dialect.name == "sqlite" else timing,
            session=id,
            operator=operator,
            measured_at=NOON,
            rounds_us=null() if samples is None else samples,
            failure_code=None if samples else "crashed",
        )
    for operator in (*(name for name, samples in rounds_us.items() if samples), lost):
        insert(
            "rows",
            device="phone",
            runtime=RUNTIME.key,
            origin="measured",
            operator=operator,
            session=id,
            measured_at=NOON,
            median_us=1,
            p90_us=1,
            min_us=1,
            samples=1,
            rounds=1,
        )


def test_what_the_version_before_housekeeping_stored_is_served_and_may_be_renamed(
    agent: Agent, client: TestClient, engine: Engine
) -> None:
    session = agent.begin()
    agent.tell(session, a_steady_timing(disturbed=3), a_failure(SPACE.head))
    agent.tell_audit(an_audit())
    served = client.get("/lut/phone").json()
    downgrade(engine, "0010")
    assert not {"former_names", "notes"} & {*inspect(engine).get_table_names()}
    upgrade(engine)
    assert client.get("/lut/phone").json() == served
    assert client.get("/retired").json() == {"devices": [], "units": []}
    assert client.get(f"/sessions/{session}/notes").json() == []
    new = {"name": "pixel-8", "reason": "there are two"}
    client.put("/devices/phone/name", json=new).raise_for_status()
    then = client.get("/lut/pixel-8", params={"snapshot": served["snapshot"]}).json()
    assert (then["device"], then["entries"]) == ("phone", served["entries"])


def test_a_table_that_others_refer_to_can_be_made_anew(agent: Agent, engine: Engine) -> None:
    agent.tell(agent.begin(), a_timing())
    with (
        migrating(engine) as connection,
        Operations(MigrationContext.configure(connection)).batch_alter_table(
            "devices", recreate="auto"
        ) as devices,
    ):
        devices.alter_column("soc", existing_type=String(200), nullable=True)
    assert stored(engine, "devices") == stored(engine, "sessions") == 1
    with engine.begin() as connection, pytest.raises(IntegrityError):
        connection.execute(text("DELETE FROM devices"))


def test_a_migration_that_leaves_rows_without_their_device_changes_nothing(
    agent: Agent, engine: Engine
) -> None:
    agent.begin()
    with (
        pytest.raises((PhonebookError, IntegrityError), match="devices"),
        migrating(engine) as connection,
    ):
        connection.execute(text("DELETE FROM devices"))
    assert stored(engine, "devices") == 1


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
