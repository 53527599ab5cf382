"""Latency tables, read from the current rows alone and never from the history."""

import json
from hashlib import sha256

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session as DbSession

from contract.timings import (
    FailedOperator,
    Failure,
    LatencyTable,
    Origin,
    Row,
    Runtime,
)
from server.errors import Unprocessable
from server.store.devices import find_device, nothing_measured
from server.store.spaces import find_space, operator_keys
from server.tables import FailureRecord, RowRecord

_ROW_FIELDS = tuple(Row.model_fields)
_ROW_COLUMNS = tuple(getattr(RowRecord, field) for field in _ROW_FIELDS)
# All rows in one call each way: several times faster than a call per row.
_ROWS = TypeAdapter(tuple[Row, ...])


def lookup_table(
    session: DbSession,
    device: str,
    *,
    runtime: str | None = None,
    space: str | None = None,
    origin: Origin = "measured",
) -> LatencyTable:
    """The device's table under the runtime with that key, or under its default one.

    With a space, entries are its operators in its order; without, all, sorted by key.

    Raises:
        NotFound: no such device or space, or no runtime given and nothing measured yet.
        Unprocessable: not a runtime's key.
    """
    record = find_device(session, device)
    wanted = operator_keys(find_space(space).name) if space is not None else None
    key = runtime if runtime is not None else record.default_runtime
    if key is None:
        raise nothing_measured(device)
    asked = parse_runtime(key)

    rows = _rows(session, device, asked, origin)
    order = wanted if wanted is not None else sorted(rows)
    entries = tuple(rows[operator] for operator in order if operator in rows)
    missing = tuple(operator for operator in order if operator not in rows)
    return LatencyTable(
        schema_version=1,
        device=device,
        runtime=asked,
        origin=origin,
        space=space,
        complete=None if wanted is None else not missing,
        missing=None if wanted is None else missing,
        failures=tuple(
            failed
            for failed in _failures(session, device, asked, origin)
            if failed.operator not in rows and (wanted is None or failed.operator in wanted)
        ),
        snapshot=_snapshot(device, asked, origin, space, entries),
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


def _rows(session: DbSession, device: str, runtime: Runtime, origin: Origin) -> dict[str, Row]:
    """The current row of each operator, by key."""
    found = session.execute(
        select(*_ROW_COLUMNS).where(
            RowRecord.device == device,
            RowRecord.runtime == runtime.key,
            RowRecord.origin == origin,
        )
    )
    rows = _ROWS.validate_python([dict(zip(_ROW_FIELDS, row, strict=True)) for row in found])
    return {row.operator: row for row in rows}


def _failures(
    session: DbSession, device: str, runtime: Runtime, origin: Origin
) -> list[FailedOperator]:
    found = session.scalars(
        select(FailureRecord).where(
            FailureRecord.device == device,
            FailureRecord.runtime == runtime.key,
            FailureRecord.origin == origin,
        )
    )
    failures = (
        FailedOperator(
            operator=record.operator,
            failure=Failure(code=record.code, message=record.message),
            measured_at=record.measured_at,
        )
        for record in found
    )
    return sorted(failures, key=lambda failed: failed.operator)


def _snapshot(
    device: str, runtime: Runtime, origin: Origin, space: str | None, entries: tuple[Row, ...]
) -> str:
    """A name for exactly these numbers, which anyone can compute from the table's JSON."""
    content = {
        "device": device,
        "runtime": runtime.key,
        "origin": origin,
        "space": space,
        "entries": _ROWS.dump_python(entries, mode="json"),
    }
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return f"sha256:{sha256(canonical.encode()).hexdigest()}"
