"""Databases for benchmarks: tables of many rows, and a long history behind them."""

from datetime import UTC, datetime
from uuid import uuid4

from sqlalchemy import Connection, Engine, insert, text

from contract.estimates import Estimate
from contract.runtime import Runtime
from contract.spaces import SPACE_NAMES, space
from contract.tables import Row
from server.database.records import DeviceRecord, RowRecord, RowVersion, SessionRecord
from server.database.schema import upgrade
from server.store.snapshots import canonical

SPACE = space("fbnet-224")
RUNTIME = Runtime(
    dtype="float32",
    threads=1,
    memory_format="contiguous",
    executorch="1.5.1",
    runner="native",
    affinity="any",
    protocol="in_situ",
)
NOW = datetime.now(UTC)
FIGURES = Estimate(
    latency_us=1234.5678,
    low_us=1220.1234,
    high_us=1250.4321,
    grade="A",
    median_us=1240.5,
    p90_us=1300.25,
    min_us=1200.125,
    samples=400,
    calm=350,
    rounds=40,
)
REVISION = 1  # of each device, which its rows came with
SESSIONS_AT_ONCE = 5_000
# Ids in order, which both databases append to their indexes: random ones take far longer to fill.
_ID = {"sqlite": "printf('%032x', {})", "postgresql": "lpad(to_hex({}), 32, '0')::uuid"}


def fill(engine: Engine, *, rows: dict[str, int], history: int) -> None:
    """A database with a table for each device, and so many timings behind the first of them."""
    upgrade(engine)
    with engine.begin() as connection:
        for device in rows:
            _add_device(connection, device)
    _add_history(engine, next(iter(rows)), history)
    with engine.begin() as connection:  # last, as the newest rows of a long-used table are
        for device, count in rows.items():
            _add_rows(connection, device, count)
    with engine.begin() as connection:
        connection.execute(text("ANALYZE"))


def _add_device(connection: Connection, device: str) -> None:
    connection.execute(
        insert(DeviceRecord).values(
            name=device,
            model="Benchmark",
            soc="Benchmark",
            cores=8,
            memory_bytes=2**33,
            os="None",
            registered_at=NOW,
            default_runtime=RUNTIME.key,
            revision=REVISION,
        )
    )


def _add_rows(connection: Connection, device: str, count: int) -> None:
    session = uuid4()
    connection.execute(insert(SessionRecord).values(id=session, **of_session(device)))
    names = (SPACE.name, *SPACE_NAMES)  # what is posted for its operators replaces rows
    keys = list(dict.fromkeys(op.key for name in names for op in space(name).operators))
    keys += [f"{keys[number % len(keys)]}-{number}" for number in range(count - len(keys))]
    rows = [
        Row(
            operator=key,
            measured_at=NOW,
            origin="measured",
            session=session,
            **FIGURES.model_dump(),
        )
        for key in keys[:count]
    ]
    table = {"device": device, "runtime": RUNTIME.key}
    connection.execute(
        insert(RowRecord), [{**table, **row.model_dump(), "version": REVISION} for row in rows]
    )
    connection.execute(
        insert(RowVersion),
        [
            {
                **table,
                "origin": row.origin,
                "operator": row.operator,
                "revision": REVISION,
                "content": canonical(row.model_dump(mode="json")),
            }
            for row in rows
        ],
    )


def of_session(device: str) -> dict[str, object]:
    """A session's columns, without its id."""
    return {
        "device": device,
        "runtime": RUNTIME.key,
        "space": SPACE.name,
        "origin": "measured",
        "effort": "standard",
        "started_at": NOW,
        "agent_version": "0",
        "conditions": {"load_1min": 0.1, "clock_mhz": None, "temperature_c": None},
    }


def _add_history(engine: Engine, device: str, timings: int) -> None:
    """Whole sessions of the device, each operator with one sample, in a few transactions."""
    id_of = _ID[engine.dialect.name].format
    operators = sorted(operator.key for operator in SPACE.operators)
    names = ", ".join(f"({number}, '{key}')" for number, key in enumerate(operators))
    numbers = (
        "WITH RECURSIVE n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {last}), "
        f"o(j, key) AS (VALUES {names}) "
    )
    sessions = -(-timings // len(operators))
    for first in range(1, sessions + 1, SESSIONS_AT_ONCE):
        last = min(first + SESSIONS_AT_ONCE - 1, sessions)
        these = numbers.format(first=first, last=last)
        with engine.begin() as connection:
            connection.exec_driver_sql(
                f"INSERT INTO sessions (id, {', '.join(of_session(device))}) {these} "
                f"SELECT {id_of('i')}, '{device}', '{RUNTIME.key}', '{SPACE.name}', 'measured', "
                "'standard', '2026-01-01 00:00:00.000000', '0', '{}' FROM n"
            )
            connection.exec_driver_sql(
                f"INSERT INTO timings (id, session, operator, measured_at, rounds_us) {these} "
                f"SELECT {id_of('i * 1000 + j')}, {id_of('i')}, key, "
                "'2026-01-01 00:00:00.000000', '[[100.0]]' FROM n CROSS JOIN o"
            )
