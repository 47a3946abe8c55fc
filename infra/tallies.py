"""What history amounts to, without looking at it: the sums of what the database's triggers wrote beside each change.

`compared` looks at all of it, to see whether that is what they say.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from domain.books import Tallied
from infra.rows import fetch

_FOLD = """
with folded as (
    delete from tallies returning counted, state, currency, number, amount_minor
)
insert into tallies (counted, state, currency, number, amount_minor)
select counted, state, currency, sum(number), sum(amount_minor) from folded
group by counted, state, currency having sum(number) <> 0 or sum(amount_minor) <> 0
returning id
"""


def fold(connection: Connection) -> int:
    """Add up what was written since the last time; how many rows are left. No sum is ever another meanwhile."""
    return len(fetch(connection, _FOLD))


def commission_totals(connection: Connection) -> Sequence[Any]:
    """Commissions that amount to something by state and currency: how many, and what they come to in minor units."""
    return fetch(
        connection,
        """
        select state, currency, cast(sum(number) as bigint) as count, cast(sum(amount_minor) as bigint) as amount_minor
        from tallies where counted = 'commissions' group by state, currency having sum(number) <> 0
        order by state, currency
        """,
    )


_COMPARED = """
select counted, state, currency,
    cast(sum(number) filter (where tallied) as bigint), cast(sum(amount_minor) filter (where tallied) as bigint),
    cast(sum(number) filter (where not tallied) as bigint), cast(sum(amount_minor) filter (where not tallied) as bigint)
from (
    select true as tallied, counted, state, currency, number, amount_minor from tallies
    union all
    select false, 'events', state, null, count(*), 0 from inbox where state in ('processed', 'ignored') group by state
    union all
    select false, 'commissions', state, currency, count(*), sum(amount_minor) from commissions where amount_minor <> 0
    group by state, currency
) sides group by counted, state, currency order by counted, state, currency
"""


def compared(connection: Connection) -> tuple[Tallied, ...]:
    """Each kind of row as it is tallied and as it is counted now: one statement, so of one moment. Reads all rows."""
    return tuple(
        Tallied(counted, state, currency, (number or 0, amount_minor or 0), (found or 0, found_minor or 0))
        for counted, state, currency, number, amount_minor, found, found_minor in fetch(connection, _COMPARED)
    )


def size(connection: Connection) -> int:
    """How many bytes `compared` reads."""
    return int(fetch(connection, "select pg_relation_size('inbox') + pg_relation_size('commissions') as n")[0].n)
