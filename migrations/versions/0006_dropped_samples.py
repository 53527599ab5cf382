"""Raw samples may be dropped: a timing then keeps its figures and a digest of the samples."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.add_column(
        "timings", sa.Column("samples_dropped_at", sa.DateTime(timezone=True), nullable=True)
    )
    op.add_column("timings", sa.Column("figures", sa.JSON(), nullable=True))
    op.add_column("timings", sa.Column("samples_digest", sa.String(64), nullable=True))


def downgrade() -> None:
    """Timings whose samples were dropped stay, without figures; rows are not touched."""
    for column in ("samples_digest", "figures", "samples_dropped_at"):
        op.drop_column("timings", column)
