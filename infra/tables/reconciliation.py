"""Comparing with a provider's books: each run, what it was shown, and how far events were listed."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from infra.tables.columns import at, metadata

#: One run. It is due while `next_attempt_at` is set; `phase`, `cursor` and `progress` say where to go on after a crash.
reconciliations = Table(
    "reconciliations",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("provider", Text, nullable=False),
    #: `events` fills gaps from the event list alone, `whole` compares what is sold, paid and taken back as well.
    Column("scope", Text, nullable=False),
    Column("dry_run", Boolean, nullable=False),
    Column("requested_by", Text, nullable=False),
    #: From when on, if somebody said so.
    at("asked_since", nullable=True),
    #: From when on events are listed, and invoices; set when it starts, as is `until`.
    at("events_since", nullable=True),
    at("since", nullable=True),
    at("until", nullable=True),
    Column("state", Text, nullable=False, server_default="requested"),
    Column("phase", Text, nullable=False, server_default="events"),
    #: After which object of a list to go on.
    Column("cursor", Text),
    #: Failures since the last step that succeeded.
    Column("attempts", Integer, nullable=False, server_default="0"),
    at("next_attempt_at", nullable=True),
    Column("reason", Text),
    Column("progress", JSONB, nullable=False, server_default="{}"),
    #: What was found before anything was repaired, as `domain.reconcile.Report`.
    Column("found", JSONB),
    Column("report", JSONB),
    at("created_at", server_default=func.now()),
    at("finished_at", nullable=True),
    CheckConstraint("scope in ('events', 'whole')", name="scope"),
    CheckConstraint("requested_by in ('schedule', 'api', 'cli')", name="requested_by"),
    CheckConstraint("state in ('requested', 'running', 'finished', 'failed')", name="state"),
    CheckConstraint("(state in ('requested', 'running')) = (next_attempt_at is not null)", name="due_while_open"),
    CheckConstraint("(state in ('finished', 'failed')) = (finished_at is not null)", name="finished_at"),
    Index("reconciliations_due", "provider", "id", postgresql_where=text("next_attempt_at is not null")),
)

#: What the provider showed in one run, and what of ours it did not show; gone when the run is over.
reconciliation_objects = Table(
    "reconciliation_objects",
    metadata,
    Column("reconciliation_id", BigInteger, ForeignKey("reconciliations.id"), primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    #: When the provider showed it, or said that it has none; null: ours alone so far, and not asked for yet.
    at("listed_at", nullable=True),
    #: The object as the provider renders it; null: it has none.
    Column("body", LargeBinary),
    Column("body_codec", SmallInteger),
    Column("body_bytes", Integer),
    CheckConstraint("kind in ('subscription', 'invoice', 'refund', 'credit_note', 'dispute')", name="kind"),
)

#: Up to when each provider's events were listed.
watermarks = Table(
    "watermarks",
    metadata,
    Column("provider", Text, primary_key=True),
    at("listed_until"),
)
