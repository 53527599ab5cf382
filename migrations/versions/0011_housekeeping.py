"""Devices renamed and retired, units retired, notes on sessions."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0011"
down_revision: str | None = "0010"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    for table in ("devices", "units"):
        op.add_column(table, sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("snapshots", sa.Column("device_then", sa.String(64), nullable=True))
    op.create_table(
        "former_names",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("device", sa.String(64), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["device"], ["devices.name"], name="fk_former_names_device_devices"
        ),
        sa.PrimaryKeyConstraint("name", name="pk_former_names"),
    )
    op.create_index("ix_former_names_device", "former_names", ["device"])
    op.create_table(
        "notes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("session", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("who", sa.String(64), nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["session"], ["sessions.id"], name="fk_notes_session_sessions"),
        sa.PrimaryKeyConstraint("id", name="pk_notes"),
    )
    op.create_index("ix_notes_session", "notes", ["session"])


def downgrade() -> None:
    """The older server knows a renamed device by its present name alone, and gives jobs to what
    was retired."""
    op.drop_table("notes")
    op.drop_table("former_names")
    with op.batch_alter_table("snapshots") as snapshots:
        snapshots.drop_column("device_then")
    for table in ("devices", "units"):
        with op.batch_alter_table(table) as retiring:
            retiring.drop_column("retired_at")
