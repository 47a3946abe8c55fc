"""Commissions and products as the API shows them, by their keys; each a handful of statements for any number."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from domain.windows import epoch_ms
from infra.rows import as_json, fetch

Item = dict[str, Any]
#: A product's primary key: provider, subscription, product.
ProductPlace = tuple[str, str, str]


def commission_items(connection: Connection, keys: Collection[str]) -> dict[str, Item]:
    """By commission key; unknown keys are left out."""
    rows = fetch(
        connection,
        """
        select c.*, customers.customer_key, l.product_key as external_product_key from commissions c
        left join customers on customers.key = c.customer
        left join transaction_lines l on l.transaction_key = c.transaction_key and l.line_key = c.line_key
        where c.key = any(:keys)
        """,
        keys=sorted(keys),
    )
    entries: dict[str, list[Item]] = {}
    for row in fetch(
        connection,
        "select * from commission_entries where commission_key = any(:keys) order by commission_key, seq",
        keys=sorted(keys),
    ):
        entries.setdefault(row.commission_key, []).append(
            {
                "amount": row.amount_minor,
                "balance": row.balance_minor,
                "cause": row.cause,
                "arithmetic": row.arithmetic,
                "booked_at": epoch_ms(row.booked_at),
            }
        )
    return {row.key: _commission(row, entries.get(row.key, [])) for row in rows}


def _commission(row: Any, entries: Sequence[Item]) -> Item:
    return {
        "key": row.key,
        "amount": row.amount_minor,
        "currency": row.currency,
        "reward_status": row.state,
        "decline_reason": row.decline_reason,
        "partner_key": row.partner_key,
        "member_key": row.member_key,
        "customer_key": row.customer_key,
        "event": row.event,
        "transaction_key": row.transaction_key,
        "line_key": row.line_key,
        "external_product_key": row.external_product_key,
        "trigger_key": row.trigger_key,
        "trigger_version": row.trigger_version,
        "offer": row.offer,
        "due_at": _ms(row.due_at),
        "adjusts": row.adjusts,
        "arithmetic": row.arithmetic,
        "earned_at": _ms(row.earned_at),
        "created_at": _ms(row.created_at),
        "entries": list(entries),
    }


_PRODUCTS = """
    select p.*, c.customer_key, b.key as product_book_key, n.name from
        json_to_recordset(cast(:wanted as json)) as w(provider text, subscription_key text, product_key text)
    join products p using (provider, subscription_key, product_key)
    left join provider_customers pc using (provider, provider_customer_key)
    left join customers c on c.key = pc.customer
    left join product_book b on b.external_key = p.product_key
    left join lateral (
        select name from product_book_names where key = b.key order by version desc limit 1) n on true
"""
_HISTORIES = """
    select h.provider, h.subscription_key, h.product_key, h.status, h.effective_at from
        json_to_recordset(cast(:wanted as json)) as w(provider text, subscription_key text, product_key text)
    join product_history h using (provider, subscription_key, product_key) order by h.effective_at
"""


def product_items(connection: Connection, places: Collection[ProductPlace]) -> dict[ProductPlace, Item]:
    """By primary key; unknown ones are left out."""
    wanted = as_json(
        {"provider": provider, "subscription_key": subscription, "product_key": product}
        for provider, subscription, product in sorted(places)
    )
    histories: dict[ProductPlace, list[Item]] = {}
    for row in fetch(connection, _HISTORIES, wanted=wanted):
        steps = histories.setdefault((row.provider, row.subscription_key, row.product_key), [])
        if not steps or steps[-1]["status"] != row.status:
            steps.append({"status": row.status, "effective_at": epoch_ms(row.effective_at)})
    rows = fetch(connection, _PRODUCTS, wanted=wanted)
    return {place: _product(row, histories.get(place, [])) for row in rows for place in [_place(row)]}


def _place(row: Any) -> ProductPlace:
    return row.provider, row.subscription_key, row.product_key


def _product(row: Any, history: Sequence[Item]) -> Item:
    return {
        "key": product_key_of(_place(row)),
        "provider": row.provider,
        "external_subscription_key": row.subscription_key,
        "external_product_key": row.product_key,
        "product_book_key": row.product_book_key,
        "product_book": row.name,
        "customer_key": row.customer_key,
        "provider_customer_key": row.provider_customer_key,
        "status": row.status,
        "provider_status": row.provider_status,
        "amount": row.amount_minor,
        "quantity": row.quantity,
        "currency": row.currency,
        "purchased_at": _ms(row.purchased_at),
        "history": list(history),
    }


def product_key_of(place: ProductPlace) -> str:
    """How a product is called outside."""
    return f"{place[1]}/{place[2]}"


def gone(key: str) -> Mapping[str, Any]:
    """What is said of a thing that is no longer there."""
    return {"key": key, "deleted": True}


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else epoch_ms(moment)
