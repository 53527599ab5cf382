"""Agents, their units, and the jobs that wait for them; sessions tell which phone it was."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "agents",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("host", sa.String(200), nullable=False),
        sa.Column("version", sa.String(50), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_agents"),
    )
    op.create_table(
        "units",
        sa.Column("device", sa.String(64), nullable=False),
        sa.Column("serial", sa.String(100), nullable=False),
        sa.Column("agent", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["agent"], ["agents.id"], name="fk_units_agent_agents"),
        sa.PrimaryKeyConstraint("device", "serial", name="pk_units"),
    )
    op.create_index("ix_units_agent", "units", ["agent"])
    op.create_table(
        "jobs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("device", sa.String(64), nullable=False),
        sa.Column("runtime", sa.String(255), nullable=False),
        sa.Column("work", sa.JSON(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("most_attempts", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("forgiven", sa.Integer(), nullable=False),
        sa.Column("filed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("agent", sa.Uuid(), nullable=True),
        sa.Column("unit", sa.String(100), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("progress", sa.JSON(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("estimate", sa.JSON(), nullable=True),
        sa.Column("outcome", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(["device"], ["devices.name"], name="fk_jobs_device_devices"),
        sa.ForeignKeyConstraint(["agent"], ["agents.id"], name="fk_jobs_agent_agents"),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
    )
    op.create_index("ix_jobs_device_state", "jobs", ["device", "state"])
    held = sa.text("expires_at IS NOT NULL")
    op.create_index(
        "uq_jobs_unit_held",
        "jobs",
        ["device", "unit"],
        unique=True,
        sqlite_where=held,
        postgresql_where=held,
    )
    op.add_column("sessions", sa.Column("unit", sa.String(100), nullable=True))


def downgrade() -> None:
    op.drop_column("sessions", "unit")
    for table in ("jobs", "units", "agents"):
        op.drop_table(table)
