"""Create the recorded facts of subscriptions and payments, and the ledger.

What the domain promises the database enforces: an entry is never changed, a commission is the sum of its entries, an
approved amount stands.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

TABLES = (
    "product_history",
    "products",
    "subscription_snapshots",
    "transactions",
    "transaction_lines",
    "commissions",
    "commission_entries",
)

#: One commission per cause; `part` tells what adjusts it after approval.
CAUSE = ("trigger_key", "transaction_key", "line_key", "partner_key", "currency", "instalment", "part")

NEVER_CHANGED = """
create trigger commission_entries_append_only before update or delete on commission_entries
    for each row execute function refuse_change();
create trigger commission_entries_never_emptied before truncate on commission_entries
    for each statement execute function refuse_change()
"""

SETTLED_STANDS = """
create function refuse_settled_change() returns trigger language plpgsql as $$
begin
    if old.state in ('approved', 'paid', 'declined') and new.amount_minor <> old.amount_minor then
        raise exception 'commission % is %: its amount stands, adjust it by a new commission', old.key, old.state
            using errcode = 'restrict_violation';
    end if;
    return new;
end $$;
create trigger commissions_settled_stand before update on commissions
    for each row execute function refuse_settled_change()
"""

# Deferred: within a transaction a commission and its entry are written one after the other.
SUM_OF_ENTRIES = """
create function check_sum_of_entries() returns trigger language plpgsql as $$
declare
    touched text := case tg_table_name when 'commissions' then to_jsonb(new) ->> 'key'
                                       else to_jsonb(new) ->> 'commission_key' end;
    amount bigint;
    total bigint;
begin
    select amount_minor into amount from commissions where key = touched;
    select coalesce(sum(amount_minor), 0) into total from commission_entries where commission_key = touched;
    if amount is distinct from total then
        raise exception 'commission % says %, its entries add up to %', touched, amount, total
            using errcode = 'check_violation';
    end if;
    return null;
end $$;
create constraint trigger commissions_are_their_entries after insert or update of amount_minor on commissions
    deferrable initially deferred for each row execute function check_sum_of_entries();
create constraint trigger entries_make_their_commission after insert on commission_entries
    deferrable initially deferred for each row execute function check_sum_of_entries()
