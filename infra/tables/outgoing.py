"""Webhooks to others: who is told of what, and the outbox of deliveries."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from infra.tables.columns import at, metadata

webhook_endpoints = Table(
    "webhook_endpoints",
    metadata,
    Column("key", Text, primary_key=True),
    Column("url", Text, nullable=False),
    Column("event_types", ARRAY(Text), nullable=False),
    Column("active", Boolean, nullable=False, server_default="true"),
    #: Why the program itself stopped it.
    Column("stopped_reason", Text),
    #: Signed with, and so sealed where there is a key (`infra.outgoing.seals`); erased when the endpoint is deleted.
    Column("secret", Text),
    at("created_at", server_default=func.now()),
    at("deleted_at", nullable=True),
    CheckConstraint("(deleted_at is null) = (secret is not null)", name="secret_while_there"),
    CheckConstraint("deleted_at is null or not active", name="deleted_is_not_active"),
)

#: What signed before the endpoint's present secret, and still does for a while; then the row is erased.
webhook_earlier_secrets = Table(
    "webhook_earlier_secrets",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("endpoint_key", Text, ForeignKey("webhook_endpoints.key"), nullable=False),
    #: As it was stored there.
    Column("secret", Text, nullable=False),
    at("signs_until"),
)

#: The outbox. A database trigger writes a row for every endpoint that asked for a change, in the change's own
#: transaction; see the migration that creates it.
webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    #: The `webhook-id`. Drawn, not derived: after a restore from backup no number may come a second time.
    Column("key", Text, nullable=False, unique=True),
    Column("endpoint_key", Text, ForeignKey("webhook_endpoints.key"), nullable=False),
    Column("event_type", Text, nullable=False),
    #: What changed, as its table's primary key.
    Column("subject", ARRAY(Text), nullable=False),
    #: The exact text that is signed; written when it is first sent, and never changed after.
    Column("payload", Text),
    Column("state", Text, nullable=False, server_default="pending"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    at("next_attempt_at", nullable=True, server_default=func.now()),
    Column("last_status", Integer),
    Column("reason", Text),
    at("created_at", server_default=func.now()),
    at("finished_at", nullable=True),
    CheckConstraint("state in ('pending', 'delivered', 'dead')", name="state"),
    CheckConstraint("(state = 'pending') = (next_attempt_at is not null)", name="due_while_pending"),
    CheckConstraint("attempts >= 0", name="attempts"),
    Index(
        "webhook_deliveries_due",
        "endpoint_key",
        "next_attempt_at",
        "id",
        postgresql_where=text("next_attempt_at is not null"),
    ),
    Index("webhook_deliveries_by_endpoint", "endpoint_key", "created_at", "key"),
    Index("webhook_deliveries_by_time", "created_at", "key"),
    Index("webhook_deliveries_dead", "created_at", "key", postgresql_where=text("state = 'dead'")),
    Index("webhook_deliveries_done", "finished_at", postgresql_where=text("state = 'delivered'")),
)
