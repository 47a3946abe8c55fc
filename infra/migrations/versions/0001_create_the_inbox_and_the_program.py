"""Create the inbox, and the program that a company sets: customers, partners, product book, triggers.

Bodies lie out of line, so that claiming and marking a row never rewrites them; a trigger's versions never change.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

TABLES = (
    "claims",
    "customers",
    "inbox",
    "partners",
    "product_book",
    "program_revision",
    "triggers",
    "partner_versions",
    "product_book_aliases",
    "product_book_names",
    "provider_customers",
    "trigger_versions",
)

# Bodies live out of line, uncompressed by the server: claiming and marking a row never rewrites them.
OUT_OF_LINE = """
alter table inbox alter column body set storage external;
alter table inbox set (toast_tuple_target = 128, fillfactor = 70,
                       autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05)
"""

NEVER_CHANGED = """
create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% is append-only: a correction is a new row', tg_table_name using errcode = 'restrict_violation';
end $$;
create trigger trigger_versions_append_only before update or delete on trigger_versions
    for each row execute function refuse_change()
"""


def upgrade() -> None:
    """Every table, then what holds it to its word."""
    op.execute("set local lock_timeout = '100ms'")
    op.execute("set local statement_timeout = '10s'")
    _create_claims()
    _create_customers()
    _create_inbox()
    _index_inbox()
    _create_partners()
    _create_product_book()
    _create_program_revision()
    _create_triggers()
    _create_partner_versions()
    _create_product_book_aliases()
    _create_product_book_names()
    _create_provider_customers()
    _create_trigger_versions()
    op.execute("insert into program_revision default values")
    for block in (OUT_OF_LINE, NEVER_CHANGED):
        op.execute(block)


def downgrade() -> None:
    """Take it back."""
    op.execute("set local lock_timeout = '100ms'")
    op.execute("set local statement_timeout = '10s'")
    for table in reversed(TABLES):
        op.drop_table(table)
    op.execute("drop function refuse_change")


def _create_claims() -> None:
    op.create_table(
        "claims",
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("partner_key", sa.Text(), nullable=False),
        sa.Column("member_key", sa.Text(), nullable=True),
        sa.Column("learnt_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("effective_from", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("subject", "cause", name=op.f("claims_pkey")),
    )
    op.create_index(op.f("claims_partner_key_ix"), "claims", ["partner_key"], unique=False)


def _create_customers() -> None:
    op.create_table(
        "customers",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("customer_key", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("country", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("customers_pkey")),
        sa.UniqueConstraint("customer_key", name=op.f("customers_customer_key_key")),
    )


def _create_inbox() -> None:
    op.create_table(
        "inbox",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("event_key", sa.Text(), nullable=False),
        sa.Column("event_type", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=True),
        sa.Column("livemode", sa.Boolean(), nullable=True),
        sa.Column("api_version", sa.Text(), nullable=True),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("secret_fingerprint", sa.Text(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("body_codec", sa.SmallInteger(), nullable=False),
        sa.Column("body_bytes", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), server_default="received", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=True),
        sa.Column("claimed_by", sa.Integer(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("fingerprint", sa.Text(), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.CheckConstraint(
            "(state in ('received', 'waiting')) = (next_attempt_at is not null)",
            name=op.f("inbox_due_while_open_check"),
        ),
        sa.CheckConstraint(
            "state in ('received', 'waiting', 'processed', 'ignored', 'dead')", name=op.f("inbox_state_check")
        ),
        sa.CheckConstraint("attempts >= 0", name=op.f("inbox_attempts_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("inbox_pkey")),
        sa.UniqueConstraint("provider", "event_key", name=op.f("inbox_provider_event_key_key")),
    )


def _index_inbox() -> None:
    op.create_index(
        "inbox_due",
        "inbox",
        ["next_attempt_at", "id"],
        unique=False,
        postgresql_where=sa.text("next_attempt_at is not null"),
    )
    op.create_index(
        "inbox_claimed",
        "inbox",
        ["next_attempt_at", "id"],
        unique=False,
        postgresql_where=sa.text("claimed_by is not null"),
    )
    op.create_index(
        "inbox_state",
        "inbox",
        ["state", "event_type"],
        unique=False,
        postgresql_where=sa.text("state in ('waiting', 'dead')"),
    )


def _create_partners() -> None:
    op.create_table(
        "partners",
        sa.Column("partner_key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("joined_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("partner_key", name=op.f("partners_pkey")),
    )


def _create_product_book() -> None:
    op.create_table(
        "product_book",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("external_key", sa.Text(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("needs_review", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("archived", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("product_book_pkey")),
        sa.UniqueConstraint("external_key", name=op.f("product_book_external_key_key")),
    )


def _create_program_revision() -> None:
    op.create_table(
        "program_revision",
        sa.Column("one_row", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("revision", sa.BigInteger(), server_default="0", nullable=False),
        sa.CheckConstraint("one_row", name=op.f("program_revision_one_row_check")),
        sa.PrimaryKeyConstraint("one_row", name=op.f("program_revision_pkey")),
    )


def _create_triggers() -> None:
    op.create_table(
        "triggers",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("triggers_pkey")),
    )


def _create_partner_versions() -> None:
    op.create_table(
        "partner_versions",
        sa.Column("partner_key", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("effective_from", sa.DateTime(timezone=True), nullable=True),
        sa.Column("group", sa.Text(), nullable=True),
        sa.Column("tags", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("country", sa.Text(), nullable=True),
        sa.Column("metadata", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.ForeignKeyConstraint(
            ["partner_key"], ["partners.partner_key"], name=op.f("partner_versions_partner_key_fkey")
        ),
        sa.PrimaryKeyConstraint("partner_key", "version", name=op.f("partner_versions_pkey")),
    )


def _create_product_book_aliases() -> None:
    op.create_table(
        "product_book_aliases",
        sa.Column("alias", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["key"], ["product_book.key"], name=op.f("product_book_aliases_key_fkey")),
        sa.PrimaryKeyConstraint("alias", name=op.f("product_book_aliases_pkey")),
    )
    op.create_index(op.f("product_book_aliases_key_ix"), "product_book_aliases", ["key"], unique=False)


def _create_product_book_names() -> None:
    op.create_table(
        "product_book_names",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("effective_from", sa.DateTime(timezone=True), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["key"], ["product_book.key"], name=op.f("product_book_names_key_fkey")),
        sa.PrimaryKeyConstraint("key", "version", name=op.f("product_book_names_pkey")),
    )


def _create_provider_customers() -> None:
    op.create_table(
        "provider_customers",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("provider_customer_key", sa.Text(), nullable=False),
        sa.Column("customer", sa.Text(), nullable=True),
        sa.Column("source_version", sa.BigInteger(), nullable=True),
        sa.Column("source_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("source_rank", sa.SmallInteger(), nullable=True),
        sa.Column("source_event", sa.Text(), nullable=True),
        sa.Column("link_source_version", sa.BigInteger(), nullable=True),
        sa.Column("link_source_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("link_source_rank", sa.SmallInteger(), nullable=True),
        sa.Column("link_source_event", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("country", sa.Text(), nullable=True),
        sa.Column("metadata", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("deleted", sa.Boolean(), server_default="false", nullable=False),
        sa.ForeignKeyConstraint(["customer"], ["customers.key"], name=op.f("provider_customers_customer_fkey")),
        sa.PrimaryKeyConstraint("provider", "provider_customer_key", name=op.f("provider_customers_pkey")),
    )
    op.create_index(op.f("provider_customers_customer_ix"), "provider_customers", ["customer"], unique=False)


def _create_trigger_versions() -> None:
    op.create_table(
        "trigger_versions",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("effective_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("definition", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["key"], ["triggers.key"], name=op.f("trigger_versions_key_fkey")),
        sa.PrimaryKeyConstraint("key", "version", name=op.f("trigger_versions_pkey")),
    )
