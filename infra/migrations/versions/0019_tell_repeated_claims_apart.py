"""Tell claims that only repeat the one before them apart, so that no event reads all that was ever said of a customer.

Expands only: a claim that is not marked is read, which is never wrong. Older processes read all of them, and what they
write is marked by the triggers, too. What was there before stays unmarked.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0019"
down_revision: str | None = "0018"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

#: A claim repeats where the one before it in its subject names the same, and it does not say from when it holds. What
#: comes or goes decides that for itself and for the one after it, and for nobody else. Order: `domain.customers`.
MARKING = """
create or replace function mark_repeated_claims(changed claims[]) returns void language sql as $$
    with changed as (select distinct subject, learnt_at, cause from unnest($1)
    ), concerned as (
        select subject, cause from changed
        union
        select next.subject, next.cause from changed cross join lateral (
            select c.subject, c.cause from claims c where c.subject = changed.subject
                and c.learnt_at >= changed.learnt_at
                and (c.learnt_at, c.cause collate "C") > (changed.learnt_at, changed.cause)
            order by c.learnt_at, c.cause collate "C" limit 1
        ) next
    ), found as (
        select c.subject, c.cause, c.effective_from is null and coalesce((
            select (b.partner_key, b.member_key) is not distinct from (c.partner_key, c.member_key) from claims b
            where b.subject = c.subject and b.learnt_at <= c.learnt_at
                and (b.learnt_at, b.cause collate "C") < (c.learnt_at, c.cause)
            order by b.learnt_at desc, b.cause collate "C" desc limit 1
        ), false) as repeats
        from concerned join claims c using (subject, cause)
    )
    update claims c set repeats = found.repeats from found
    where c.subject = found.subject and c.cause = found.cause and c.repeats <> found.repeats
$$;
create or replace function mark_claims_inserted() returns trigger language plpgsql as $$
begin
    perform mark_repeated_claims(array(select cast(after_it as claims) from after_it));
    return null;
end $$;
create or replace function mark_claims_updated() returns trigger language plpgsql as $$
begin
    perform mark_repeated_claims(array(
        select cast(before_it as claims) from before_it union all select cast(after_it as claims) from after_it));
    return null;
end $$;
create or replace function mark_claims_deleted() returns trigger language plpgsql as $$
begin
    perform mark_repeated_claims(array(select cast(before_it as claims) from before_it));
    return null;
end $$;
create or replace trigger claims_inserted_are_marked after insert on claims referencing new table as after_it
    for each statement execute function mark_claims_inserted();
create or replace trigger claims_updated_are_marked after update on claims referencing old table as before_it
    new table as after_it for each statement when (pg_trigger_depth() = 0) execute function mark_claims_updated();
create or replace trigger claims_deleted_are_marked after delete on claims referencing old table as before_it
    for each statement execute function mark_claims_deleted();
"""


def upgrade() -> None:
    """A column with a constant default, which rewrites nothing; triggers; indexes, built beside the traffic."""
    op.execute("set local lock_timeout = '100ms'")
    op.execute("set local statement_timeout = '10s'")
    op.add_column(
        "claims", sa.Column("repeats", sa.Boolean(), nullable=False, server_default="false"), if_not_exists=True
    )
    op.execute(MARKING)
    with op.get_context().autocommit_block():
        # What this waits for is the end of transactions begun before. What an interrupted run left is built anew.
        op.execute("set lock_timeout = '10s'")
        op.execute("set statement_timeout = 0")
        for name in ("claims_by_time", "claims_that_change"):
            op.execute(f"drop index concurrently if exists {name}")
        op.create_index("claims_by_time", "claims", ["subject", "learnt_at"], postgresql_concurrently=True)
        op.create_index(
            "claims_that_change", "claims", ["subject"],
            postgresql_where=sa.text("not repeats"), postgresql_concurrently=True,
        )  # fmt: skip
        op.execute("reset lock_timeout")
        op.execute("reset statement_timeout")


def downgrade() -> None:
    """Take it back."""
    op.execute("set local lock_timeout = '100ms'")
    op.execute("set local statement_timeout = '10s'")
    for verb in ("inserted", "updated", "deleted"):
        op.execute(f"drop trigger claims_{verb}_are_marked on claims")
        op.execute(f"drop function mark_claims_{verb}()")
    op.execute("drop function mark_repeated_claims(claims[])")
    op.drop_index("claims_that_change", table_name="claims")
    op.drop_index("claims_by_time", table_name="claims")
    op.drop_column("claims", "repeats")
