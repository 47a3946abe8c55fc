"""Commissions with the entries they are the sum of, as documents; for whole lists at once."""

from collections.abc import Collection, Sequence
from typing import Any, Final

from sqlalchemy import Connection

from domain.commissions import CommissionState
from domain.facts import COMPANY
from domain.windows import epoch_ms
from infra.ledger.case_files import load_meant
from infra.rows import fetch
from infra.tallies import commission_totals

#: For lists: `key` and `created_at` beside what is needed to show and to filter.
SELECT: Final = """
    select c.*, customers.customer_key, l.product_key, l.provider as line_provider
    from commissions c left join customers on customers.key = c.customer
    left join transaction_lines l on l.transaction_key = c.transaction_key and l.line_key = c.line_key
"""
_AS_THEY_ARE: Final = (
    *("key", "currency", "decline_reason", "partner_key", "member_key", "customer_key", "transaction_key", "line_key"),
    *("trigger_key", "trigger_version", "event", "offer", "instalment", "adjusts", "arithmetic"),
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
    meant = load_meant(connection, posted_lines(rows))
    documents = []
    for row in rows:
        _, line = meant.get((row.transaction_key, row.line_key), (None, row))
        documents.append(_document(row, line.product_key, entries[row.key]))
    return documents


def posted_lines(rows: Sequence[Any]) -> set[tuple[str, str]]:
    """The (transaction, line) of rows with `line_provider` whose line tells its product only by what it refers to."""
    return {(r.transaction_key, r.line_key) for r in rows if r.line_provider == COMPANY and r.product_key is None}


def read_rewards(connection: Connection, keys: Collection[str]) -> list[dict[str, Any]]:
    """Those of these that there are."""
    return shown_rewards(connection, fetch(connection, f"{SELECT} where c.key = any(:keys)", keys=sorted(keys)))


def _document(row: Any, product_key: str | None, entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        **{name: getattr(row, name) for name in _AS_THEY_ARE},
        "external_product_key": product_key,
        "amount": row.amount_minor,
        "reward_status": row.state,
        "earned_at": epoch_ms(row.earned_at),
        "due_at": None if row.due_at is None else epoch_ms(row.due_at),
        "created_at": epoch_ms(row.created_at),
        "entries": list(entries),
    }


def totals(connection: Connection) -> list[dict[str, Any]]:
    """How many commissions there are, and what they come to, per state and currency; those of nothing left aside."""
    order = list(CommissionState)
    found = [dict(row._mapping) for row in commission_totals(connection)]
    return sorted(found, key=lambda each: order.index(CommissionState(each["state"])))
