"""List a partner's commissions and all products a page at a time without sorting every one of them.

Built beside the traffic: nobody waits for it, and it waits for whoever is in the middle of something. An index that an
interrupted build left unfinished is begun anew.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0012"
down_revision: str | None = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_PORTION = 10_000
#: As `infra.ledger.changes` keeps it from now on; what an old process still writes without it is as before until then.
BACKFILL = f"""
update products p set seen_at = (
    select min(h.effective_at) from product_history h where h.provider = p.provider
        and h.subscription_key = p.subscription_key and h.product_key = p.product_key)
where ctid = any(array(select ctid from products where seen_at is null and exists (
    select from product_history h where h.provider = products.provider
        and h.subscription_key = products.subscription_key and h.product_key = products.product_key)
    limit {_PORTION} for update skip locked))
"""

#: As before, but that nobody is told of a product when all that is new of it is this column.
TELL = """
create or replace function tell_of_products_updated() returns trigger language plpgsql as $$
begin
    if exists (select from webhook_endpoints where active) then
        insert into webhook_deliveries (key, endpoint_key, event_type, subject)
        select 'msg_' || replace(gen_random_uuid()::text, '-', ''), e.key, changed.event_type, changed.subject
        from (
            select 'product.updated' as event_type,
                array[a.provider, a.subscription_key, a.product_key] as subject
            from after_it a join before_it b using (provider, subscription_key, product_key)
            where {differs}
        ) changed
        join webhook_endpoints e on e.active and changed.event_type = any(e.event_types)
        order by changed.subject;
    end if;
    return null;
end $$
"""
_SHOWN = (
    *("provider_customer_key", "status", "provider_status", "amount_minor", "quantity", "currency", "price_keys"),
    "purchased_at",
)
DIFFERS = (
    f"({', '.join(f'a.{name}' for name in _SHOWN)}) is distinct from ({', '.join(f'b.{name}' for name in _SHOWN)})"
    " or a.seen_at <> b.seen_at"
)


def upgrade() -> None:
    """When a product was first seen; indexes on that, and on when a commission was earned."""
    op.execute("set local lock_timeout = '100ms'")
    op.execute("set local statement_timeout = '10s'")
    op.add_column("products", sa.Column("seen_at", sa.DateTime(timezone=True), nullable=True), if_not_exists=True)
    op.execute(TELL.format(differs=DIFFERS))
    with op.get_context().autocommit_block():
        # Their locks let reading and writing go on; what they wait for is the end of transactions begun before.
        op.execute("set lock_timeout = '10s'")
        while op.get_bind().execute(sa.text(BACKFILL)).rowcount:
            pass
        op.execute("set statement_timeout = 0")
        op.execute("drop index concurrently if exists products_by_time")
        op.create_index(
            "products_by_time", "products", [sa.literal_column("coalesce(seen_at, purchased_at)")],
            postgresql_concurrently=True,
        )  # fmt: skip
        op.execute("drop index concurrently if exists commissions_by_partner_earned")
        op.create_index(
            "commissions_by_partner_earned", "commissions", ["partner_key", "earned_at", "key"],
            postgresql_concurrently=True,
        )  # fmt: skip
        op.execute("reset lock_timeout")
        op.execute("reset statement_timeout")


def downgrade() -> None:
    """Take them back."""
    op.execute("set local lock_timeout = '100ms'")
    op.execute("set local statement_timeout = '10s'")
    op.drop_index("commissions_by_partner_earned", "commissions")
    op.drop_index("products_by_time", "products")
    op.execute(TELL.format(differs="a is distinct from b"))
    op.drop_column("products", "seen_at")
