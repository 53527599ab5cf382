"""Searches and their epochs; units that are gone stay, with the moment they were lost."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("units", sa.Column("lost_at", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "searches",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("device", sa.String(64), nullable=False),
        sa.Column("runtime", sa.String(255), nullable=False),
        sa.Column("space", sa.String(50), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("heard_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("plan", sa.JSON(), nullable=False),
        sa.Column("figures", sa.JSON(), nullable=True),
        sa.Column("parts", sa.JSON(), nullable=True),
        sa.Column("elsewhere", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["device"], ["devices.name"], name="fk_searches_device_devices"),
        sa.PrimaryKeyConstraint("id", name="pk_searches"),
    )
    op.create_index("ix_searches_started_at", "searches", ["started_at"])
    op.create_index("ix_searches_device", "searches", ["device"])
    op.create_table(
        "search_epochs",
        sa.Column("search", sa.Uuid(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["search"], ["searches.id"], name="fk_search_epochs_search_searches"
        ),
        sa.PrimaryKeyConstraint("search", "epoch", name="pk_search_epochs"),
    )


def downgrade() -> None:
    """Units that are gone are forgotten: the older server takes every unit for attached."""
    op.drop_table("search_epochs")
    op.drop_table("searches")
    op.execute("DELETE FROM units WHERE lost_at IS NOT NULL")
    op.drop_column("units", "lost_at")
