"""What history amounts to, without looking at it: the sums of what the database's triggers wrote beside each change."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

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
