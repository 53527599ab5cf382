"""Every row that a table ever had is kept, and what each snapshot's id stands for; sources."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from alembic import op

from contract.spaces import SPACE_NAMES, space

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_FIGURES = (
    "latency_us",
    "low_us",
    "high_us",
    "grade",
    "median_us",
    "p90_us",
    "min_us",
    "samples",
    "calm",
    "rounds",
)


def upgrade() -> None:
    op.add_column("sessions", sa.Column("source", sa.String(500), nullable=True))
    op.add_column("rows", sa.Column("version", sa.Integer(), nullable=False, server_default="0"))
    versions = op.create_table(
        "row_versions",
        sa.Column("device", sa.String(64), nullable=False),
        sa.Column("runtime", sa.String(255), nullable=False),
        sa.Column("origin", sa.String(20), nullable=False),
        sa.Column("operator", sa.String(100), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["device"], ["devices.name"], name="fk_row_versions_device_devices"
        ),
        sa.PrimaryKeyConstraint(
            "device", "runtime", "origin", "operator", "revision", name="pk_row_versions"
        ),
    )
    snapshots = op.create_table(
        "snapshots",
        sa.Column("id", sa.String(71), nullable=False),
        sa.Column("device", sa.String(64), nullable=False),
        sa.Column("runtime", sa.String(255), nullable=False),
        sa.Column("origin", sa.String(20), nullable=False),
        sa.Column("space", sa.String(50), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("session", sa.Uuid(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["device"], ["devices.name"], name="fk_snapshots_device_devices"),
        sa.PrimaryKeyConstraint("id", name="pk_snapshots"),
    )
    op.create_index("ix_snapshots_table", "snapshots", ["device", "runtime", "origin", "revision"])
    _keep_current_tables(versions, snapshots)


def downgrade() -> None:
    op.drop_table("snapshots")
    op.drop_table("row_versions")
    op.drop_column("rows", "version")
    op.drop_column("sessions", "source")


def _keep_current_tables(versions: sa.Table, snapshots: sa.Table) -> None:
    """The tables of today are the first that can be served again; rows so far have version 0."""
    connection = op.get_bind()
    row = sa.table(
        "rows",
        *(sa.column(name) for name in ("device", "runtime", "origin", "operator", *_FIGURES)),
        sa.column("session", sa.Uuid()),
        sa.column("measured_at", sa.DateTime(timezone=True)),
    )
    found = connection.execute(
        sa.select(row).order_by(row.c.device, row.c.runtime, row.c.origin, row.c.operator)
    ).mappings()
    tables = groupby(found, key=lambda each: (each["device"], each["runtime"], each["origin"]))
    for (device, runtime, origin), its_rows in tables:
        rows = {each["operator"]: each for each in its_rows}
        contents = {operator: _content(each) for operator, each in rows.items()}
        whose = {"device": device, "runtime": runtime, "origin": origin, "revision": 0}
        op.bulk_insert(
            versions,
            [
                {**whose, "operator": operator, "content": content}
                for operator, content in contents.items()
            ],
        )
        newest = max(rows.values(), key=lambda each: each["measured_at"])
        op.bulk_insert(
            snapshots,
            [
                {
                    **whose,
                    "id": _id(device, runtime, origin, name, [contents[key] for key in keys]),
                    "space": name,
                    "rows": len(keys),
                    "session": newest["session"],
                    "made_at": datetime.now(UTC),
                }
                for name, keys in _views(contents)
            ],
        )


def _views(contents: dict[str, str]) -> Iterator[tuple[str | None, list[str]]]:
    """The whole table, and each space that has rows, with the keys in order."""
    yield None, sorted(contents)
    for name in SPACE_NAMES:
        keys = [operator.key for operator in space(name).operators if operator.key in contents]
        if keys:
            yield name, keys


def _content(row: sa.RowMapping) -> str:
    measured_at: datetime = row["measured_at"]
    if measured_at.tzinfo is not None:
        measured_at = measured_at.astimezone(UTC).replace(tzinfo=None)
    return _canonical(
        {
            **{name: row[name] for name in ("operator", "origin", *_FIGURES)},
            "session": str(row["session"]),
            "measured_at": f"{measured_at.isoformat()}Z",
        }
    )


def _id(device: str, runtime: str, origin: str, space: str | None, entries: Sequence[str]) -> str:
    document = (
        f'{{"device":{_canonical(device)},"entries":[{",".join(entries)}],'
        f'"origin":{_canonical(origin)},"runtime":{_canonical(runtime)},'
        f'"space":{_canonical(space)}}}'
    )
    return f"sha256:{sha256(document.encode()).hexdigest()}"


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
