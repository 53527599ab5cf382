"""Backups: all of it, at one moment, while the server goes on; nothing is overwritten."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, MetaData, create_engine, func, select

from contract.errors import PhonebookError
from server import backup
from server.database.engine import open_database, reading, writing
from server.database.schema import is_at_head
from server.store import sign_ins, tokens
from tests.postgres import database
from tests.server.conftest import Agent, downgrade, local_client
from tests.server.making import SPACE, a_failure, a_steady_timing, a_timing, an_audit


@pytest.fixture
def second_url(dialect: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """Another empty database of the same kind."""
    if dialect == "sqlite":
        yield f"sqlite:///{tmp_path}/second.db"
        return
    with database(request.getfixturevalue("postgres"), f"second-{uuid4()}") as url:
        yield url


def everything(url: str) -> dict[str, list[object]]:
    """Every row of every table."""
    engine = create_engine(url)
    tables = MetaData()
    with engine.connect() as connection:
        tables.reflect(connection)
        found: dict[str, list[object]] = {
            name: sorted(map(tuple, connection.execute(select(table)).all()), key=repr)
            for name, table in tables.tables.items()
        }
    engine.dispose()
    return found


def test_a_backup_gives_everything_back(
    agent: Agent, client: TestClient, database_url: str, second_url: str, tmp_path: Path
) -> None:
    session = agent.begin()
    agent.tell(session, a_steady_timing(disturbed=3), a_failure(SPACE.head))
    agent.tell_audit(an_audit())
    file = tmp_path / "backup"
    backup.create(to=file, database_url=database_url)
    agent.tell(session, a_timing(SPACE.operators[1]))  # too late for the backup
    backup.restore(from_=file, database_url=second_url)

    engine = open_database(second_url)
    assert is_at_head(engine)
    with local_client(engine) as restored:
        there = restored.get("/lut/phone?space=fbnet-32").json()
        assert [row["operator"] for row in there["entries"]] == [SPACE.stem.key]
        assert there["audit"]["networks"] == 3
        Agent(restored).tell(session, a_timing(SPACE.operators[1], us=7))
        assert len(restored.get("/lut/phone").json()["entries"]) == 2
    engine.dispose()


def test_a_restored_database_is_equal_row_by_row(
    agent: Agent, database_url: str, second_url: str, tmp_path: Path
) -> None:
    agent.tell(agent.begin(), a_steady_timing(disturbed=3), a_failure(SPACE.head))
    agent.tell_audit(an_audit())
    backup.create(to=tmp_path / "backup", database_url=database_url)
    backup.restore(from_=tmp_path / "backup", database_url=second_url)
    assert everything(second_url) == everything(database_url)


def test_a_backup_is_made_while_the_server_serves(
    agent: Agent, client: TestClient, database_url: str, second_url: str, tmp_path: Path
) -> None:
    session = agent.begin()
    agent.tell(session, a_timing())
    statuses: list[int] = []

    def post() -> None:
        for operator in SPACE.operators[1:61]:
            statuses.append(agent.post_timing(session, a_timing(operator)).status_code)

    posting = threading.Thread(target=post)
    posting.start()
    backup.create(to=tmp_path / "backup", database_url=database_url)
    posting.join()
    assert statuses == [201] * 60
    backup.restore(from_=tmp_path / "backup", database_url=second_url)
    engine = open_database(second_url)
    with engine.connect() as connection:
        tables = MetaData()
        tables.reflect(connection)
        timings, rows = (
            connection.scalar(select(func.count()).select_from(tables.tables[name])) or 0
            for name in ("timings", "rows")
        )
    engine.dispose()
    assert timings == rows  # a timing and its row are of one moment
    assert 1 <= timings <= 61


def test_neither_a_file_nor_a_table_is_overwritten(
    agent: Agent, database_url: str, tmp_path: Path
) -> None:
    agent.begin()
    file = tmp_path / "backup"
    file.write_text("precious")
    with pytest.raises(PhonebookError, match="exists and is left as it is"):
        backup.create(to=file, database_url=database_url)
    assert file.read_text() == "precious"
    backup.create(to=tmp_path / "another", database_url=database_url)
    before = everything(database_url)
    with pytest.raises(PhonebookError, match=r"has tables .* restore into an empty database"):
        backup.restore(from_=tmp_path / "another", database_url=database_url)
    assert everything(database_url) == before


def test_a_backup_is_for_its_owner_alone_and_leaves_nothing_beside_it(
    database_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    backup.create(to=folder / "backup", database_url=database_url)
    (only,) = folder.iterdir()
    assert only.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("version", ["0001", "0007"])
def test_an_older_schema_is_restored_as_it_was(
    version: str,
    signed_in: str,
    engine: Engine,
    database_url: str,
    second_url: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    downgrade(engine, version)
    backup.create(to=tmp_path / "backup", database_url=database_url)
    backup.restore(from_=tmp_path / "backup", database_url=second_url)
    said = capsys.readouterr().out
    assert "now run `python -m server.schema upgrade`" in said
    assert ("its tokens (2) were revoked" in said) == (version == "0007")


def holders_of(url: str) -> dict[str, bool]:
    """The names of a database's tokens, and whether each works."""
    engine = open_database(url)
    with reading(engine)() as session:
        found = {token.name: token.revoked_at is None for token in tokens.reports(session)}
    engine.dispose()
    return found


