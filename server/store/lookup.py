"""Latency tables, read from the current rows and audits and never from the history."""

import json
from hashlib import sha256

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import ColumnElement, Engine, bindparam, select
from sqlalchemy.orm import Session as DbSession

from contract.audits import AuditSummary
from contract.tables import FailedOperator, LatencyTable, Row
from contract.timings import Failure, Origin, Runtime
from contract.values import Value
from server.errors import Unprocessable
from server.store.devices import find_device, nothing_measured
from server.store.spaces import find_space, operator_keys
from server.tables import AuditRecord, DeviceRecord, FailureRecord, RowRecord

_ROW_FIELDS = tuple(Row.model_fields)
_ROW_COLUMNS = tuple(getattr(RowRecord, field) for field in _ROW_FIELDS)
# All rows in one call each way: several times faster than a call per row.
_ROWS = TypeAdapter(tuple[Row, ...])
_VERSION = select(DeviceRecord.revision, DeviceRecord.default_runtime).where(
    DeviceRecord.name == bindparam("device")
)


class Asked(Value):
    """One table at one revision of its device."""

    device: str
    revision: int
    runtime: Runtime
    space: str | None
    origin: Origin


def version(engine: Engine, device: str) -> tuple[object, ...] | None:
    """What changes whenever a table of the device does; None where there is no such device."""
    with engine.connect() as connection:
        found = connection.execute(_VERSION, {"device": device}).first()
    return None if found is None else tuple(found)


def ask(
    session: DbSession,
    device: str,
    *,
    runtime: str | None = None,
    space: str | None = None,
    origin: Origin = "measured",
) -> Asked:
    """The table under the runtime with that key, or under the device's default one.

    Raises:
        NotFound: no such device or space, or no runtime given and nothing measured yet.
        Unprocessable: not a runtime's key.
    """
    record = find_device(session, device)
    key = runtime if runtime is not None else record.default_runtime
    if key is None:
        raise nothing_measured(device)
    return Asked(
        device=device,
        revision=record.revision,
        runtime=parse_runtime(key),
        space=None if space is None else find_space(space).name,
        origin=origin,
    )


def read(session: DbSession, asked: Asked) -> LatencyTable:
    """The table's current rows: of a space in its order, or all, sorted by key."""
    rows = _rows(session, asked)
    wanted = None if asked.space is None else operator_keys(asked.space)
    order = wanted if wanted is not None else sorted(rows)
    entries = tuple(rows[operator] for operator in order if operator in rows)
    missing = tuple(operator for operator in order if operator not in rows)
    return LatencyTable(
        schema_version=1,
        device=asked.device,
        runtime=asked.runtime,
        origin=asked.origin,
        space=asked.space,
        complete=None if wanted is None else not missing,
        missing=None if wanted is None else missing,
        failures=tuple(
            failed
            for failed in _failures(session, asked)
            if failed.operator not in rows and (wanted is None or failed.operator in wanted)
        ),
        snapshot=_snapshot(asked, entries),
        audit=_latest_audit(session, asked),
        entries=entries,
    )


def parse_runtime(key: str) -> Runtime:
    """The runtime with that key.

    Raises:
        Unprocessable: not a runtime's key; the message says why.
    """
    try:
        return Runtime.parse(key)
    except ValidationError as error:
        first = error.errors()[0]
        raise Unprocessable(f"runtime {key!r}: {first['loc'][0]}: {first['msg']}") from error
    except ValueError as error:
        raise Unprocessable(str(error)) from error


def _rows(session: DbSession, asked: Asked) -> dict[str, Row]:
    """The current row of each operator, by key."""
    found = session.execute(select(*_ROW_COLUMNS).where(*_of_table(RowRecord, asked)))
    rows = _ROWS.validate_python([dict(zip(_ROW_FIELDS, row, strict=True)) for row in found])
    return {row.operator: row for row in rows}


def _failures(session: DbSession, asked: Asked) -> list[FailedOperator]:
    found = session.scalars(
        select(FailureRecord)
        .where(*_of_table(FailureRecord, asked))
        .order_by(FailureRecord.operator)
    )
    return [
        FailedOperator(
            operator=record.operator,
            failure=Failure(code=record.code, message=record.message),
            measured_at=record.measured_at,
        )
        for record in found
    ]


def _latest_audit(session: DbSession, asked: Asked) -> AuditSummary | None:
    of_space = () if asked.space is None else (AuditRecord.space == asked.space,)
    found = session.scalar(
        select(AuditRecord.summary)
        .where(*_of_table(AuditRecord, asked), *of_space)
        .order_by(AuditRecord.ended_at.desc(), AuditRecord.id)
        .limit(1)
    )
    return None if found is None else AuditSummary.model_validate(found)


def _of_table(
    record: type[RowRecord] | type[FailureRecord] | type[AuditRecord], asked: Asked
) -> tuple[ColumnElement[bool], ...]:
    return (
        record.device == asked.device,
        record.runtime == asked.runtime.key,
        record.origin == asked.origin,
    )


def _snapshot(asked: Asked, entries: tuple[Row, ...]) -> str:
    """A name for exactly these numbers, which anyone can compute from the table's JSON."""
    content = {
        "device": asked.device,
        "runtime": asked.runtime.key,
        "origin": asked.origin,
        "space": asked.space,
        "entries": _ROWS.dump_python(entries, mode="json"),
    }
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return f"sha256:{sha256(canonical.encode()).hexdigest()}"
