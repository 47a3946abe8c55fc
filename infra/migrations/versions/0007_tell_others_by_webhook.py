"""Tell others by webhook: endpoints, and an outbox that the database itself fills.

A trigger compares what a statement found with what it left, so that no way of changing a commission or a product can
forget to tell. With no active endpoint it looks at one empty table and is done.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# `changed` has (event_type, subject); an endpoint that is registered meanwhile hears of what commits later.
TELL = """
create function tell_of_{table}_{verb}() returns trigger language plpgsql as $$
begin
    if exists (select from webhook_endpoints where active) then
        insert into webhook_deliveries (key, endpoint_key, event_type, subject)
        select 'msg_' || replace(gen_random_uuid()::text, '-', ''), e.key, changed.event_type, changed.subject
        from ({changed}) changed
        join webhook_endpoints e on e.active and changed.event_type = any(e.event_types)
        order by changed.subject;
    end if;
    return null;
end $$;
create trigger {table}_{verb}_are_told after {event} on {table} referencing {referencing}
    for each statement execute function tell_of_{table}_{verb}()
"""

INSERTED = {"verb": "inserted", "event": "insert", "referencing": "new table as after_it"}
UPDATED = {"verb": "updated", "event": "update", "referencing": "old table as before_it new table as after_it"}
DELETED = {"verb": "deleted", "event": "delete", "referencing": "old table as before_it"}

PRODUCT = "array[{t}.provider, {t}.subscription_key, {t}.product_key]"
TOLD = (
    ("commissions", INSERTED, "select 'commission.created' as event_type, array[a.key] as subject from after_it a"),
    (
        "commissions",
        UPDATED,
        """
            select case
                    when a.state = 'reversed' and b.state <> 'reversed' then 'commission.reversed'
                    when a.state = 'paid' and b.state <> 'paid' then 'commission.paid'
                    else 'commission.updated'
                end as event_type, array[a.key] as subject
            from after_it a join before_it b using (key) where a is distinct from b
        """,
    ),
    (
        "products",
        INSERTED,
        f"select 'product.created' as event_type, {PRODUCT.format(t='a')} as subject from after_it a",
    ),
    (
        "products",
        UPDATED,
        f"""
            select 'product.updated' as event_type, {PRODUCT.format(t="a")} as subject
            from after_it a join before_it b using (provider, subscription_key, product_key)
            where a is distinct from b
        """,
    ),
    (
        "products",
        DELETED,
        f"select 'product.deleted' as event_type, {PRODUCT.format(t='b')} as subject from before_it b",
    ),
)


def upgrade() -> None:
    """Two tables, and what fills the second."""
    op.execute("set local lock_timeout = '100ms'")
    op.execute("set local statement_timeout = '10s'")
    _create_endpoints()
    _create_deliveries()
    for table, kind, changed in TOLD:
        op.execute(TELL.format(table=table, changed=changed, **kind))


def downgrade() -> None:
    """Take it back."""
    op.execute("set local lock_timeout = '100ms'")
    op.execute("set local statement_timeout = '10s'")
    for table, kind, _ in TOLD:
        op.execute(f"drop trigger {table}_{kind['verb']}_are_told on {table}")
        op.execute(f"drop function tell_of_{table}_{kind['verb']}()")
    op.drop_table("webhook_deliveries")
    op.drop_table("webhook_endpoints")


def _moment(name: str, *, nullable: bool = False, now: bool = False) -> sa.Column[object]:
    default = {"server_default": sa.func.now()} if now else {}
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable, **default)  # type: ignore[arg-type]


def _create_endpoints() -> None:
    op.create_table(
        "webhook_endpoints",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("event_types", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("active", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("stopped_reason", sa.Text(), nullable=True),
        sa.Column("secret", sa.Text(), nullable=True),
        _moment("created_at", now=True),
        _moment("deleted_at", nullable=True),
        sa.CheckConstraint(
            "(deleted_at is null) = (secret is not null)", name=op.f("webhook_endpoints_secret_while_there_check")
        ),
        sa.CheckConstraint(
            "deleted_at is null or not active", name=op.f("webhook_endpoints_deleted_is_not_active_check")
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("webhook_endpoints_pkey")),
    )


def _create_deliveries() -> None:
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("endpoint_key", sa.Text(), nullable=False),
        sa.Column("event_type", sa.Text(), nullable=False),
        sa.Column("subject", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("payload", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), server_default="pending", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        _moment("next_attempt_at", nullable=True, now=True),
        sa.Column("last_status", sa.Integer(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        _moment("created_at", now=True),
        _moment("finished_at", nullable=True),
        sa.CheckConstraint("state in ('pending', 'delivered', 'dead')", name=op.f("webhook_deliveries_state_check")),
        sa.CheckConstraint(
            "(state = 'pending') = (next_attempt_at is not null)",
            name=op.f("webhook_deliveries_due_while_pending_check"),
        ),
        sa.CheckConstraint("attempts >= 0", name=op.f("webhook_deliveries_attempts_check")),
        sa.ForeignKeyConstraint(
            ["endpoint_key"], ["webhook_endpoints.key"], name=op.f("webhook_deliveries_endpoint_key_fkey")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("webhook_deliveries_pkey")),
        sa.UniqueConstraint("key", name=op.f("webhook_deliveries_key_key")),
    )
    due = sa.text("next_attempt_at is not null")
    dead, done = sa.text("state = 'dead'"), sa.text("state = 'delivered'")
    op.create_index(
        "webhook_deliveries_due", "webhook_deliveries", ["endpoint_key", "next_attempt_at", "id"], postgresql_where=due
    )
    op.create_index("webhook_deliveries_by_endpoint", "webhook_deliveries", ["endpoint_key", "created_at", "key"])
    op.create_index("webhook_deliveries_by_time", "webhook_deliveries", ["created_at", "key"])
    op.create_index("webhook_deliveries_dead", "webhook_deliveries", ["created_at", "key"], postgresql_where=dead)
    op.create_index("webhook_deliveries_done", "webhook_deliveries", ["finished_at"], postgresql_where=done)