@pytest.fixture
def signed_in(engine: Engine) -> str:
    """The secret of a browser that has signed in with one of two tokens."""
    with writing(engine).begin() as session:
        tokens.create(session, "lab", "agent", datetime.now(UTC))
        token = tokens.create(session, "ada", "admin", datetime.now(UTC))
        secret, _ = sign_ins.sign_in(session, token, datetime.now(UTC))
    return secret


def test_a_token_that_was_revoked_since_does_not_come_to_life_again(
    engine: Engine,
    signed_in: str,
    database_url: str,
    second_url: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    backup.create(to=tmp_path / "backup", database_url=database_url)
    with writing(engine).begin() as session:
        tokens.revoke(session, "lab", datetime.now(UTC))
    backup.restore(from_=tmp_path / "backup", database_url=second_url)
    assert holders_of(second_url) == {"ada": False, "lab": False}
    assert everything(second_url)["sign_ins"] == []
    said = capsys.readouterr().out
    assert "its tokens (2) were revoked" in said
    assert "--keep-tokens" in said


def test_tokens_may_be_kept_and_browsers_not(
    signed_in: str,
    database_url: str,
    second_url: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    backup.create(to=tmp_path / "backup", database_url=database_url)
    backup.restore(from_=tmp_path / "backup", keep_tokens=True, database_url=second_url)
    assert holders_of(second_url) == {"ada": True, "lab": True}
    assert everything(second_url)["sign_ins"] == []
    assert "revoked" not in capsys.readouterr().out


def test_a_restored_file_is_for_its_owner_alone_and_replaces_an_empty_one(
    sqlite_template: Path, tmp_path: Path
) -> None:
    backup.create(to=tmp_path / "backup", database_url=f"sqlite:///{sqlite_template}")
    folder = tmp_path / "restored"
    folder.mkdir()
    for name in ("new.db", "empty.db"):
        file = folder / name
        if name == "empty.db":
            file.touch()
        backup.restore(from_=tmp_path / "backup", database_url=f"sqlite:///{file}")
        assert file.stat().st_mode & 0o777 == 0o600
    assert sorted(each.name for each in folder.iterdir()) == ["empty.db", "new.db"]


def test_a_folder_that_is_not_there_is_explained(database_url: str, tmp_path: Path) -> None:
    with pytest.raises(PhonebookError, match=r"cannot write .*none/backup: No such file"):
        backup.create(to=tmp_path / "none" / "backup", database_url=database_url)


@pytest.mark.parametrize("content", [b"", b"precious", None])
def test_what_is_no_backup_is_refused(
    dialect: str, empty_url: str, tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "something"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(PhonebookError, match="cannot read" if content is None else "no backup"):
        backup.restore(from_=file, database_url=empty_url)


def test_a_backup_of_the_other_kind_is_refused(
    dialect: str, empty_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "backup"
    file.write_bytes(b"PGDMP..." if dialect == "sqlite" else b"SQLite format 3\0...")
    with pytest.raises(PhonebookError, match="cannot be restored into"):
        backup.restore(from_=file, database_url=empty_url)


def test_a_damaged_backup_is_explained(dialect: str, empty_url: str, tmp_path: Path) -> None:
    file = tmp_path / "backup"
    file.write_bytes((b"SQLite format 3\0" if dialect == "sqlite" else b"PGDMP") + b"\1" * 5000)
    with pytest.raises(PhonebookError, match=r"cannot copy|pg_restore failed"):
        backup.restore(from_=file, database_url=empty_url)


def test_an_sqlite_file_that_is_not_there_has_no_backup(tmp_path: Path) -> None:
    with pytest.raises(PhonebookError, match="there is no database"):
        backup.create(to=tmp_path / "backup", database_url=f"sqlite:///{tmp_path}/none.db")
    assert list(tmp_path.iterdir()) == []


def test_without_the_tools_their_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PhonebookError, match="apt-get install postgresql-client"):
        backup.create(to=tmp_path / "backup", database_url="postgresql://me@host/name")


def test_the_password_is_told_to_nobody(tmp_path: Path) -> None:
    url = "postgresql://me:hidden@127.0.0.1:1/name"
    with pytest.raises(PhonebookError, match="pg_dump failed with") as caught:
        backup.create(to=tmp_path / "backup", database_url=url)
    assert "hidden" not in str(caught.value)
