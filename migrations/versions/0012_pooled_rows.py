"""Rows that rest on several sessions, and what each of them says."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0012"
down_revision: str | None = "0011"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("rows", sa.Column("sessions", sa.Integer(), nullable=False, server_default="1"))
    for name in ("newest", "pool"):
        op.add_column("rows", sa.Column(name, sa.JSON(none_as_null=True), nullable=True))


def downgrade() -> None:
    """Rows keep the figures that they have: an older server tells them as of their newest
    session."""
    with op.batch_alter_table("rows") as rows:
        for name in ("pool", "newest", "sessions"):
            rows.drop_column(name)