"""


def upgrade() -> None:
    """Every table, then what holds it to its word."""
    op.execute("set local lock_timeout = '100ms'")
    op.execute("set local statement_timeout = '10s'")
    _create_product_history()
    _create_products()
    _create_subscription_snapshots()
    _create_transactions()
    _create_transaction_lines()
    _create_commissions()
    _index_commissions()
    _create_commission_entries()
    for block in (NEVER_CHANGED, SETTLED_STANDS, SUM_OF_ENTRIES):
        op.execute(block)


def downgrade() -> None:
    """Take it back."""
    op.execute("set local lock_timeout = '100ms'")
    op.execute("set local statement_timeout = '10s'")
    for table in reversed(TABLES):
        op.drop_table(table)
    for function in ("refuse_settled_change", "check_sum_of_entries"):
        op.execute(f"drop function {function}")


def _create_product_history() -> None:
    op.create_table(
        "product_history",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("subscription_key", sa.Text(), nullable=False),
        sa.Column("product_key", sa.Text(), nullable=False),
        sa.Column("effective_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("provider_status", sa.Text(), nullable=True),
        sa.Column("amount_minor", sa.BigInteger(), nullable=True),
        sa.Column("quantity", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("price_keys", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.CheckConstraint(
            "status in ('none', 'trial', 'active', 'churned')", name=op.f("product_history_status_check")
        ),
        sa.PrimaryKeyConstraint(
            "provider", "subscription_key", "product_key", "effective_at", name=op.f("product_history_pkey")
        ),
    )


def _create_products() -> None:
    op.create_table(
        "products",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("subscription_key", sa.Text(), nullable=False),
        sa.Column("product_key", sa.Text(), nullable=False),
        sa.Column("provider_customer_key", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("provider_status", sa.Text(), nullable=True),
        sa.Column("amount_minor", sa.BigInteger(), nullable=True),
        sa.Column("quantity", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("price_keys", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("purchased_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("status in ('none', 'trial', 'active', 'churned')", name=op.f("products_status_check")),
        sa.PrimaryKeyConstraint("provider", "subscription_key", "product_key", name=op.f("products_pkey")),
    )
    op.create_index("products_by_customer", "products", ["provider", "provider_customer_key"], unique=False)


def _create_subscription_snapshots() -> None:
    op.create_table(
        "subscription_snapshots",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("subscription_key", sa.Text(), nullable=False),
        sa.Column("event_key", sa.Text(), nullable=False),
        sa.Column("provider_customer_key", sa.Text(), nullable=False),
        sa.Column("effective_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("source_version", sa.BigInteger(), nullable=False),
        sa.Column("source_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("source_rank", sa.SmallInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("provider_status", sa.Text(), nullable=False),
        sa.Column("ended", sa.Boolean(), nullable=False),
        sa.Column("absorbing", sa.Boolean(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("items", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("partner_key", sa.Text(), nullable=True),
        sa.Column("member_key", sa.Text(), nullable=True),
        sa.Column("previous_provider_status", sa.Text(), nullable=True),
        sa.Column("previous_items", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("items_missing", sa.Boolean(), nullable=False),
        sa.CheckConstraint(
            "status in ('none', 'trial', 'active', 'churned')", name=op.f("subscription_snapshots_status_check")
        ),
        sa.PrimaryKeyConstraint("provider", "subscription_key", "event_key", name=op.f("subscription_snapshots_pkey")),
    )
    op.create_index(
        "subscription_snapshots_by_time",
        "subscription_snapshots",
        ["provider", "subscription_key", "effective_at"],
        unique=False,
    )


def _create_transactions() -> None:
    op.create_table(
        "transactions",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("provider_customer_key", sa.Text(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("source_version", sa.BigInteger(), nullable=False),
        sa.Column("source_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("source_rank", sa.SmallInteger(), nullable=False),
        sa.Column("source_event", sa.Text(), nullable=False),
        sa.Column("metadata", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.CheckConstraint(
            "currency = lower(currency) and length(currency) = 3", name=op.f("transactions_currency_check")
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("transactions_pkey")),
    )
    op.create_index(
        "transactions_by_customer", "transactions", ["provider", "provider_customer_key", "occurred_at"], unique=False
    )
    op.create_index("transactions_by_time", "transactions", ["occurred_at", "key"], unique=False)


def _create_transaction_lines() -> None:
    op.create_table(
        "transaction_lines",
        sa.Column("transaction_key", sa.Text(), nullable=False),
        sa.Column("line_key", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("subscription_key", sa.Text(), nullable=True),
        sa.Column("product_key", sa.Text(), nullable=True),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("price_keys", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("gross_minor", sa.BigInteger(), nullable=False),
        sa.Column("discount_minor", sa.BigInteger(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=True),
        sa.Column("recurring", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["transaction_key"], ["transactions.key"], name=op.f("transaction_lines_transaction_key_fkey")
        ),
        sa.PrimaryKeyConstraint("transaction_key", "line_key", name=op.f("transaction_lines_pkey")),
    )
    op.create_index(
        "transaction_lines_by_product",
        "transaction_lines",
        ["provider", "subscription_key", "product_key", "occurred_at"],
        unique=False,
    )
    op.create_index(
        "transaction_lines_by_subscription",
        "transaction_lines",
        ["provider", "subscription_key", "occurred_at"],
        unique=False,
    )


def _create_commissions() -> None:
    op.create_table(
        "commissions",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("trigger_key", sa.Text(), nullable=False),
        sa.Column("trigger_version", sa.Integer(), nullable=False),
        sa.Column("transaction_key", sa.Text(), nullable=False),
        sa.Column("line_key", sa.Text(), nullable=True),
        sa.Column("partner_key", sa.Text(), nullable=False),
        sa.Column("member_key", sa.Text(), nullable=True),
        sa.Column("customer", sa.Text(), nullable=False),
        sa.Column("instalment", sa.Integer(), server_default="0", nullable=False),
        sa.Column("part", sa.Integer(), server_default="0", nullable=False),
        sa.Column("adjusts", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("arithmetic", sa.Text(), nullable=False),
        sa.Column("offer", sa.Text(), nullable=True),
        sa.Column("decline_reason", sa.Text(), nullable=True),
        sa.Column("earned_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "(state = 'declined') = (decline_reason is not null)", name=op.f("commissions_decline_reason_check")
        ),
        sa.CheckConstraint("state <> 'reversed' or amount_minor = 0", name=op.f("commissions_reversed_is_zero_check")),
        sa.CheckConstraint(
            "state in ('scheduled', 'pending', 'hold', 'approved', 'paid', 'declined', 'reversed')",
            name=op.f("commissions_state_check"),
        ),
        sa.CheckConstraint("(part > 0) = (adjusts is not null)", name=op.f("commissions_adjusts_check")),
        sa.ForeignKeyConstraint(["adjusts"], ["commissions.key"], name=op.f("commissions_adjusts_fkey")),
        sa.ForeignKeyConstraint(["customer"], ["customers.key"], name=op.f("commissions_customer_fkey")),
        sa.ForeignKeyConstraint(["partner_key"], ["partners.partner_key"], name=op.f("commissions_partner_key_fkey")),
        sa.ForeignKeyConstraint(
            ["transaction_key"], ["transactions.key"], name=op.f("commissions_transaction_key_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["trigger_key", "trigger_version"],
            ["trigger_versions.key", "trigger_versions.version"],
            name=op.f("commissions_trigger_key_trigger_version_fkey"),
        ),
        sa.ForeignKeyConstraint(["trigger_key"], ["triggers.key"], name=op.f("commissions_trigger_key_fkey")),
        sa.PrimaryKeyConstraint("key", name=op.f("commissions_pkey")),
        sa.UniqueConstraint(*CAUSE, name="commissions_cause_key", postgresql_nulls_not_distinct=True),
    )


def _index_commissions() -> None:
    op.create_index("commissions_by_customer", "commissions", ["customer", "created_at"], unique=False)
    op.create_index("commissions_by_partner", "commissions", ["partner_key", "created_at"], unique=False)
    op.create_index(op.f("commissions_transaction_key_ix"), "commissions", ["transaction_key"], unique=False)


def _create_commission_entries() -> None:
    op.create_table(
        "commission_entries",
        sa.Column("commission_key", sa.Text(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("balance_minor", sa.BigInteger(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("arithmetic", sa.Text(), nullable=True),
        sa.Column("booked_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("amount_minor <> 0", name=op.f("commission_entries_says_something_check")),
        sa.ForeignKeyConstraint(
            ["commission_key"], ["commissions.key"], name=op.f("commission_entries_commission_key_fkey")
        ),
        sa.PrimaryKeyConstraint("commission_key", "seq", name=op.f("commission_entries_pkey")),
    )
