"""Who made what and who did what, tokens that expire, browsers signed in, sessions withdrawn."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

OWNED = ("agents", "jobs", "searches", "sessions")


def upgrade() -> None:
    for table in OWNED:
        op.add_column(table, sa.Column("made_by", sa.String(64), nullable=True))
    op.add_column("sessions", sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("tokens", sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index("ix_jobs_filed_at", "jobs", ["filed_at"])
    op.create_table(
        "sign_ins",
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("token", sa.Uuid(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["token"], ["tokens.id"], name="fk_sign_ins_token_tokens"),
        sa.PrimaryKeyConstraint("sha256", name="pk_sign_ins"),
    )
    op.create_index("ix_sign_ins_expires_at", "sign_ins", ["expires_at"])
    op.create_table(
        "deeds",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("who", sa.String(64), nullable=True),
        sa.Column("what", sa.String(40), nullable=False),
        sa.Column("subject", sa.String(100), nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_deeds"),
    )
    op.create_index("ix_deeds_at", "deeds", ["at"])
    op.create_index("ix_deeds_subject", "deeds", ["subject"])


def downgrade() -> None:
    """The older server knows no withdrawal: it keeps such sessions, though not as rows, until
    they are measured anew. A token that has expired is revoked for it."""
    op.drop_table("deeds")
    op.drop_table("sign_ins")
    op.execute(
        "UPDATE tokens SET revoked_at = expires_at "
        "WHERE revoked_at IS NULL AND expires_at <= CURRENT_TIMESTAMP"
    )
    op.execute("DELETE FROM row_versions WHERE content = 'null'")
    op.drop_index("ix_jobs_filed_at", "jobs")
    with op.batch_alter_table("tokens") as tokens:
        tokens.drop_column("expires_at")
    with op.batch_alter_table("sessions") as sessions:
        sessions.drop_column("withdrawn_at")
    for table in OWNED:
        with op.batch_alter_table(table) as owned:
            owned.drop_column("made_by")
