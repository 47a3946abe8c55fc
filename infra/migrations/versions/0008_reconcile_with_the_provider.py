"""Keep reconciliations, what they were shown, and up to when each provider's events were listed.

Expands only: an inbox row without a reconciliation was delivered.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Add the tables of reconciliation, and to the inbox which of them stored a row."""
    op.execute("set local lock_timeout = '100ms'")
    op.execute("set local statement_timeout = '10s'")
    _create_reconciliations()
    op.create_table(
        "reconciliation_objects",
        sa.Column("reconciliation_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        _moment("listed_at", nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("body_codec", sa.SmallInteger(), nullable=True),
        sa.Column("body_bytes", sa.Integer(), nullable=True),
        sa.CheckConstraint("kind in ('subscription', 'invoice')", name=op.f("reconciliation_objects_kind_check")),
        sa.ForeignKeyConstraint(
            ["reconciliation_id"],
            ["reconciliations.id"],
            name=op.f("reconciliation_objects_reconciliation_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("reconciliation_id", "kind", "key", name=op.f("reconciliation_objects_pkey")),
    )
    op.create_table(
        "watermarks",
        sa.Column("provider", sa.Text(), nullable=False),
        _moment("listed_until"),
        sa.PrimaryKeyConstraint("provider", name=op.f("watermarks_pkey")),
    )
    op.add_column("inbox", sa.Column("reconciliation_id", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    """Take it back; what reconciliations stored in the inbox stays."""
    op.execute("set local lock_timeout = '100ms'")
    op.execute("set local statement_timeout = '10s'")
    op.drop_column("inbox", "reconciliation_id")
    for table in ("watermarks", "reconciliation_objects", "reconciliations"):
        op.drop_table(table)


def _create_reconciliations() -> None:
    op.create_table(
        "reconciliations",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("dry_run", sa.Boolean(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        _moment("asked_since", nullable=True),
        _moment("events_since", nullable=True),
        _moment("since", nullable=True),
        _moment("until", nullable=True),
        sa.Column("state", sa.Text(), server_default="requested", nullable=False),
        sa.Column("phase", sa.Text(), server_default="events", nullable=False),
        sa.Column("cursor", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        _moment("next_attempt_at", nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("progress", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("found", postgresql.JSONB(), nullable=True),
        sa.Column("report", postgresql.JSONB(), nullable=True),
        _moment("created_at", server_default=sa.text("now()")),
        _moment("finished_at", nullable=True),
        sa.CheckConstraint("scope in ('events', 'whole')", name=op.f("reconciliations_scope_check")),
        sa.CheckConstraint(
            "requested_by in ('schedule', 'api', 'cli')", name=op.f("reconciliations_requested_by_check")
        ),
        sa.CheckConstraint(
            "state in ('requested', 'running', 'finished', 'failed')", name=op.f("reconciliations_state_check")
        ),
        sa.CheckConstraint(
            "(state in ('requested', 'running')) = (next_attempt_at is not null)",
            name=op.f("reconciliations_due_while_open_check"),
        ),
        sa.CheckConstraint(
            "(state in ('finished', 'failed')) = (finished_at is not null)",
            name=op.f("reconciliations_finished_at_check"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("reconciliations_pkey")),
    )
    op.create_index(
        "reconciliations_due",
        "reconciliations",
        ["provider", "id"],
        postgresql_where=sa.text("next_attempt_at is not null"),
    )


def _moment(name: str, *, nullable: bool = False, **options: object) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable, **options)  # type: ignore[arg-type]
