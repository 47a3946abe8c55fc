"""List commissions by time without sorting all of them.

The API's list is newest first, a page at a time.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """An index on when a commission was booked."""
    op.execute("set local lock_timeout = '100ms'")
    op.execute("set local statement_timeout = '10s'")
    op.create_index("commissions_by_time", "commissions", ["created_at", "key"], unique=False)


def downgrade() -> None:
    """Take it back."""
    op.execute("set local lock_timeout = '100ms'")
    op.execute("set local statement_timeout = '10s'")
    op.drop_index("commissions_by_time", "commissions")
