"""Commissions with the entries they are the sum of, as documents; for whole lists at once."""

from collections.abc import Collection, Sequence
from typing import Any, Final

from sqlalchemy import Connection

from domain.windows import epoch_ms
from infra.rows import fetch

#: For lists: `key` and `created_at` beside what is needed to show and to filter.
SELECT: Final = """
    select c.*, customers.customer_key, l.product_key as external_product_key
    from commissions c left join customers on customers.key = c.customer
    left join transaction_lines l on l.transaction_key = c.transaction_key and l.line_key = c.line_key
"""
_AS_THEY_ARE: Final = (
    *("key", "currency", "decline_reason", "partner_key", "member_key", "customer_key", "transaction_key", "line_key"),
    *(
        "external_product_key",
        "trigger_key",
        "trigger_version",
        "event",
        "offer",
        "instalment",
        "adjusts",
        "arithmetic",
    ),
)


def shown_rewards(connection: Connection, rows: Sequence[Any]) -> list[dict[str, Any]]:
    """Rows of `SELECT` in their order, as the API shows them."""
    entries: dict[str, list[dict[str, Any]]] = {row.key: [] for row in rows}
    for entry in fetch(
        connection,
        "select * from commission_entries where commission_key = any(:keys) order by commission_key, seq",
        keys=list(entries),
    ):
        entries[entry.commission_key].append(
            {
                "amount": entry.amount_minor,
                "balance": entry.balance_minor,
                "cause": entry.cause,
                "arithmetic": entry.arithmetic,
                "created_at": epoch_ms(entry.booked_at),
            }
        )
    return [_document(row, entries[row.key]) for row in rows]


def read_rewards(connection: Connection, keys: Collection[str]) -> list[dict[str, Any]]:
    """Those of these that there are."""
    return shown_rewards(connection, fetch(connection, f"{SELECT} where c.key = any(:keys)", keys=sorted(keys)))


def _document(row: Any, entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        **{name: getattr(row, name) for name in _AS_THEY_ARE},
        "amount": row.amount_minor,
        "reward_status": row.state,
        "earned_at": epoch_ms(row.earned_at),
        "due_at": None if row.due_at is None else epoch_ms(row.due_at),
        "created_at": epoch_ms(row.created_at),
        "entries": list(entries),
    }
