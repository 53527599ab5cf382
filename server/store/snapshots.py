"""Snapshots: tables as they once were.

Whoever changes a table's rows keeps them and names the tables that come of it, in the same
transaction; readers only find them (`docs/decisions/0009`).
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session as DbSession
from sqlalchemy.orm import aliased

from contract.estimates import Estimate
from contract.problems import NO_TABLE
from contract.runtime import Runtime
from contract.sessions import Origin
from contract.snapshots import SnapshotSummary
from contract.tables import NewestFigures, Row
from server.database.records import RowRecord, RowVersion, SessionRecord, SnapshotRecord
from server.database.upserts import insert_many, keep_newest
from server.errors import NotFound
from server.store.devices import find_device
from server.store.pooling import SessionFigures, pooled
from server.store.spaces import known_spaces

MOST_SNAPSHOTS = 100  # in one listing
_ABSENT = {"sessions": 1, "newest": None}  # what a row on one session leaves out
NO_ROW = "null"  # the content of a row's version from which on there is none

# A version with the row's key: of one device, runtime, origin and operator. As a subquery of the
# rows it is one look into the index for each; as a join SQLite would read the whole history.
_SAME_ROW = and_(
    RowVersion.device == RowRecord.device,
    RowVersion.runtime == RowRecord.runtime,
    RowVersion.origin == RowRecord.origin,
    RowVersion.operator == RowRecord.operator,
)


class Figures(NamedTuple):
    """What the newest timing says of an operator, and what it and those before say together: the
    newest first; nothing where it counts alone, as in imported tables."""

    operator: str
    session: UUID
    measured_at: datetime
    estimate: Estimate
    pool: tuple[SessionFigures, ...] = ()

    def row(self, origin: Origin) -> Row:
        known = {
            "operator": self.operator,
            "measured_at": self.measured_at.astimezone(UTC),
            "origin": origin,
            "session": self.session,
        }
        own = self.estimate.model_dump()
        if not self.pool:
            return Row(**known, **own)
        pool = pooled(self.pool)
        newest = {name: own[name] for name in NewestFigures.model_fields}
        return Row(
            **known,
            **own | pool._asdict(),
            newest=NewestFigures(**newest) if pool.sessions > 1 else None,
        )


def keep_rows(
    session: DbSession,
    sitting: SessionRecord,
    found: Sequence[Figures],
    *,
    revision: int,
    now: datetime,
    gone: Sequence[str] = (),
) -> None:
    """Replace the operators' rows, unless later measurements made them; name the new tables.

    `revision` is the device's, counted up in this transaction. The operators `gone` have had a
    row, and have none from now on.
    """
    table = {"device": sitting.device, "runtime": sitting.runtime, "origin": sitting.origin}
    rows = {figures.operator: figures.row(sitting.origin) for figures in found}
    changed = (
        keep_newest(
            session,
            RowRecord,
            [
                {
                    **table,
                    **_ABSENT,
                    **rows[figures.operator].model_dump(),
                    "pool": [each.model_dump(mode="json") for each in figures.pool] or None,
                    "version": revision,
                }
                for figures in found
            ],
        )
        if rows
        else set()
    )
    versions = {operator: _row_text(row) for operator, row in rows.items() if operator in changed}
    versions |= dict.fromkeys(gone, NO_ROW)
    insert_many(
        session,
        RowVersion,
        [
            {**table, "operator": operator, "revision": revision, "content": content}
            for operator, content in versions.items()
        ],
    )
    if versions:
        _name_tables(session, sitting, list(versions), revision=revision, now=now)


def snapshot_id(
    device: str, runtime: str, origin: Origin, space: str | None, entries: Sequence[str]
) -> str:
    """A name for exactly these rows, each as canonical JSON.

    It is the hash of one canonical JSON document, which anyone can make from a table's JSON.
    """
    fields = {
        "device": canonical(device),
        "entries": f"[{','.join(entries)}]",
        "origin": canonical(origin),
        "runtime": canonical(runtime),
        "space": canonical(space),
    }
    document = ",".join(f'"{name}":{value}' for name, value in fields.items())
    return f"sha256:{sha256(f'{{{document}}}'.encode()).hexdigest()}"


def _row_text(row: Row) -> str:
    return canonical(row.model_dump(mode="json"))


def canonical(value: object) -> str:
    """JSON with sorted keys and no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def find_snapshot(
    session: DbSession, device: str, snapshot: str, *, origin: Origin
) -> SnapshotRecord:
    """What that id stands for.

    Raises:
        NotFound: no such device, or no such table of it with rows of that origin.
    """
    find_device(session, device)
    record = session.get(SnapshotRecord, snapshot)
    if record is None or (record.device, record.origin) != (device, origin):
        raise NotFound(
            f"no table of {device} with {origin} rows has the snapshot {snapshot}; "
            f"`GET /lut/{device}/snapshots` lists what each session left, and without "
            "`snapshot` the current table is served",
            type=NO_TABLE,
        )
    return record


def rows_at(
    session: DbSession, device: str, runtime: str, origin: Origin, *, revision: int
) -> dict[str, Row]:
    """The rows that the table had at that revision of its device, by operator."""
    of_table = (
        RowVersion.device == device,
        RowVersion.runtime == runtime,
        RowVersion.origin == origin,
    )
    # Each operator by one look into the index, however often it was measured.
    first = select(func.min(RowVersion.operator).label("operator")).where(*of_table)
    ever = first.cte(recursive=True)
    after = aliased(RowVersion)
    following = (
        select(func.min(after.operator))
        .where(
            after.device == device,
            after.runtime == runtime,
            after.origin == origin,
            after.operator > ever.c.operator,
        )
        .scalar_subquery()
    )
    ever = ever.union_all(select(following).where(ever.c.operator.is_not(None)))
    newest = (
        select(RowVersion.content)
        .where(*of_table, RowVersion.operator == ever.c.operator, RowVersion.revision <= revision)
        .order_by(RowVersion.revision.desc())
        .limit(1)
        .scalar_subquery()
    )
    found = session.scalars(select(newest).select_from(ever))
    contents = (content for content in found if content not in (None, NO_ROW))
    rows = map(Row.model_validate_json, contents)
    return {row.operator: row for row in rows}


