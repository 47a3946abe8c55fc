"""Payments, what was taken back of them, and where customers stand after each."""

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, ForeignKey, Index, Integer, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from infra.tables.columns import at, metadata, source

transactions = Table(
    "transactions",
    metadata,
    Column("key", Text, primary_key=True),
    Column("provider", Text, nullable=False),
    Column("provider_customer_key", Text),
    Column("currency", Text, nullable=False),
    at("occurred_at"),
    *source("source"),
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
    at("occurred_at"),
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
    *source("source"),
    Column("currency", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("undone_minor", BigInteger, nullable=False),
    Column("refunded_minor", BigInteger, nullable=False),
    #: Of a credit note: [the refund's id, minor units] of each that the provider names.
    Column("refunds", JSONB, nullable=False, server_default="[]"),
    Column("invoice_key", Text),
    Column("payment_keys", ARRAY(Text), nullable=False),
    Column("lines", JSONB, nullable=False),
    Column("provider_customer_key", Text),
    CheckConstraint("kind in ('refund', 'refunded', 'credit_note', 'dispute', 'unpaid')", name="kind"),
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
