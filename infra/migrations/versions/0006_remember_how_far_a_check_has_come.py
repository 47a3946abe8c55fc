"""Remember how far a check of the invariants has come, and what it found.

A new table, which no older process knows.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """One row per check."""
    op.execute("set local lock_timeout = '100ms'")
    op.execute("set local statement_timeout = '10s'")
    op.create_table(
        "checks",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("room", sa.Text(), nullable=False),
        sa.Column("after", sa.Text(), server_default="", nullable=False),
        sa.Column("transactions_count", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("commissions_count", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("events_count", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("breaches", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
        sa.Column("more_breaches", sa.Boolean(), server_default="false", nullable=False),
        sa.CheckConstraint("room in ('payments', 'occasions', 'inbox')", name=op.f("checks_room_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("checks_pkey")),
    )


def downgrade() -> None:
    """Take it back."""
    op.execute("set local lock_timeout = '100ms'")
    op.execute("set local statement_timeout = '10s'")
    op.drop_table("checks")
