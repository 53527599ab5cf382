"""Visits as they were measured, and how a session's samples came of them.

Of sessions before there are none: their samples were corrected before they were sent.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("sessions", sa.Column("derivation", sa.JSON(none_as_null=True), nullable=True))
    op.create_table(
        "layouts",
        sa.Column("session", sa.Uuid(), nullable=False),
        sa.Column("program", sa.String(200), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["session"], ["sessions.id"], name="fk_layouts_session_sessions"),
        sa.PrimaryKeyConstraint("session", "program", name="pk_layouts"),
    )
    op.create_table(
        "visits",
        sa.Column("session", sa.Uuid(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("program", sa.String(200), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("series", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["session", "program"],
            ["layouts.session", "layouts.program"],
            name="fk_visits_session_layouts",
        ),
        sa.PrimaryKeyConstraint("session", "round", "program", name="pk_visits"),
    )


def downgrade() -> None:
    op.drop_table("visits")
    op.drop_table("layouts")
    with op.batch_alter_table("sessions") as sessions:
        sessions.drop_column("derivation")
