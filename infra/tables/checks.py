"""Checks of the invariants that the worker makes in slices, and what each found."""

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Identity, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from infra.tables.columns import at, metadata

#: The newest row is the check at hand while it has no `finished_at`; `room` and `after` say how far it has come.
checks = Table(
    "checks",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    at("started_at"),
    at("finished_at", nullable=True),
    Column("room", Text, nullable=False),
    Column("after", Text, nullable=False, server_default=""),
    Column("transactions_count", BigInteger, nullable=False, server_default="0"),
    Column("commissions_count", BigInteger, nullable=False, server_default="0"),
    Column("events_count", BigInteger, nullable=False, server_default="0"),
    #: [invariant, subject, message], as many as are kept.
    Column("breaches", JSONB, nullable=False, server_default="[]"),
    Column("more_breaches", Boolean, nullable=False, server_default="false"),
    CheckConstraint("room in ('payments', 'occasions', 'inbox')", name="room"),
)
