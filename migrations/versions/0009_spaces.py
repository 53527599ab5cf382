"""Spaces that a server learned: of those that ship with it there is no row."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "spaces",
        sa.Column("name", sa.String(50), nullable=False),
        sa.Column("content_hash", sa.String(64), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("learned_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("made_by", sa.String(64), nullable=True),
        sa.PrimaryKeyConstraint("name", name="pk_spaces"),
    )


def downgrade() -> None:
    """The older server knows the spaces that ship alone, and shows no page of other sessions."""
    op.drop_table("spaces")
