"""Latency tables, read from the current rows and audits and never from the history."""

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session as DbSession

from contract.audits import AuditSummary
from contract.imports import ImportedFrom
from contract.problems import NO_TABLE
from contract.runtime import Runtime
from contract.sessions import Origin
from contract.snapshots import TableDiff, difference
from contract.tables import Device, FailedOperator, LatencyTable, Row, RuntimeSummary
from contract.timings import Failure
from contract.values import Value
from server.database.records import (
    AuditRecord,
    DeviceRecord,
    FailureRecord,
    RowRecord,
    SessionRecord,
)
from server.errors import NotFound, Unprocessable, unknown
from server.store.devices import find_device, nothing_measured
from server.store.snapshots import canonical, find_snapshot, rows_at, snapshot_id
from server.store.spaces import known_spaces

_ROW_FIELDS = tuple(Row.model_fields)
_ROW_COLUMNS = tuple(getattr(RowRecord, field) for field in _ROW_FIELDS)
# All rows in one call each way: several times faster than a call per row.
_ROWS = TypeAdapter(tuple[Row, ...])


class Asked(Value):
    """One table at one revision of its device."""

    device: str
    revision: int
    runtime: Runtime
    space: str | None
    origin: Origin
    snapshot: str | None = None  # of the table as it was at that revision; None: as it is
    device_then: str | None = None  # what that table calls the device, if not the same


def ask(
    session: DbSession,
    device: str,
    *,
    runtime: str | None = None,
    space: str | None = None,
    origin: Origin = "measured",
    snapshot: str | None = None,
) -> Asked:
    """The table under the runtime with that key, or under the device's default one.

    Rows of another origin need no runtime where they have only one. With a snapshot: the table
    that once had it.

    Raises:
        NotFound: no such device, space or snapshot, or no runtime given and nothing measured yet.
        Unprocessable: not a runtime's key, or not the runtime or the space of the snapshot.
    """
    if snapshot is not None:
        return _ask_again(session, device, snapshot, runtime=runtime, space=space, origin=origin)
    record = find_device(session, device)
    key = runtime if runtime is not None else _default_runtime(session, record, origin)
    if key is None:
        raise nothing_measured(device)
    return Asked(
        device=device,
        revision=record.revision,
        runtime=parse_runtime(key),
        space=None if space is None else known_spaces(session).find(space).name,
        origin=origin,
    )


def read(session: DbSession, asked: Asked) -> LatencyTable:
    """The table's current rows: of a space in its order, or all, sorted by key.

    A snapshot is its rows alone, and so never changes: it tells of no failures and no audit.
    """
    rows = _rows(session, asked) if asked.snapshot is None else _rows_then(session, asked)
    wanted = None if asked.space is None else known_spaces(session).keys(asked.space)
    order = wanted if wanted is not None else sorted(rows)
    entries = tuple(rows[operator] for operator in order if operator in rows)
    missing = tuple(operator for operator in order if operator not in rows)
    return LatencyTable(
        schema_version=1,
        device=asked.device_then or asked.device,
        runtime=asked.runtime,
        origin=asked.origin,
        space=asked.space,
        complete=None if wanted is None else not missing,
        missing=None if wanted is None else missing,
        failures=tuple(
            failed
            for failed in (_failures(session, asked) if asked.snapshot is None else ())
            if failed.operator not in rows and (wanted is None or failed.operator in wanted)
        ),
        snapshot=asked.snapshot or _snapshot(asked, entries),
        audit=_latest_audit(session, asked) if asked.snapshot is None else None,
        sources=_sources(session, entries) if asked.origin == "imported" else (),
        entries=entries,
    )


def difference_of(
    session: DbSession, device: str, *, before: str, after: str | None, origin: Origin
) -> TableDiff:
    """The table with the snapshot `before` against that with `after`, or as it is now.

    Raises:
        NotFound: no such device or snapshot.
    """
    old = read(session, ask(session, device, origin=origin, snapshot=before))
    if after is None:
        now = ask(session, device, runtime=old.runtime.key, space=old.space, origin=origin)
    else:
        now = ask(session, device, origin=origin, snapshot=after)
    return difference(old, read(session, now)).evolve(device=device)


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


def find_summary(found: Device, runtime: str) -> RuntimeSummary:
    """The table under the runtime with that key, or under the default one.

    Raises:
        NotFound: nothing was measured under that runtime.
        Unprocessable: not a runtime's key.
    """
    if not runtime:
        default = (summary for summary in found.runtimes if summary.is_default)
        return next(default, found.runtimes[0])
    key = parse_runtime(runtime).key
    by_key = {summary.key: summary for summary in found.runtimes}
    if key not in by_key:
        raise unknown(f"table of {found.name} under runtime", key, list(by_key))
    return by_key[key]


def _ask_again(
    session: DbSession,
    device: str,
    snapshot: str,
    *,
    runtime: str | None,
    space: str | None,
    origin: Origin,
) -> Asked:
    found = find_snapshot(session, device, snapshot, origin=origin)
    for kind, given, its in (("runtime", runtime, found.runtime), ("space", space, found.space)):
        if given not in (None, its):
            raise Unprocessable(
                f"{snapshot} is a table of {kind} {its or 'any'}, not {given}; leave `{kind}` out"
            )
    return Asked(
        device=device,
        revision=found.revision,
        runtime=parse_runtime(found.runtime),
        space=found.space,
        origin=origin,
        snapshot=snapshot,
        device_then=found.device_then,
    )


def _default_runtime(session: DbSession, device: DeviceRecord, origin: Origin) -> str | None:
    """The runtime served when none is asked for; None where nothing was measured.

    Raises:
        NotFound: the device has no rows of that origin, and no default runtime.
        Unprocessable: rows of that origin have several runtimes, none of them the default one.
    """
    if origin == "measured":
        return device.default_runtime
    of_origin = session.scalars(
        select(RowRecord.runtime)
        .where(RowRecord.device == device.name, RowRecord.origin == origin)
        .distinct()
    ).all()
    if not of_origin and device.default_runtime is None:
        raise NotFound(f"{device.name} has no {origin} rows", type=NO_TABLE)
    if not of_origin or device.default_runtime in of_origin:
        return device.default_runtime
    if len(of_origin) > 1:
        raise Unprocessable(
            f"{origin} rows of {device.name} have several runtimes; name one with `runtime`: "
            f"{', '.join(sorted(of_origin))}"
        )
    return of_origin[0]


def _rows_then(session: DbSession, asked: Asked) -> dict[str, Row]:
    return rows_at(session, asked.device, asked.runtime.key, asked.origin, revision=asked.revision)


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


def _sources(session: DbSession, rows: tuple[Row, ...]) -> tuple[ImportedFrom, ...]:
    """Where imported rows come from, the oldest first."""
    sittings = {row.session for row in rows}
    found = session.execute(
        select(SessionRecord.source, SessionRecord.started_at)
        .where(SessionRecord.id.in_(sittings))
        .order_by(SessionRecord.started_at, SessionRecord.source)
        .distinct()
    )
    told = (ImportedFrom(source=source, date=at.date()) for source, at in found if source)
    return tuple(dict.fromkeys(told))


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
    rows = _ROWS.dump_python(entries, mode="json")
    return snapshot_id(
        asked.device, asked.runtime.key, asked.origin, asked.space, list(map(canonical, rows))
    )
