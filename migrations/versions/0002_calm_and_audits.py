"""Rows rest on calm samples, with an interval and a grade; sessions end; tables are audited."""

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

from contract.estimates import estimate

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_NEW_FIGURES = ("latency_us", "low_us", "high_us", "grade", "calm")
_FIGURES = (*_NEW_FIGURES, "median_us", "p90_us", "min_us", "samples", "rounds")


def upgrade() -> None:
    op.add_column(
        "sessions",
        sa.Column("effort", sa.String(20), nullable=False, server_default="standard"),
    )
    op.add_column("sessions", sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("sessions", sa.Column("conditions_after", sa.JSON(), nullable=True))
    op.add_column("timings", sa.Column("drift", sa.JSON(), nullable=True))
    _make_rows_anew()
    op.create_table(
        "audits",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("device", sa.String(64), nullable=False),
        sa.Column("runtime", sa.String(255), nullable=False),
        sa.Column("space", sa.String(50), nullable=False),
        sa.Column("origin", sa.String(20), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("summary", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["device"], ["devices.name"], name="fk_audits_device_devices"),
        sa.PrimaryKeyConstraint("id", name="pk_audits"),
    )
    op.create_index("ix_audits_device", "audits", ["device"])


def downgrade() -> None:
    op.drop_table("audits")
    for figure in _NEW_FIGURES:
        op.drop_column("rows", figure)
    op.drop_column("timings", "drift")
    for field in ("conditions_after", "ended_at", "effort"):
        op.drop_column("sessions", field)


def _make_rows_anew() -> None:
    """Compute every row from its raw samples.

    A row whose samples are not kept, or give no figures, leaves the table: nothing is invented.
    No other table refers to this one, so it can be dropped.
    """
    rows = list(_computed_rows(op.get_bind()))
    op.drop_table("rows")
    table = op.create_table(
        "rows",
        *_kept_columns(),
        sa.Column("latency_us", sa.Double(), nullable=False),
        sa.Column("low_us", sa.Double(), nullable=False),
        sa.Column("high_us", sa.Double(), nullable=False),
        sa.Column("grade", sa.String(1), nullable=False),
        sa.Column("median_us", sa.Double(), nullable=False),
        sa.Column("p90_us", sa.Double(), nullable=False),
        sa.Column("min_us", sa.Double(), nullable=False),
        sa.Column("samples", sa.Integer(), nullable=False),
        sa.Column("calm", sa.Integer(), nullable=False),
        sa.Column("rounds", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["device"], ["devices.name"], name="fk_rows_device_devices"),
        sa.ForeignKeyConstraint(["session"], ["sessions.id"], name="fk_rows_session_sessions"),
        sa.PrimaryKeyConstraint("device", "runtime", "origin", "operator", name="pk_rows"),
    )
    op.bulk_insert(table, rows)


def _computed_rows(connection: sa.Connection) -> Iterator[dict[str, Any]]:
    row = sa.table("rows", *(sa.column(kept.name, kept.type) for kept in _kept_columns()))
    timing = sa.table(
        "timings",
        sa.column("session", sa.Uuid()),
        sa.column("operator", sa.String()),
        sa.column("rounds_us", sa.JSON()),
    )
    samples_of_row = sa.and_(
        timing.c.session == row.c.session,
        timing.c.operator == row.c.operator,
        timing.c.rounds_us.is_not(None),
    )
    for found in connection.execute(
        sa.select(row, timing.c.rounds_us).join(timing, samples_of_row)
    ).mappings():
        kept = dict(found)
        try:
            figures = estimate(kept.pop("rounds_us"))
        except ValueError:
            continue
        yield {**kept, **{name: getattr(figures, name) for name in _FIGURES}}


def _kept_columns() -> list[sa.Column[Any]]:
    """What a row knows besides its figures."""
    return [
        sa.Column("device", sa.String(64), nullable=False),
        sa.Column("runtime", sa.String(255), nullable=False),
        sa.Column("origin", sa.String(20), nullable=False),
        sa.Column("operator", sa.String(100), nullable=False),
        sa.Column("session", sa.Uuid(), nullable=False),
        sa.Column("measured_at", sa.DateTime(timezone=True), nullable=False),
    ]
