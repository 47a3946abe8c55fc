"""What the company sets: partners, product book, triggers. Versions are history and never change."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Integer,
    SmallInteger,
    Table,
    Text,
    func,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from infra.tables.columns import at, metadata

partners = Table(
    "partners",
    metadata,
    Column("partner_key", Text, primary_key=True),
    Column("name", Text),
    Column("email", Text),
    at("joined_at"),
    at("created_at", server_default=func.now()),
)

partner_versions = Table(
    "partner_versions",
    metadata,
    Column("partner_key", Text, ForeignKey("partners.partner_key"), primary_key=True),
    Column("version", Integer, primary_key=True),
    at("effective_from", nullable=True),
    Column("group", Text),
    Column("tags", ARRAY(Text), nullable=False, server_default="{}"),
    Column("country", Text),
    Column("metadata", JSONB, nullable=False, server_default="{}"),
)

#: People of a partner. A member that was removed stays, for what it earned names it.
partner_members = Table(
    "partner_members",
    metadata,
    Column("partner_key", Text, ForeignKey("partners.partner_key"), primary_key=True),
    Column("member_key", Text, primary_key=True),
    Column("name", Text),
    Column("email", Text),
    at("created_at", server_default=func.now()),
    at("removed_at", nullable=True),
)

product_book = Table(
    "product_book",
    metadata,
    Column("key", Text, primary_key=True),
    Column("external_key", Text, unique=True),
    Column("description", Text),
    Column("needs_review", Boolean, nullable=False, server_default="false"),
    Column("archived", Boolean, nullable=False, server_default="false"),
    at("created_at", server_default=func.now()),
    #: From when on a reviewed entry is called what the provider's catalogue says; null: what a person says.
    at("follows_provider_from", nullable=True),
)

product_book_names = Table(
    "product_book_names",
    metadata,
    Column("key", Text, ForeignKey("product_book.key"), primary_key=True),
    Column("version", Integer, primary_key=True),
    at("effective_from", nullable=True),
    Column("name", Text, nullable=False),
)

#: Further provider ids (prices, mostly) that lead to an entry.
product_book_aliases = Table(
    "product_book_aliases",
    metadata,
    Column("alias", Text, primary_key=True),
    Column("key", Text, ForeignKey("product_book.key"), nullable=False, index=True),
)

#: All that providers' catalogues ever said of their products; see `domain.catalogue_descriptions`.
product_descriptions = Table(
    "product_descriptions",
    metadata,
    Column("provider", Text, primary_key=True),
    Column("product_key", Text, primary_key=True),
    Column("event_key", Text, primary_key=True),
    Column("source_version", BigInteger, nullable=False),
    at("source_at"),
    Column("source_rank", SmallInteger, nullable=False),
    Column("name", Text),
    Column("description", Text),
    Column("archived", Boolean, nullable=False),
    Column("deleted", Boolean, nullable=False),
)

triggers = Table(
    "triggers",
    metadata,
    Column("key", Text, primary_key=True),
    at("created_at", server_default=func.now()),
)

trigger_versions = Table(
    "trigger_versions",
    metadata,
    Column("key", Text, ForeignKey("triggers.key"), primary_key=True),
    Column("version", Integer, primary_key=True),
    at("effective_from"),
    #: The trigger as JSON, as the API takes it.
    Column("definition", JSONB, nullable=False),
    at("created_at", server_default=func.now()),
)

#: One row, one number: raised by every change a person makes to the program, so that workers know to read it again.
program_revision = Table(
    "program_revision",
    metadata,
    Column("one_row", Boolean, primary_key=True, server_default="true"),
    Column("revision", BigInteger, nullable=False, server_default="0"),
    CheckConstraint("one_row", name="one_row"),
)
