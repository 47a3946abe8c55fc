"""Keep the secrets that signed for an endpoint before its present one, for as long as they still do.

Expands only: older processes sign with the present secret alone.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0018"
down_revision: str | None = "0017"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Make a table; the reference to endpoints holds their table for the moment it takes to write it down."""
    op.execute("set local lock_timeout = '100ms'")
    op.execute("set local statement_timeout = '10s'")
    op.create_table(
        "webhook_earlier_secrets",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("endpoint_key", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("signs_until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("webhook_earlier_secrets_pkey")),
        sa.ForeignKeyConstraint(
            ["endpoint_key"], ["webhook_endpoints.key"], name=op.f("webhook_earlier_secrets_endpoint_key_fkey")
        ),
    )


def downgrade() -> None:
    """Take it back."""
    op.execute("set local lock_timeout = '100ms'")
    op.execute("set local statement_timeout = '10s'")
    op.drop_table("webhook_earlier_secrets")
