"""What people ask to see, read-only: the inbox, products, commissions. Rows as documents, times in milliseconds."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from domain.errors import Missing, Rejected, Unreadable
from domain.problems import is_storable
from domain.windows import epoch_ms
from infra.bodies import decode
from infra.rows import fetch

_EVENT = """
    select id, provider, event_key, event_type, livemode, state, attempts, reason, fingerprint, occurred_at,
        received_at, next_attempt_at, finished_at, outcome - 'claims_lost' as outcome, body is null as erased
    from inbox
"""


def list_events(
    connection: Connection,
    *,
    state: str | None = None,
    event_type: str | None = None,
    provider: str | None = None,
    limit: int = 20,
) -> list[dict[str, Any]]:
    """The newest envelopes, without their bodies."""
    wanted = {"state": state, "event_type": event_type, "provider": provider}
    return events_page(connection, {name: value for name, value in wanted.items() if value is not None}, limit=limit)[0]


def body_of(connection: Connection, number: int) -> bytes:
    """The exact bytes of an envelope. Raises Missing where there is none, or none any more."""
    rows = fetch(connection, "select body_codec, body, body_bytes from inbox where id = :id", id=number)
    if not rows:
        raise Missing(f"there is no event {number}", "id")
    if rows[0].body is None:
        raise Missing(f"the body of event {number} was erased", "id")
    try:
        return decode(rows[0].body_codec, bytes(rows[0].body), rows[0].body_bytes)
    except Unreadable as error:
        raise Missing(f"event {number}: {error}", "id") from None


def event_named(connection: Connection, name: str) -> dict[str, Any] | None:
    """One envelope by its number here, or by its provider's id; of two providers' with one id the later."""
    if not is_storable(name):
        return None
    number = int(name) if name.isascii() and name.isdigit() and len(name) < 19 else 0
    rows = fetch(
        connection,
        f"{_EVENT} where id = :number or event_key = :name order by id = :number desc, id desc limit 1",
        number=number,
        name=name,
    )
    return _event_document(rows[0]) if rows else None


def events_page(
    connection: Connection,
    wanted: Mapping[str, object],
    *,
    limit: int,
    starting_after: int | None = None,
    ending_before: int | None = None,
    min_received_ms: int | None = None,
    max_received_ms: int | None = None,
    oldest_first: bool = False,
) -> tuple[list[dict[str, Any]], bool]:
    """A page of envelopes whose columns have the wanted values, by id, newest first; and whether more follow.

    Raises Rejected for two cursors at once.
    """
    if starting_after is not None and ending_before is not None:
        raise Rejected("cannot be combined with starting_after; use one of the two", "ending_before")
    if not all(is_storable(value) for value in wanted.values() if isinstance(value, str)):
        return [], False
    backwards = ending_before is not None
    ascending = oldest_first != backwards
    bounds = {
        f"id {'>' if ascending else '<'} :cursor": ("cursor", starting_after or ending_before),
        "received_at >= to_timestamp(:min_ms / 1000.0)": ("min_ms", min_received_ms),
        "received_at < to_timestamp((:max_ms + 1) / 1000.0)": ("max_ms", max_received_ms),
    }
    given = {condition: pair for condition, pair in bounds.items() if pair[1] is not None}
    conditions = [*(f"{column} = :{column}" for column in wanted), *given]
    where = f"where {' and '.join(conditions)}" if conditions else ""
    rows = fetch(
        connection,
        f"{_EVENT} {where} order by id {'asc' if ascending else 'desc'} limit :limit",
        **wanted,
        **dict(given.values()),
        limit=limit + 1,
    )
    shown = [_event_document(row) for row in rows[:limit]]
    return shown[::-1] if backwards else shown, len(rows) > limit


def _event_document(row: Any) -> dict[str, Any]:
    """With `type`, as providers call it, beside the column's own name."""
    return {"key": str(row.id), "type": row.event_type, **_document(row)}


def list_products(connection: Connection, provider_customer_key: str) -> list[dict[str, Any]]:
    """A customer's products with the history of their status, oldest first."""
    rows = fetch(
        connection,
        """
        select p.subscription_key, p.product_key, p.status, p.amount_minor, p.quantity, p.currency, p.purchased_at,
            coalesce(n.name, p.product_key) as name
        from products p
        left join lateral (
            select names.name from product_book b join product_book_names names on names.key = b.key
            where b.external_key = p.product_key order by names.version desc limit 1
        ) n on true
        where p.provider_customer_key = :key order by p.subscription_key, p.product_key
        """,
        key=provider_customer_key,
    )
    history = fetch(
        connection,
        """
        select h.subscription_key, h.product_key, h.status, h.effective_at from product_history h
        join products p using (provider, subscription_key, product_key)
        where p.provider_customer_key = :key order by h.effective_at
        """,
        key=provider_customer_key,
    )
    found = []
    for row in rows:
        steps: list[dict[str, Any]] = []
        for step in history:
            mine = (step.subscription_key, step.product_key) == (row.subscription_key, row.product_key)
            if mine and (not steps or steps[-1]["status"] != step.status):
                steps.append({"status": step.status, "effective_at": epoch_ms(step.effective_at)})
        found.append({**_document(row), "history": steps})
    return found


def list_commissions(connection: Connection, partner_key: str | None = None) -> list[dict[str, Any]]:
    """Commissions that amount to something, oldest occasion first; those of other occasions than payments included."""
    rows = fetch(
        connection,
        """
        select c.key, c.partner_key, c.event, c.occasion_key, c.transaction_key, c.line_key, c.trigger_key,
            c.trigger_version, c.amount_minor, c.currency, c.state, c.arithmetic, c.offer, c.earned_at, c.instalment,
            c.due_at, c.adjusts, customers.customer_key
        from commissions c left join customers on customers.key = c.customer
        where c.amount_minor <> 0 and (cast(:partner_key as text) is null or c.partner_key = :partner_key)
        order by c.earned_at, c.key
        """,
        partner_key=partner_key,
    )
    return [_document(row) for row in rows]


def _document(row: Any) -> dict[str, Any]:
    return {name: epoch_ms(value) if isinstance(value, datetime) else value for name, value in row._mapping.items()}
