"""Whoever calls the store says what time it is: it reads no clock, so that tests can set one."""

import re
from datetime import timedelta
from pathlib import Path

from sqlalchemy import Engine, select

import server
from server.database.engine import reading, writing
from server.database.records import DeedRecord, TimingRecord, TokenRecord
from server.store import tokens
from server.store.retention import drop_samples, old_samples
from tests.server.conftest import Agent
from tests.server.making import NOON, a_timing

LATER = NOON + timedelta(days=1)


def test_neither_the_store_nor_the_database_reads_a_clock() -> None:
    root = Path(server.__file__).parent
    told = [
        path.name
        for room in ("store", "database")
        for path in (root / room).rglob("*.py")
        if re.search(r"\b(datetime\.now|utcnow|utc_now|time\.time)\(", path.read_text("utf-8"))
    ]
    assert told == []


def test_tokens_are_made_and_revoked_at_the_time_told(engine: Engine) -> None:
    with writing(engine).begin() as session:
        tokens.create(session, "ada", "reader", NOON, lasts=timedelta(days=2))
        tokens.create(session, "lab", "agent", NOON)
        tokens.revoke(session, "ada", LATER)
        tokens.renew(session, "lab", "agent", LATER)
        assert tokens.revoke_all(session, LATER) == 1
    with reading(engine)() as session:
        found = {
            record.name: (record.created_at, record.expires_at, record.revoked_at)
            for record in session.scalars(select(TokenRecord))
        }
        at = session.scalars(select(DeedRecord.at).order_by(DeedRecord.id)).all()
    assert found == {
        "ada": (NOON, NOON + timedelta(days=2), LATER),
        "lab": (LATER, None, LATER),
    }
    assert at == [NOON, NOON, LATER, LATER]


def test_samples_are_dropped_at_the_time_told(agent: Agent, engine: Engine) -> None:
    agent.tell(agent.begin(), a_timing())
    for batch in old_samples(reading(engine), LATER):
        with writing(engine).begin() as session:
            assert drop_samples(session, batch, LATER) == 1
    with reading(engine)() as session:
        assert session.scalars(select(TimingRecord.samples_dropped_at)).all() == [LATER]
