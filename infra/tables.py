"""Every table, declared once; migrations must equal this (`alembic check`)."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

metadata = MetaData(
    naming_convention={
        "ix": "%(table_name)s_%(column_0_N_name)s_ix",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "pk": "%(table_name)s_pkey",
    }
)


def _at(name: str, *, nullable: bool = False, **options: object) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=nullable, **options)  # type: ignore[arg-type]


def _source(prefix: str, *, nullable: bool = False) -> tuple[Column[object], ...]:
    """Which event a row's facts came from; see `domain.facts.Source`."""
    return (
        Column(f"{prefix}_version", BigInteger, nullable=nullable),
        _at(f"{prefix}_at", nullable=nullable),
        Column(f"{prefix}_rank", SmallInteger, nullable=nullable),
        Column(f"{prefix}_event", Text, nullable=nullable),
    )


#: The queue and the evidence. A row is due while `next_attempt_at` is set; `body` is the exact bytes, encoded as
#: `body_codec` says, kept out of line so that claiming and marking never rewrite it.
inbox = Table(
    "inbox",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("provider", Text, nullable=False),
    Column("event_key", Text, nullable=False),
    Column("event_type", Text, nullable=False),
    Column("account", Text),
    Column("livemode", Boolean),
    Column("api_version", Text),
    _at("occurred_at"),
    _at("received_at", server_default=func.now()),
    #: Which configured secret matched, as a short hash: tells when an old one can go.
    Column("secret_fingerprint", Text),
    Column("body", LargeBinary),
    Column("body_codec", SmallInteger, nullable=False),
    Column("body_bytes", Integer, nullable=False),
    Column("state", Text, nullable=False, server_default="received"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    _at("next_attempt_at", nullable=True, server_default=func.now()),
    #: Backend pid of the connection that claimed the row; with it gone, the claim is void.
    Column("claimed_by", Integer),
    Column("reason", Text),
    #: Groups dead letters: provider, type, error.
    Column("fingerprint", Text),
    _at("finished_at", nullable=True),
    #: What it caused, as keys.
    Column("outcome", JSONB),
    UniqueConstraint("provider", "event_key"),
    CheckConstraint("state in ('received', 'waiting', 'processed', 'ignored', 'dead')", name="state"),
    CheckConstraint("(state in ('received', 'waiting')) = (next_attempt_at is not null)", name="due_while_open"),
    CheckConstraint("attempts >= 0", name="attempts"),
    Index("inbox_due", "next_attempt_at", "id", postgresql_where=text("next_attempt_at is not null")),
    #: Claims of workers that are gone, among however many rows are due.
    Index("inbox_claimed", "next_attempt_at", "id", postgresql_where=text("claimed_by is not null")),
    Index("inbox_state", "state", "event_type", postgresql_where=text("state in ('waiting', 'dead')")),
)

# Customers and whose they are.

customers = Table(
    "customers",
    metadata,
    Column("key", Text, primary_key=True),
    #: The company's own id.
    Column("customer_key", Text, nullable=False, unique=True),
    Column("email", Text),
    Column("name", Text),
    Column("country", Text),
    _at("created_at", server_default=func.now()),
)

#: A customer as a provider knows it. `customer` is null until somebody or something links it.
provider_customers = Table(
    "provider_customers",
    metadata,
    Column("provider", Text, primary_key=True),
    Column("provider_customer_key", Text, primary_key=True),
    Column("customer", Text, ForeignKey("customers.key"), index=True),
    *_source("source", nullable=True),
    *_source("link_source", nullable=True),
    Column("email", Text),
    Column("name", Text),
    Column("country", Text),
    Column("metadata", JSONB),
    Column("deleted", Boolean, nullable=False, server_default="false"),
    _at("created_at", nullable=True),
    #: The earliest description's time.
    _at("described_at", nullable=True),
)

#: What each event said of a provider's customer: what rules on customers read as of a moment.
customer_descriptions = Table(
    "customer_descriptions",
    metadata,
    Column("provider", Text, primary_key=True),
    Column("provider_customer_key", Text, primary_key=True),
    Column("event_key", Text, primary_key=True),
    Column("source_version", BigInteger, nullable=False),
    _at("source_at"),
    Column("source_rank", SmallInteger, nullable=False),
    Column("email", Text),
    Column("name", Text),
    Column("country", Text),
    Column("metadata", JSONB),
    Index("customer_descriptions_by_time", "provider", "provider_customer_key", "source_at"),
)

#: Who said that a customer, provider's customer or subscription (`subject`, see domain.ids) belongs to a partner.
claims = Table(
    "claims",
    metadata,
    Column("subject", Text, primary_key=True),
    Column("cause", Text, primary_key=True),
    Column("partner_key", Text, nullable=False, index=True),
    Column("member_key", Text),
    _at("learnt_at"),
    _at("effective_from", nullable=True),
)

# What the company sets: partners, product book, triggers. Versions are history and never change.

partners = Table(
    "partners",
    metadata,
    Column("partner_key", Text, primary_key=True),
    Column("name", Text),
    Column("email", Text),
    _at("joined_at"),
    _at("created_at", server_default=func.now()),
)

partner_versions = Table(
    "partner_versions",
    metadata,
    Column("partner_key", Text, ForeignKey("partners.partner_key"), primary_key=True),
    Column("version", Integer, primary_key=True),
    _at("effective_from", nullable=True),
    Column("group", Text),
    Column("tags", ARRAY(Text), nullable=False, server_default="{}"),
    Column("country", Text),
    Column("metadata", JSONB, nullable=False, server_default="{}"),
)

product_book = Table(
    "product_book",
    metadata,
    Column("key", Text, primary_key=True),
    Column("external_key", Text, unique=True),
    Column("description", Text),
    Column("needs_review", Boolean, nullable=False, server_default="false"),
    Column("archived", Boolean, nullable=False, server_default="false"),
    _at("created_at", server_default=func.now()),
)

product_book_names = Table(
    "product_book_names",
    metadata,
    Column("key", Text, ForeignKey("product_book.key"), primary_key=True),
    Column("version", Integer, primary_key=True),
    _at("effective_from", nullable=True),
    Column("name", Text, nullable=False),
)

#: Further provider ids (prices, mostly) that lead to an entry.
product_book_aliases = Table(
    "product_book_aliases",
    metadata,
    Column("alias", Text, primary_key=True),
    Column("key", Text, ForeignKey("product_book.key"), nullable=False, index=True),
)

triggers = Table(
    "triggers",
    metadata,
    Column("key", Text, primary_key=True),
    _at("created_at", server_default=func.now()),
)

trigger_versions = Table(
    "trigger_versions",
    metadata,
    Column("key", Text, ForeignKey("triggers.key"), primary_key=True),
    Column("version", Integer, primary_key=True),
    _at("effective_from"),
    #: The trigger as JSON, as the API takes it.
    Column("definition", JSONB, nullable=False),
    _at("created_at", server_default=func.now()),
)

#: One row, one number: raised by every change a person makes to the program, so that workers know to read it again.
program_revision = Table(
    "program_revision",
    metadata,
    Column("one_row", Boolean, primary_key=True, server_default="true"),
    Column("revision", BigInteger, nullable=False, server_default="0"),
    CheckConstraint("one_row", name="one_row"),
)

# Subscriptions and products.

#: What each event showed of a subscription; product status is folded from these and from paid lines.
subscription_snapshots = Table(
    "subscription_snapshots",
    metadata,
    Column("provider", Text, primary_key=True),
    Column("subscription_key", Text, primary_key=True),
    Column("event_key", Text, primary_key=True),
    Column("provider_customer_key", Text, nullable=False),
    _at("effective_at"),
    Column("source_version", BigInteger, nullable=False),
    _at("source_at"),
    Column("source_rank", SmallInteger, nullable=False),
    Column("status", Text, nullable=False),
    Column("provider_status", Text, nullable=False),
    Column("ended", Boolean, nullable=False),
    Column("absorbing", Boolean, nullable=False),
    Column("currency", Text),
    Column("items", JSONB, nullable=False),
    Column("partner_key", Text),
    Column("member_key", Text),
    Column("previous_provider_status", Text),
    Column("previous_items", JSONB),
    #: True: `items` is only the first page.
    Column("items_missing", Boolean, nullable=False),
    CheckConstraint("status in ('none', 'trial', 'active', 'churned')", name="status"),
    Index("subscription_snapshots_by_time", "provider", "subscription_key", "effective_at"),
)

#: One customer's purchase of one product on one subscription, as of now; its past is in `product_history`.
products = Table(
    "products",
    metadata,
    Column("provider", Text, primary_key=True),
    Column("subscription_key", Text, primary_key=True),
    Column("product_key", Text, primary_key=True),
    Column("provider_customer_key", Text),
    Column("status", Text, nullable=False),
    Column("provider_status", Text),
    Column("amount_minor", BigInteger),
    Column("quantity", BigInteger),
    Column("currency", Text),
    Column("price_keys", ARRAY(Text), nullable=False, server_default="{}"),
    _at("purchased_at", nullable=True),
    CheckConstraint("status in ('none', 'trial', 'active', 'churned')", name="status"),
    Index("products_by_customer", "provider", "provider_customer_key"),
)

product_history = Table(
    "product_history",
    metadata,
    Column("provider", Text, primary_key=True),
    Column("subscription_key", Text, primary_key=True),
    Column("product_key", Text, primary_key=True),
    _at("effective_at", primary_key=True),
    Column("status", Text, nullable=False),
    Column("provider_status", Text),
    Column("amount_minor", BigInteger),
    Column("quantity", BigInteger),
    Column("currency", Text),
    Column("price_keys", ARRAY(Text), nullable=False, server_default="{}"),
    CheckConstraint("status in ('none', 'trial', 'active', 'churned')", name="status"),
)

# Money.

transactions = Table(
    "transactions",
    metadata,
    Column("key", Text, primary_key=True),
    Column("provider", Text, nullable=False),
    Column("provider_customer_key", Text),
    Column("currency", Text, nullable=False),
    _at("occurred_at"),
    *_source("source"),
    Column("metadata", JSONB),
    #: Every tax on top of the lines' net.
    Column("tax_minor", BigInteger, nullable=False, server_default="0"),
    CheckConstraint("currency = lower(currency) and length(currency) = 3", name="currency"),
    Index("transactions_by_customer", "provider", "provider_customer_key", "occurred_at"),
    Index("transactions_by_time", "occurred_at", "key"),
)

#: `provider` and `occurred_at` repeat the transaction's, for the look-ups along one product's time line.
transaction_lines = Table(
    "transaction_lines",
    metadata,
    Column("transaction_key", Text, ForeignKey("transactions.key"), primary_key=True),
    Column("line_key", Text, primary_key=True),
    Column("provider", Text, nullable=False),
    Column("subscription_key", Text),
    Column("product_key", Text),
    _at("occurred_at"),
    Column("price_keys", ARRAY(Text), nullable=False, server_default="{}"),
    Column("gross_minor", BigInteger, nullable=False),
    Column("discount_minor", BigInteger, nullable=False),
    Column("quantity", BigInteger),
    Column("recurring", Boolean, nullable=False),
    #: What refunds, credit notes and disputes took back of the net amount.
    Column("reversed_minor", BigInteger, nullable=False, server_default="0"),
    #: The provider's ids of the lines netted here.
    Column("parts", ARRAY(Text), nullable=False, server_default="{}"),
    CheckConstraint(
        "reversed_minor between 0 and greatest(gross_minor - discount_minor, 0)", name="reversed_within_net"
    ),
    Index("transaction_lines_by_subscription", "provider", "subscription_key", "occurred_at"),
    Index("transaction_lines_by_product", "provider", "subscription_key", "product_key", "occurred_at"),
)

#: Which invoice a payment (a charge, a payment intent) settled.
payment_links = Table(
    "payment_links",
    metadata,
    Column("provider", Text, primary_key=True),
    Column("payment_key", Text, primary_key=True),
    Column("invoice_key", Text, nullable=False),
    Index("payment_links_by_invoice", "provider", "invoice_key"),
)

#: Refunds, credit notes and disputes, merged from all that events said of each; see `domain.facts.Reversal`.
reversals = Table(
    "reversals",
    metadata,
    Column("provider", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("reversal_key", Text, primary_key=True),
    *_source("source"),
    Column("currency", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("undone_minor", BigInteger, nullable=False),
    Column("refunded_minor", BigInteger, nullable=False),
    Column("invoice_key", Text),
    Column("payment_keys", ARRAY(Text), nullable=False),
    Column("lines", JSONB, nullable=False),
    Column("provider_customer_key", Text),
    CheckConstraint("kind in ('refund', 'refunded', 'credit_note', 'dispute')", name="kind"),
    Index("reversals_by_invoice", "provider", "invoice_key"),
    Index("reversals_by_payment", "payment_keys", postgresql_using="gin"),
)

#: Where a customer stands after a payment: what the next one is judged with. See `domain.standings`.
standings = Table(
    "standings",
    metadata,
    Column("transaction_key", Text, ForeignKey("transactions.key"), primary_key=True),
    Column("customer", Text, ForeignKey("customers.key"), nullable=False, index=True),
    Column("number", Integer, nullable=False),
    #: Minor units by currency.
    Column("revenue", JSONB, nullable=False),
    #: By trigger key: how often, since when, how much by currency.
    Column("usage", JSONB, nullable=False),
)

#: `amount_minor` is the sum of the entries; the database checks it at every commit.
commissions = Table(
    "commissions",
    metadata,
    Column("key", Text, primary_key=True),
    Column("trigger_key", Text, ForeignKey("triggers.key"), nullable=False),
    Column("trigger_version", Integer, nullable=False),
    #: What it was earned on: an event of `domain.fields.TriggerEvent`, and its key.
    Column("event", Text, nullable=False, server_default="transaction_created"),
    Column("occasion_key", Text, nullable=False),
    #: Null where it was earned on something else than a payment; `subject` finds it again then.
    Column("transaction_key", Text, ForeignKey("transactions.key"), index=True),
    Column("subject", Text),
    Column("line_key", Text),
    Column("partner_key", Text, ForeignKey("partners.partner_key"), nullable=False),
    Column("member_key", Text),
    #: Null where the occasion is the partner's own.
    Column("customer", Text, ForeignKey("customers.key")),
    Column("instalment", Integer, nullable=False, server_default="0"),
    #: 0 for the commission itself, 1.. for what adjusts it after approval.
    Column("part", Integer, nullable=False, server_default="0"),
    Column("adjusts", Text, ForeignKey("commissions.key")),
    Column("state", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("arithmetic", Text, nullable=False),
    Column("offer", Text),
    Column("decline_reason", Text),
    _at("earned_at"),
    #: When an instalment falls due; null: at once.
    _at("due_at", nullable=True),
    _at("created_at", server_default=func.now()),
    ForeignKeyConstraint(["trigger_key", "trigger_version"], ["trigger_versions.key", "trigger_versions.version"]),
    UniqueConstraint(
        "trigger_key",
        "event",
        "occasion_key",
        "line_key",
        "partner_key",
        "currency",
        "instalment",
        "part",
        name="commissions_cause_key",
        postgresql_nulls_not_distinct=True,
    ),
    CheckConstraint(
        "state in ('scheduled', 'pending', 'hold', 'approved', 'paid', 'declined', 'reversed')", name="state"
    ),
    CheckConstraint("(part > 0) = (adjusts is not null)", name="adjusts"),
    CheckConstraint("(state = 'declined') = (decline_reason is not null)", name="decline_reason"),
    CheckConstraint("state <> 'reversed' or amount_minor = 0", name="reversed_is_zero"),
    CheckConstraint("state <> 'scheduled' or due_at is not null", name="scheduled_has_a_day"),
    CheckConstraint("(transaction_key is null) = (subject is not null)", name="found_again"),
    Index("commissions_scheduled", "due_at", "key", postgresql_where=text("state = 'scheduled'")),
    Index("commissions_pending", "earned_at", "key", postgresql_where=text("state = 'pending'")),
    Index("commissions_by_subject", "subject", postgresql_where=text("subject is not null")),
    Index("commissions_by_partner", "partner_key", "created_at"),
    Index("commissions_by_customer", "customer", "created_at"),
)

#: The ledger. Append-only: the database refuses to change or delete a row.
commission_entries = Table(
    "commission_entries",
    metadata,
    Column("commission_key", Text, ForeignKey("commissions.key"), primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("amount_minor", BigInteger, nullable=False),
    Column("balance_minor", BigInteger, nullable=False),
    #: The event that led to it, `stripe:evt_...`, or the program change.
    Column("cause", Text, nullable=False),
    Column("arithmetic", Text),
    _at("booked_at", server_default=func.now()),
    CheckConstraint("amount_minor <> 0", name="says_something"),
)
