"""The ledger: commissions and the entries they are the sum of."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)

from infra.tables.columns import at, metadata

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
    at("earned_at"),
    #: When an instalment falls due; null: at once.
    at("due_at", nullable=True),
    at("created_at", server_default=func.now()),
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
    Index("commissions_by_time", "created_at", "key"),
    Index("commissions_by_partner", "partner_key", "created_at"),
    Index("commissions_by_partner_earned", "partner_key", "earned_at", "key"),
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
    at("booked_at", server_default=func.now()),
    CheckConstraint("amount_minor <> 0", name="says_something"),
)
