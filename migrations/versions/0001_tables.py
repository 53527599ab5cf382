"""The first tables: devices, sessions, timings, and the current rows and failures."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0001"
down_revision: str | None = None
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "devices",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("soc", sa.String(200), nullable=False),
        sa.Column("cores", sa.Integer(), nullable=False),
        sa.Column("memory_bytes", sa.BigInteger(), nullable=False),
        sa.Column("os", sa.String(200), nullable=False),
        sa.Column("registered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("default_runtime", sa.String(255), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_devices"),
    )
    op.create_table(
        "sessions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("device", sa.String(64), nullable=False),
        sa.Column("runtime", sa.String(255), nullable=False),
        sa.Column("space", sa.String(50), nullable=False),
        sa.Column("origin", sa.String(20), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("agent_version", sa.String(50), nullable=False),
        sa.Column("conditions", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["device"], ["devices.name"], name="fk_sessions_device_devices"),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
    )
    op.create_index("ix_sessions_device", "sessions", ["device"])
    op.create_table(
        "timings",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("session", sa.Uuid(), nullable=False),
        sa.Column("operator", sa.String(100), nullable=False),
        sa.Column("measured_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rounds_us", sa.JSON(), nullable=True),
        sa.Column("failure_code", sa.String(50), nullable=True),
        sa.Column("failure_message", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["session"], ["sessions.id"], name="fk_timings_session_sessions"),
        sa.PrimaryKeyConstraint("id", name="pk_timings"),
        sa.UniqueConstraint("session", "operator", name="uq_timings_session_operator"),
    )
    op.create_table(
        "rows",
        *_current_operator("rows"),
        sa.Column("median_us", sa.Double(), nullable=False),
        sa.Column("p90_us", sa.Double(), nullable=False),
        sa.Column("min_us", sa.Double(), nullable=False),
        sa.Column("samples", sa.Integer(), nullable=False),
        sa.Column("rounds", sa.Integer(), nullable=False),
    )
    op.create_table(
        "failures",
        *_current_operator("failures"),
        sa.Column("code", sa.String(50), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
    )


def downgrade() -> None:
    for table in ("failures", "rows", "timings", "sessions", "devices"):
        op.drop_table(table)


def _current_operator(table: str) -> list[sa.schema.SchemaItem]:
    """What `rows` and `failures` have in common."""
    return [
        sa.Column("device", sa.String(64), nullable=False),
        sa.Column("runtime", sa.String(255), nullable=False),
        sa.Column("origin", sa.String(20), nullable=False),
        sa.Column("operator", sa.String(100), nullable=False),
        sa.Column("session", sa.Uuid(), nullable=False),
        sa.Column("measured_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["device"], ["devices.name"], name=f"fk_{table}_device_devices"),
        sa.ForeignKeyConstraint(["session"], ["sessions.id"], name=f"fk_{table}_session_sessions"),
        sa.PrimaryKeyConstraint("device", "runtime", "origin", "operator", name=f"pk_{table}"),
    ]
