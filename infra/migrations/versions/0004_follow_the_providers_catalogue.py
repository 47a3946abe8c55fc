"""Let product book entries follow what the provider's catalogue says of them.

Expand first, backfill in batches, contract in a later release: old and new processes run side by side.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Keep every description, and from when on an entry follows them."""
    # Give way to the traffic rather than make it queue: the upgrade is tried again when the lock is not to be had.
    op.execute("set local lock_timeout = '100ms'")
    op.execute("set local statement_timeout = '10s'")
    op.create_table(
        "product_descriptions",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("product_key", sa.Text(), nullable=False),
        sa.Column("event_key", sa.Text(), nullable=False),
        sa.Column("source_version", sa.BigInteger(), nullable=False),
        sa.Column("source_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("source_rank", sa.SmallInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("archived", sa.Boolean(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("provider", "product_key", "event_key", name=op.f("product_descriptions_pkey")),
    )
    op.add_column("product_book", sa.Column("follows_provider_from", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    """Take it back; names that entries took from the provider stay theirs."""
    op.execute("set local lock_timeout = '100ms'")
    op.execute("set local statement_timeout = '10s'")
    op.drop_column("product_book", "follows_provider_from")
    op.drop_table("product_descriptions")
