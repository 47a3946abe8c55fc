"""The queue and the evidence."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from infra.tables.columns import at, metadata

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
    at("occurred_at"),
    at("received_at", server_default=func.now()),
    #: Which configured secret matched, as a short hash: tells when an old one can go.
    Column("secret_fingerprint", Text),
    Column("body", LargeBinary),
    Column("body_codec", SmallInteger, nullable=False),
    Column("body_bytes", Integer, nullable=False),
    Column("state", Text, nullable=False, server_default="received"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    at("next_attempt_at", nullable=True, server_default=func.now()),
    #: Backend pid of the connection that claimed the row; with it gone, the claim is void.
    Column("claimed_by", Integer),
    Column("reason", Text),
    #: Groups dead letters: provider, type, error.
    Column("fingerprint", Text),
    at("finished_at", nullable=True),
    #: What it caused, as keys.
    Column("outcome", JSONB),
    #: The reconciliation that stored it; null: it was delivered.
    Column("reconciliation_id", BigInteger),
    UniqueConstraint("provider", "event_key"),
    CheckConstraint("state in ('received', 'waiting', 'processed', 'ignored', 'dead')", name="state"),
    CheckConstraint("(state in ('received', 'waiting')) = (next_attempt_at is not null)", name="due_while_open"),
    CheckConstraint("attempts >= 0", name="attempts"),
    Index("inbox_due", "next_attempt_at", "id", postgresql_where=text("next_attempt_at is not null")),
    #: Claims of workers that are gone, among however many rows are due.
    Index("inbox_claimed", "next_attempt_at", "id", postgresql_where=text("claimed_by is not null")),
    Index("inbox_state", "state", "event_type", postgresql_where=text("state in ('waiting', 'dead')")),
)
