"""Note who is to be erased, and how far that has come.

A new table; older workers do not look at it.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0020"
down_revision: str | None = "0019"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """A table nobody else refers to."""
    op.execute("set local lock_timeout = '100ms'")
    op.execute("set local statement_timeout = '10s'")
    op.create_table(
        "erasures",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("customer", sa.Text(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("after", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("events", postgresql.ARRAY(sa.BigInteger()), server_default="{}", nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("outcome", postgresql.JSONB(), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("erasures_pkey")),
    )
    open_ones = sa.text("finished_at is null")
    op.create_index("erasures_open", "erasures", ["customer"], unique=True, postgresql_where=open_ones)
    op.create_index("erasures_by_customer", "erasures", ["customer", "id"], unique=False)


def downgrade() -> None:
    """Take it back."""
    op.execute("set local lock_timeout = '100ms'")
    op.execute("set local statement_timeout = '10s'")
    op.drop_table("erasures")
