"""Customers, the names providers know them by, and whose they are."""

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, SmallInteger, Table, Text, func, text
from sqlalchemy.dialects.postgresql import JSONB

from infra.tables.columns import at, metadata, source

customers = Table(
    "customers",
    metadata,
    Column("key", Text, primary_key=True),
    #: The company's own id.
    Column("customer_key", Text, nullable=False, unique=True),
    Column("email", Text),
    Column("name", Text),
    Column("country", Text),
    at("created_at", server_default=func.now()),
)

#: A customer as a provider knows it. `customer` is null until somebody or something links it.
provider_customers = Table(
    "provider_customers",
    metadata,
    Column("provider", Text, primary_key=True),
    Column("provider_customer_key", Text, primary_key=True),
    Column("customer", Text, ForeignKey("customers.key"), index=True),
    *source("source", nullable=True),
    *source("link_source", nullable=True),
    Column("email", Text),
    Column("name", Text),
    Column("country", Text),
    Column("metadata", JSONB),
    Column("deleted", Boolean, nullable=False, server_default="false"),
    at("created_at", nullable=True),
    #: The earliest description's time.
    at("described_at", nullable=True),
)

#: What each event said of a provider's customer: what rules on customers read as of a moment.
customer_descriptions = Table(
    "customer_descriptions",
    metadata,
    Column("provider", Text, primary_key=True),
    Column("provider_customer_key", Text, primary_key=True),
    Column("event_key", Text, primary_key=True),
    Column("source_version", BigInteger, nullable=False),
    at("source_at"),
    Column("source_rank", SmallInteger, nullable=False),
    Column("email", Text),
    Column("name", Text),
    Column("country", Text),
    Column("metadata", JSONB),
    Index("customer_descriptions_by_time", "provider", "provider_customer_key", "source_at"),
    #: As `domain.addresses.address_of`; see `infra.ledger.addresses`.
    Index(
        "customer_descriptions_by_address",
        text("translate(btrim(email), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz')"),
    ),
)

#: Who said that a customer, provider's customer or subscription (`subject`, see domain.ids) belongs to a partner.
claims = Table(
    "claims",
    metadata,
    Column("subject", Text, primary_key=True),
    Column("cause", Text, primary_key=True),
    Column("partner_key", Text, nullable=False, index=True),
    Column("member_key", Text),
    at("learnt_at"),
    at("effective_from", nullable=True),
    #: It says what the one before it in its subject said; kept by triggers, see `infra.ledger.claims`.
    Column("repeats", Boolean, nullable=False, server_default="false"),
    Index("claims_by_time", "subject", "learnt_at"),
    Index("claims_that_change", "subject", postgresql_where=text("not repeats")),
)
