"""Tally what history is made of: finished events by state, commissions that amount to something by state and currency.

The triggers come first; then what was there before them is counted, in one statement each, beside the traffic. The
difference between rows and tallies is the same at every moment from then on, so any moment will do.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0015"
down_revision: str | None = "0014"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

#: An event comes in as received, which is in no tally: what the receiver writes costs it a comparison per row.
EVENT_ITSELF = """
create or replace function tally_event() returns trigger language plpgsql as $$
begin
    if tg_op = 'INSERT' then
        insert into tallies (counted, state, number) values ('events', new.state, 1);
    else
        insert into tallies (counted, state, number) values ('events', old.state, -1);
    end if;
    return null;
end $$;
create trigger inbox_inserted_is_tallied after insert on inbox
    for each row when (new.state in ('processed', 'ignored')) execute function tally_event();
create trigger inbox_deleted_is_tallied after delete on inbox
    for each row when (old.state in ('processed', 'ignored')) execute function tally_event();
"""

TALLYING = """
create or replace function tally_{table}_{verb}() returns trigger language plpgsql as $$
begin
    insert into tallies (counted, state, currency, number, amount_minor)
    select '{counted}', changed.state, changed.currency, sum(changed.number), sum(changed.amount_minor)
    from ({changed}) changed
    group by changed.state, changed.currency having sum(changed.number) <> 0 or sum(changed.amount_minor) <> 0;
    return null;
end $$;
create trigger {table}_{verb}_are_tallied after {event} on {table} referencing {referencing}
    for each statement execute function tally_{table}_{verb}();
"""

EVENTS = """
    select state, cast(null as text) as currency, {sign}count(*) as number, 0 as amount_minor from {rows}
    where state in ('processed', 'ignored') group by state
"""
COMMISSIONS = """
    select state, currency, {sign}count(*) as number, {sign}sum(amount_minor) as amount_minor from {rows}
    where amount_minor <> 0 group by state, currency
"""

INSERTED = {"verb": "inserted", "event": "insert", "referencing": "new table as after_it"}
UPDATED = {"verb": "updated", "event": "update", "referencing": "old table as before_it new table as after_it"}
DELETED = {"verb": "deleted", "event": "delete", "referencing": "old table as before_it"}

#: What is counted, in which table, by which query, and what changes it for many rows at a time.
TALLIED = (
    ("events", "inbox", EVENTS, (UPDATED,)),
    ("commissions", "commissions", COMMISSIONS, (INSERTED, UPDATED, DELETED)),
)

BEFORE = """
insert into tallies (counted, state, currency, number, amount_minor)
select '{counted}', found.state, found.currency, sum(found.number), sum(found.amount_minor)
from ({rows} union all
    select state, currency, -number, -amount_minor from tallies where counted = '{counted}') found
group by found.state, found.currency having sum(found.number) <> 0 or sum(found.amount_minor) <> 0
"""


def upgrade() -> None:
    """Triggers from now on, and what was there before."""
    op.execute("set local lock_timeout = '100ms'")
    op.execute("set local statement_timeout = '10s'")
    _take_back()
    op.create_table(
        "tallies",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("counted", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), server_default="0", nullable=False),
        sa.CheckConstraint("counted in ('events', 'commissions')", name=op.f("tallies_counted_check")),
        sa.CheckConstraint("(counted = 'commissions') = (currency is not null)", name=op.f("tallies_currency_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("tallies_pkey")),
    )
    op.execute(EVENT_ITSELF)
    for counted, table, query, changes in TALLIED:
        for change in changes:
            op.execute(TALLYING.format(counted=counted, table=table, changed=_changed(query, change), **change))
    with op.get_context().autocommit_block():
        op.execute("set statement_timeout = 0")
        for counted, table, query, _ in TALLIED:
            op.execute(BEFORE.format(counted=counted, rows=query.format(sign="", rows=table)))
        op.execute("reset statement_timeout")


def _changed(query: str, change: dict[str, str]) -> str:
    sides = {"after_it": "", "before_it": "-"}
    return " union all ".join(
        query.format(sign=sign, rows=rows) for rows, sign in sides.items() if rows in change["referencing"]
    )


def _take_back() -> None:
    """Also what an interrupted run of this left: everything is made anew, and counted anew."""
    op.execute("drop table if exists tallies")
    for table, verb in [("inbox", "inserted"), ("inbox", "deleted")]:
        op.execute(f"drop trigger if exists {table}_{verb}_is_tallied on {table}")
    op.execute("drop function if exists tally_event()")
    for _, table, _, changes in TALLIED:
        for change in changes:
            op.execute(f"drop trigger if exists {table}_{change['verb']}_are_tallied on {table}")
            op.execute(f"drop function if exists tally_{table}_{change['verb']}()")


def downgrade() -> None:
    """Take it back."""
    op.execute("set local lock_timeout = '100ms'")
    op.execute("set local statement_timeout = '10s'")
    _take_back()
