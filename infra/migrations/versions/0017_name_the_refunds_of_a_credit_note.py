"""Name the refunds that paid a credit note out, so that one that failed can be told from the others.

Expands only: what older processes write names none.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0017"
down_revision: str | None = "0016"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Add a column with a constant default, which rewrites nothing."""
    op.execute("set local lock_timeout = '100ms'")
    op.execute("set local statement_timeout = '10s'")
    op.add_column("reversals", sa.Column("refunds", postgresql.JSONB(), nullable=False, server_default="[]"))


def downgrade() -> None:
    """Take it back."""
    op.execute("set local lock_timeout = '100ms'")
    op.execute("set local statement_timeout = '10s'")
    op.drop_column("reversals", "refunds")
