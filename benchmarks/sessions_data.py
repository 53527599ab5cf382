"""A long row of sessions for a large database, written into its tables at once."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from sqlalchemy import Connection, bindparam, insert, update

from benchmarks.service_data import FIGURES, REVISION, RUNTIME, SPACE, of_session
from contract.tables import Row
from server.database.records import (
    Base,
    DeviceRecord,
    RowRecord,
    RowVersion,
    SessionRecord,
    TimingRecord,
)
from server.store.snapshots import canonical

AGAIN = 40  # operators of a session
KEPT_SESSIONS = 8  # that have raw samples
ROUNDS, SAMPLES = 40, 10


def add_sessions(connection: Connection, device: str, sessions: int) -> None:
    """A session an hour, each with rows of some operators, of which a third are slower at last."""
    began = datetime.now(UTC) - timedelta(hours=sessions)
    keys = [operator.key for operator in SPACE.operators]
    table = {"device": device, "runtime": RUNTIME.key, "origin": "measured"}
    conditions = {"load_1min": 0.1, "clock_mhz": 2000.0, "temperature_c": 35.0}
    revision = REVISION
    samples = [[100.0 + number % 7 for number in range(SAMPLES)]] * ROUNDS
    newest: dict[str, dict[str, object]] = {}
    for number in range(sessions):
        session, moment = uuid4(), began + timedelta(hours=number)
        connection.execute(
            insert(SessionRecord).values(
                {
                    **of_session(device),
                    "id": session,
                    "started_at": moment,
                    "conditions": conditions,
                    "unit": f"S{number % 3}",
                }
            )
        )
        versions, timings = [], []
        for index in range(AGAIN):
            key = keys[(number * AGAIN + index) % len(keys) if number % 2 else index]
            slower = 1.2 if index % 3 == 0 and number > sessions * 0.95 else 1.0
            figures = FIGURES.evolve(
                latency_us=FIGURES.latency_us * slower * (1 + number % 5 / 1000)
            )
            row = Row(
                operator=key,
                measured_at=moment,
                origin="measured",
                session=session,
                **figures.model_dump(),
            )
            revision += 1
            content = canonical(row.model_dump(mode="json"))
            versions.append({**table, "operator": key, "revision": revision, "content": content})
            newest[key] = {"key": key, **row.model_dump(exclude={"operator"}), "version": revision}
            if number >= sessions - KEPT_SESSIONS:
                timing = {"id": uuid4(), "session": session, "operator": key}
                timings.append({**timing, "measured_at": moment, "rounds_us": samples})
        connection.execute(insert(RowVersion), versions)
        if timings:
            connection.execute(insert(TimingRecord), timings)
    of_device = DeviceRecord.name == device
    connection.execute(update(DeviceRecord).where(of_device).values(revision=revision))
    rows = Base.metadata.tables[RowRecord.__tablename__]
    row_of_key = (RowRecord.device == device, RowRecord.operator == bindparam("key"))
    connection.execute(update(rows).where(*row_of_key), list(newest.values()))