def snapshots(
    session: DbSession,
    device: str,
    *,
    runtime: str | None,
    space: str | None,
    origin: Origin,
) -> list[SnapshotSummary]:
    """What each session left of the device's tables, newest first, at most 100.

    Under any runtime unless one is given, of whole tables unless a space is.

    Raises:
        NotFound: no such device.
    """
    find_device(session, device)
    of_table = [
        SnapshotRecord.device == device,
        SnapshotRecord.origin == origin,
        SnapshotRecord.space.is_(None) if space is None else SnapshotRecord.space == space,
    ]
    if runtime is not None:
        of_table.append(SnapshotRecord.runtime == runtime)
    last = (
        select(func.max(SnapshotRecord.revision)).where(*of_table).group_by(SnapshotRecord.session)
    )
    found = session.scalars(
        select(SnapshotRecord)
        .where(*of_table, SnapshotRecord.revision.in_(last))
        .order_by(SnapshotRecord.revision.desc())
        .limit(MOST_SNAPSHOTS)
    )
    return [
        SnapshotSummary(
            snapshot=record.id,
            runtime=Runtime.parse(record.runtime),
            origin=record.origin,
            space=record.space,
            rows=record.rows,
            session=record.session,
            made_at=record.made_at,
        )
        for record in found
    ]


def _name_tables(
    session: DbSession,
    sitting: SessionRecord,
    changed: Sequence[str],
    *,
    revision: int,
    now: datetime,
) -> None:
    """Remember the ids of the whole table and of each space that holds a changed operator."""
    table = (sitting.device, sitting.runtime, sitting.origin)
    contents = _current(session, *table)
    spaces = known_spaces(session)
    named = [
        _named(*table, space, order, contents, revision=revision, session=sitting.id, now=now)
        for space, order in [
            (None, sorted(contents)),
            *((space, spaces.keys(space)) for space in spaces.that_need(changed)),
        ]
    ]
    insert_many(session, SnapshotRecord, named)


def name_tables_of_device(
    session: DbSession, device: str, *, revision: int, now: datetime
) -> None:
    """Remember the ids of all the device's tables: whole, and of each space with rows there."""
    spaces = known_spaces(session)
    with_rows = session.execute(
        select(RowRecord.runtime, RowRecord.origin).where(RowRecord.device == device).distinct()
    )
    for runtime, origin in with_rows.all():
        contents = _current(session, device, runtime, origin)
        newest = (
            select(RowRecord.session)
            .filter_by(device=device, runtime=runtime, origin=origin)
            .order_by(RowRecord.measured_at.desc())
            .limit(1)
        )
        source = session.scalars(newest).one()
        wholes = [(None, sorted(contents))]
        parts = [(each, spaces.keys(each)) for each in spaces.that_need(list(contents))]
        named = [
            _named(
                *(device, runtime, origin, space, order),
                contents,
                revision=revision,
                session=source,
                now=now,
            )
            for space, order in [*wholes, *parts]
        ]
        insert_many(session, SnapshotRecord, named)


def name_tables_of_space(session: DbSession, space: str, now: datetime) -> None:
    """Remember the ids of the tables that have rows of a space which is new to the server."""
    keys = known_spaces(session).keys(space)
    columns = (RowRecord.device, RowRecord.runtime, RowRecord.origin)
    with_rows = session.execute(select(*columns).where(RowRecord.operator.in_(keys)).distinct())
    for device, runtime, origin in with_rows.all():
        newest = (
            select(RowRecord.session)
            .where(
                RowRecord.device == device,
                RowRecord.runtime == runtime,
                RowRecord.origin == origin,
                RowRecord.operator.in_(keys),
            )
            .order_by(RowRecord.measured_at.desc())
            .limit(1)
        )
        named = _named(
            *(device, runtime, origin, space, keys),
            _current(session, device, runtime, origin),
            revision=find_device(session, device).revision,
            session=session.scalars(newest).one(),
            now=now,
        )
        insert_many(session, SnapshotRecord, [named])


def _named(
    device: str,
    runtime: str,
    origin: Origin,
    space: str | None,
    order: Sequence[str],
    contents: Mapping[str, str],
    *,
    revision: int,
    session: UUID,
    now: datetime,
) -> dict[str, object]:
    """The record of a table whose rows have these contents, by operator."""
    entries = [contents[operator] for operator in order if operator in contents]
    return {
        "id": snapshot_id(device, runtime, origin, space, entries),
        "device": device,
        "runtime": runtime,
        "origin": origin,
        "space": space,
        "revision": revision,
        "rows": len(entries),
        "session": session,
        "made_at": now,
    }


def _current(session: DbSession, device: str, runtime: str, origin: Origin) -> Mapping[str, str]:
    """The content of each current row of a table, by operator."""
    content = (
        select(RowVersion.content)
        .where(_SAME_ROW, RowVersion.revision == RowRecord.version)
        .scalar_subquery()
    )
    found = session.execute(
        select(RowRecord.operator, content).where(
            RowRecord.device == device,
            RowRecord.runtime == runtime,
            RowRecord.origin == origin,
        )
    )
    return {operator: content for operator, content in found}
