"""Subscriptions as events showed them, and the products folded from them."""

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Index, SmallInteger, Table, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from infra.tables.columns import at, metadata

#: What each event showed of a subscription; product status is folded from these and from paid lines.
subscription_snapshots = Table(
    "subscription_snapshots",
    metadata,
    Column("provider", Text, primary_key=True),
    Column("subscription_key", Text, primary_key=True),
    Column("event_key", Text, primary_key=True),
    Column("provider_customer_key", Text, nullable=False),
    at("effective_at"),
    Column("source_version", BigInteger, nullable=False),
    at("source_at"),
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
    at("purchased_at", nullable=True),
    #: When its history begins; null only in rows of before there was this column.
    at("seen_at", nullable=True),
    CheckConstraint("status in ('none', 'trial', 'active', 'churned')", name="status"),
    Index("products_by_customer", "provider", "provider_customer_key"),
    Index("products_by_time", text("coalesce(seen_at, purchased_at)")),
)

product_history = Table(
    "product_history",
    metadata,
    Column("provider", Text, primary_key=True),
    Column("subscription_key", Text, primary_key=True),
    Column("product_key", Text, primary_key=True),
    at("effective_at", primary_key=True),
    Column("status", Text, nullable=False),
    Column("provider_status", Text),
    Column("amount_minor", BigInteger),
    Column("quantity", BigInteger),
    Column("currency", Text),
    Column("price_keys", ARRAY(Text), nullable=False, server_default="{}"),
    CheckConstraint("status in ('none', 'trial', 'active', 'churned')", name="status"),
)
