"""Compare what takes money back with the provider's: three more kinds of objects that it shows.

Expands only: what older processes write still fits.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0016"
down_revision: str | None = "0015"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_KINDS = "'subscription', 'invoice'"


def upgrade() -> None:
    """Let the kind be `refund`, `credit_note` or `dispute`, too; what is there fits already."""
    _let(f"{_KINDS}, 'refund', 'credit_note', 'dispute'")


def downgrade() -> None:
    """Take it back; a run that is open shows them again."""
    op.execute(f"delete from reconciliation_objects where kind not in ({_KINDS})")
    _let(_KINDS)


def _let(kinds: str) -> None:
    op.execute("set local lock_timeout = '100ms'")
    op.execute("set local statement_timeout = '10s'")
    op.drop_constraint(op.f("reconciliation_objects_kind_check"), "reconciliation_objects", type_="check")
    op.create_check_constraint(
        op.f("reconciliation_objects_kind_check"), "reconciliation_objects", f"kind in ({kinds})"
    )
