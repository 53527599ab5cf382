"""Retention: raw samples go, and every number that was computed from them stays."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, text

from contract.errors import PhonebookError
from server import retention
from server.store.retention import BATCH
from tests.server.conftest import Agent
from tests.server.making import NOON, SPACE, a_failure, a_session, a_steady_timing, a_timing

DAYS_SINCE_NOON = (datetime.now(UTC) - NOON).days


def drop(
    engine: Engine, capsys: pytest.CaptureFixture[str], *, days: int = 0, **more: bool
) -> str:
    """Drop the samples that were measured more than so many days ago; what is said."""
    url = engine.url.render_as_string(hide_password=False)
    retention.run(older_than=f"{days}d", database_url=url, **more)
    return capsys.readouterr().out


def with_samples(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        found = connection.execute(
            text("SELECT operator FROM timings WHERE rounds_us IS NOT NULL OR drift IS NOT NULL")
        )
        return sorted(found.scalars())


@pytest.mark.slow
def test_tables_and_their_tags_stay_as_they_were(
    agent: Agent, client: TestClient, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    *good, bad = SPACE.operators
    timings = [a_steady_timing(operator, disturbed=4) for operator in good]
    assert len(timings) > BATCH
    agent.tell(agent.begin(), *timings, a_failure(bad))
    paths = ("/lut/phone", "/lut/phone?space=fbnet-32", "/lut/phone?format=csv")
    before = [client.get(path) for path in paths]
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT * FROM rows ORDER BY operator")).all()

    assert f"dropped the raw samples of {len(good)} timings" in drop(engine, capsys)
    assert with_samples(engine) == []
    for path, old in zip(paths, before, strict=True):
        new = client.get(path)
        assert (new.content, new.headers["etag"]) == (old.content, old.headers["etag"])
        again = client.get(path, headers={"if-none-match": old.headers["etag"]})
        assert again.status_code == 304
    with engine.connect() as connection:
        assert connection.execute(text("SELECT * FROM rows ORDER BY operator")).all() == rows


def test_a_report_keeps_its_figures_and_says_that_samples_were_dropped(
    agent: Agent, client: TestClient, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    session = agent.begin()
    agent.tell(session, a_steady_timing(disturbed=7), a_failure(SPACE.operators[1]))
    before = client.get(f"/sessions/{session}").json()
    drop(engine, capsys)
    after = client.get(f"/sessions/{session}").json()
    dropped_at = [timing.pop("samples_dropped_at") for timing in after["timings"]]
    assert [timing.pop("samples_dropped_at") for timing in before["timings"]] == [None, None]
    assert after == before
    assert dropped_at[1] is None  # a failure has no samples
    assert datetime.now(UTC) - datetime.fromisoformat(dropped_at[0]) < timedelta(minutes=5)


def test_only_old_timings_lose_samples_and_a_second_time_finds_none(
    agent: Agent, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    session = agent.begin()
    new = a_timing(SPACE.head).evolve(measured_at=datetime.now(UTC))
    agent.tell(session, a_timing(), new)
    assert "1 timings measured before" in drop(engine, capsys, days=1)
    assert with_samples(engine) == [SPACE.head.key]
    assert "of 0 timings" in drop(engine, capsys, days=1)
    assert "of 0 timings" in drop(engine, capsys, days=DAYS_SINCE_NOON + 1)


def test_a_dry_run_counts_and_drops_nothing(
    agent: Agent, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    agent.tell(agent.begin(), a_timing())
    said = drop(engine, capsys, dry_run=True)
    assert re.search(r"^1 timings .* nothing was dropped", said, re.MULTILINE)
    assert with_samples(engine) == [SPACE.stem.key]


def test_a_repeated_post_is_known_again_after_the_drop(
    agent: Agent, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    session, timing = agent.begin(), a_steady_timing(us=41.7, disturbed=2)
    first = agent.post_timing(session, timing).json()
    drop(engine, capsys)
    again = agent.post_timing(session, timing)
    assert again.status_code == 200
    assert again.json() == first | {"samples_dropped_at": again.json()["samples_dropped_at"]}
    assert with_samples(engine) == []
    other = timing.evolve(drift=())
    assert agent.post_timing(session, other).status_code == 409


def test_samples_without_figures_are_kept_and_counted(
    agent: Agent, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    agent.tell(agent.begin(), a_timing(), a_timing(SPACE.head))
    with engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE timings SET rounds_us = '[[1e-9]]', figures = NULL WHERE operator = :key"
            ),
            {"key": SPACE.head.key},
        )
    said = drop(engine, capsys)
    assert "samples of 1 timings" in said
    assert "kept those of 1 more" in said
    assert with_samples(engine) == [SPACE.head.key]


def test_a_table_measured_anew_after_the_drop_goes_on_as_usual(
    agent: Agent, client: TestClient, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    agent.tell(agent.begin(), a_timing(us=10))
    drop(engine, capsys)
    agent.tell(agent.begin(a_session(minutes=1)), a_timing(us=20, minutes=1))
    assert [row["min_us"] for row in client.get("/lut/phone").json()["entries"]] == [20]


@pytest.mark.parametrize("words", ["90", "d", "-1d", "1.5d", "3 months", "999999w"])
def test_an_age_that_cannot_be_read_is_explained(words: str) -> None:
    wrong = r"--older-than: .* is no span of time; give days, weeks or hours, as 90d"
    with pytest.raises(PhonebookError, match=wrong):
        retention.run(older_than=words)


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    missing = tmp_path / "none.db"
    with pytest.raises(PhonebookError, match="there is no database"):
        retention.run(older_than="90d", database_url=f"sqlite:///{missing}")
    assert not missing.exists()
