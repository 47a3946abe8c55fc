"""Erasures that somebody asked for over the API or on a page; a worker does them, see `infra.erasure.requests`."""

from sqlalchemy import BigInteger, Column, Identity, Index, Table, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from infra.tables.columns import at, metadata

#: Open until it has a `finished_at`. Holds keys and numbers only.
erasures = Table(
    "erasures",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    #: As the API calls whom it is about.
    Column("customer", Text, nullable=False),
    #: An actor, as the audit names it.
    Column("requested_by", Text, nullable=False),
    at("requested_at"),
    #: How far the inbox was read, and which events concern the person.
    Column("after", BigInteger, nullable=False, server_default="0"),
    Column("events", ARRAY(BigInteger), nullable=False, server_default="{}"),
    at("next_attempt_at"),
    #: Why it is not done yet, or cannot be.
    Column("reason", Text),
    #: Numbers of what was taken out; none where it could not be done.
    Column("outcome", JSONB),
    at("finished_at", nullable=True),
    Index("erasures_open", "customer", unique=True, postgresql_where=text("finished_at is null")),
    Index("erasures_by_customer", "customer", "id"),
)
