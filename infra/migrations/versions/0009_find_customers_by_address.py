"""Find customers by their e-mail address, capitals and spaces around it aside.

An index over what was said of them: linking by e-mail asks who ever had an address.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

ADDRESS = "translate(btrim(email), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz')"


def upgrade() -> None:
    """Add the index."""
    # Give way to the traffic rather than make it queue: the upgrade is tried again when the lock is not to be had.
    op.execute("set local lock_timeout = '100ms'")
    op.execute("set local statement_timeout = '10s'")
    op.create_index("customer_descriptions_by_address", "customer_descriptions", [sa.text(ADDRESS)])


def downgrade() -> None:
    """Take it back."""
    op.execute("set local lock_timeout = '100ms'")
    op.execute("set local statement_timeout = '10s'")
    op.drop_index("customer_descriptions_by_address", "customer_descriptions")
