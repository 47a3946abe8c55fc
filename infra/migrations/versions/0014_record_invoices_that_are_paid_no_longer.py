"""Record invoices that are paid no longer: one more kind of reversal.

Expands only: what older processes write still fits.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0014"
down_revision: str | None = "0013"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_KINDS = "'refund', 'refunded', 'credit_note', 'dispute'"


def upgrade() -> None:
    """Let the kind be `unpaid`, too; what is there fits already."""
    _let(f"{_KINDS}, 'unpaid'")


def downgrade() -> None:
    """Take it back."""
    op.execute("delete from reversals where kind = 'unpaid'")
    _let(_KINDS)


def _let(kinds: str) -> None:
    op.execute("set local lock_timeout = '100ms'")
    op.execute("set local statement_timeout = '10s'")
    op.drop_constraint(op.f("reversals_kind_check"), "reversals", type_="check")
    op.create_check_constraint(op.f("reversals_kind_check"), "reversals", f"kind in ({kinds})")
