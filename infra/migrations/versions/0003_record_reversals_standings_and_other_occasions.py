"""Record reversals, standings, what was said of customers, and commissions on other occasions than payments.

Expands only: old rows keep their meaning, new columns have defaults that say what was so before.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

OLD_CAUSE = ("trigger_key", "transaction_key", "line_key", "partner_key", "currency", "instalment", "part")
ADDED = {
    "commissions": ("event", "occasion_key", "subject", "due_at"),
    "transaction_lines": ("reversed_minor", "parts"),
    "transactions": ("tax_minor",),
    "provider_customers": ("created_at", "described_at"),
}
CAUSE = ("trigger_key", "event", "occasion_key", "line_key", "partner_key", "currency", "instalment", "part")


def upgrade() -> None:
    """Add what rules on customers, reversals, limits, drips and other occasions need."""
    _limit_waiting()
    _describe_customers()
    _record_reversals()
    _take_back_of_lines()
    _keep_standings()
    _widen_commissions()
    _check_commissions()


def downgrade() -> None:
    """Take it back. Refused while there are commissions on other occasions than payments."""
    _limit_waiting()
    for table in ("standings", "reversals", "payment_links", "customer_descriptions"):
        op.drop_table(table)
    for index in ("commissions_scheduled", "commissions_pending", "commissions_by_subject"):
        op.drop_index(index, "commissions")
    for name in ("scheduled_has_a_day", "found_again"):
        op.drop_constraint(op.f(f"commissions_{name}_check"), "commissions", type_="check")
    op.drop_constraint("commissions_cause_key", "commissions", type_="unique")
    op.alter_column("commissions", "transaction_key", nullable=False)
    op.alter_column("commissions", "customer", nullable=False)
    op.create_unique_constraint("commissions_cause_key", "commissions", OLD_CAUSE, postgresql_nulls_not_distinct=True)
    op.drop_constraint(op.f("transaction_lines_reversed_within_net_check"), "transaction_lines", type_="check")
    for table, columns in ADDED.items():
        for column in columns:
            op.drop_column(table, column)


def _limit_waiting() -> None:
    op.execute("set local lock_timeout = '100ms'")
    op.execute("set local statement_timeout = '10s'")


def _moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _describe_customers() -> None:
    op.add_column("provider_customers", _moment("created_at", nullable=True))
    op.add_column("provider_customers", _moment("described_at", nullable=True))
    op.execute("update provider_customers set created_at = source_at, described_at = source_at")
    op.create_table(
        "customer_descriptions",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("provider_customer_key", sa.Text(), nullable=False),
        sa.Column("event_key", sa.Text(), nullable=False),
        sa.Column("source_version", sa.BigInteger(), nullable=False),
        _moment("source_at"),
        sa.Column("source_rank", sa.SmallInteger(), nullable=False),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("country", sa.Text(), nullable=True),
        sa.Column("metadata", postgresql.JSONB(), nullable=True),
        sa.PrimaryKeyConstraint(
            "provider", "provider_customer_key", "event_key", name=op.f("customer_descriptions_pkey")
        ),
    )
    op.create_index(
        "customer_descriptions_by_time", "customer_descriptions", ["provider", "provider_customer_key", "source_at"]
    )
    op.execute("""
        insert into customer_descriptions (provider, provider_customer_key, event_key, source_version, source_at,
            source_rank, email, name, country, metadata)
        select provider, provider_customer_key, source_event, source_version, source_at, source_rank, email, name,
            country, metadata
        from provider_customers where source_event is not null
    """)


def _record_reversals() -> None:
    op.create_table(
        "payment_links",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("payment_key", sa.Text(), nullable=False),
        sa.Column("invoice_key", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("provider", "payment_key", name=op.f("payment_links_pkey")),
    )
    op.create_index("payment_links_by_invoice", "payment_links", ["provider", "invoice_key"])
    op.create_table(
        "reversals",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("reversal_key", sa.Text(), nullable=False),
        sa.Column("source_version", sa.BigInteger(), nullable=False),
        _moment("source_at"),
        sa.Column("source_rank", sa.SmallInteger(), nullable=False),
        sa.Column("source_event", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("undone_minor", sa.BigInteger(), nullable=False),
        sa.Column("refunded_minor", sa.BigInteger(), nullable=False),
        sa.Column("invoice_key", sa.Text(), nullable=True),
        sa.Column("payment_keys", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("lines", postgresql.JSONB(), nullable=False),
        sa.Column("provider_customer_key", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "kind in ('refund', 'refunded', 'credit_note', 'dispute')", name=op.f("reversals_kind_check")
        ),
        sa.PrimaryKeyConstraint("provider", "kind", "reversal_key", name=op.f("reversals_pkey")),
    )
    op.create_index("reversals_by_invoice", "reversals", ["provider", "invoice_key"])
    op.create_index("reversals_by_payment", "reversals", ["payment_keys"], postgresql_using="gin")


def _take_back_of_lines() -> None:
    op.add_column("transactions", sa.Column("tax_minor", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("transaction_lines", sa.Column("reversed_minor", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column(
        "transaction_lines", sa.Column("parts", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False)
    )
    op.create_check_constraint(
        op.f("transaction_lines_reversed_within_net_check"),
        "transaction_lines",
        "reversed_minor between 0 and greatest(gross_minor - discount_minor, 0)",
    )


def _keep_standings() -> None:
    op.create_table(
        "standings",
        sa.Column("transaction_key", sa.Text(), nullable=False),
        sa.Column("customer", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("revenue", postgresql.JSONB(), nullable=False),
        sa.Column("usage", postgresql.JSONB(), nullable=False),
        sa.ForeignKeyConstraint(["customer"], ["customers.key"], name=op.f("standings_customer_fkey")),
        sa.ForeignKeyConstraint(["transaction_key"], ["transactions.key"], name=op.f("standings_transaction_key_fkey")),
        sa.PrimaryKeyConstraint("transaction_key", name=op.f("standings_pkey")),
    )
    op.create_index(op.f("standings_customer_ix"), "standings", ["customer"])


def _widen_commissions() -> None:
    op.add_column("commissions", sa.Column("event", sa.Text(), server_default="transaction_created", nullable=False))
    op.add_column("commissions", sa.Column("occasion_key", sa.Text(), nullable=True))
    op.add_column("commissions", sa.Column("subject", sa.Text(), nullable=True))
    op.add_column("commissions", _moment("due_at", nullable=True))
    op.execute("update commissions set occasion_key = transaction_key")
    op.alter_column("commissions", "occasion_key", nullable=False)
    op.alter_column("commissions", "transaction_key", nullable=True)
    op.alter_column("commissions", "customer", nullable=True)


def _check_commissions() -> None:
    op.drop_constraint("commissions_cause_key", "commissions", type_="unique")
    op.create_unique_constraint("commissions_cause_key", "commissions", CAUSE, postgresql_nulls_not_distinct=True)
    op.create_check_constraint(
        op.f("commissions_scheduled_has_a_day_check"), "commissions", "state <> 'scheduled' or due_at is not null"
    )
    op.create_check_constraint(
        op.f("commissions_found_again_check"), "commissions", "(transaction_key is null) = (subject is not null)"
    )
    op.create_index(
        "commissions_scheduled", "commissions", ["due_at", "key"], postgresql_where=sa.text("state = 'scheduled'")
    )
    op.create_index(
        "commissions_pending", "commissions", ["earned_at", "key"], postgresql_where=sa.text("state = 'pending'")
    )
    op.create_index(
        "commissions_by_subject", "commissions", ["subject"], postgresql_where=sa.text("subject is not null")
    )
