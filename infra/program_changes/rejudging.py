"""A change to the program asks for judging again, by an inbox row of provider `program` that commits with it.

The worker that takes it judges what the change can affect, in portions, on the same path as everything else.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, text

from domain import ids
from domain.errors import CannotProcess
from domain.triggers import TriggerEvent
from infra.bodies import RAW
from infra.rows import fetch

PROVIDER = "program"
REJUDGE = "program.changed"

#: Kinds of work that a change asks for beside judging payments: customers' other occasions, one partner's joining.
CUSTOMERS = "customers"
PARTNER_JOINED = "partner_joined"


class Rejudge(msgspec.Struct, frozen=True):
    """The body of a program row: what changed, from when on, and how far judging again has come."""

    kind: str
    key: str
    since: datetime | None = None
    #: The last transaction key judged; the next portion begins after it.
    after: str = ""
    #: Provider ids that led to the entry before the change and no longer do.
    former: tuple[str, ...] = ()


def request_rejudge(connection: Connection, work: Rejudge, cause: str, now: datetime) -> None:
    """Put the work into the inbox; asking twice for the same portion because of the same cause asks once."""
    body = msgspec.json.encode(work)
    row = {
        "provider": PROVIDER,
        "event_key": ids.derived("chg", work.kind, work.key, cause, work.after),
        "event_type": REJUDGE,
        "occurred_at": now,
        "body_codec": RAW,
        "body_bytes": len(body),
        "body": body,
    }
    columns = ", ".join(row)
    values = ", ".join(f":{name}" for name in row)
    connection.execute(text(f"insert into inbox ({columns}) values ({values}) on conflict do nothing"), row)


def program_changed(connection: Connection, work: Rejudge, cause: str, now: datetime) -> None:
    """Let every reader read the program again, and ask for judging again what the change can affect.

    One cause asks once for one thing.
    """
    connection.execute(text("update program_revision set revision = revision + 1"))
    request_rejudge(connection, work, cause, now)
    events = {e for row in fetch(connection, _EVENTS) for e in [row.event] if e != TriggerEvent.TRANSACTION_CREATED}
    if events - {TriggerEvent.PARTNER_JOINED}:
        request_rejudge(connection, Rejudge(CUSTOMERS, f"{work.kind} {work.key}"), cause, now)
    if TriggerEvent.PARTNER_JOINED in events and work.kind in ("trigger", "partner"):
        partners = fetch(connection, "select partner_key as key from partners") if work.kind == "trigger" else [work]
        for partner in partners:
            request_rejudge(connection, Rejudge(PARTNER_JOINED, partner.key), f"{work.kind} {work.key} {cause}", now)


#: The events that any version of any trigger waits for.
_EVENTS = "select distinct definition ->> 'event' as event from trigger_versions"


def customers_portion(connection: Connection, work: Rejudge, count: int) -> list[str]:
    """The next `count` of our customers' keys."""
    rows = fetch(
        connection,
        "select key from customers where key > :after order by key limit :count",
        after=work.after,
        count=count,
    )
    return [row.key for row in rows]


#: Every product of whoever paid: a posted line may be led to any of them.
_PAYERS_PRODUCTS = """
            select from provider_customers c join provider_customers o on o.customer = c.customer
            join products p on p.provider = o.provider and p.provider_customer_key = o.provider_customer_key
                and c.provider = {t}.provider and c.provider_customer_key = {t}.provider_customer_key"""

#: Per kind of change, which transactions it can affect. `{t}` is the transaction.
_AFFECTED_BY = {
    "trigger": "true",
    "partner": """
        exists (select from provider_customers c join provider_customers other on other.customer = c.customer
            join claims on claims.subject in ('customer:' || c.customer,
                other.provider || ':customer:' || other.provider_customer_key)
            where c.provider = {t}.provider and c.provider_customer_key = {t}.provider_customer_key
                and claims.partner_key = :key)
        or exists (select from transaction_lines l
            join claims on claims.subject in (l.provider || ':subscription:' || l.subscription_key,
                l.provider || ':product:' || l.subscription_key || '/' || l.product_key)
            where l.transaction_key = {t}.key and claims.partner_key = :key)
        or {t}.provider = 'api' and exists ("""
    + _PAYERS_PRODUCTS
    + """
            join claims on claims.subject in (p.provider || ':subscription:' || p.subscription_key,
                p.provider || ':product:' || p.subscription_key || '/' || p.product_key)
            where claims.partner_key = :key)""",
    "product_book": """
        exists (select from transaction_lines l where l.transaction_key = {t}.key and (
            l.product_key = :key or l.product_key in (select external_key from product_book where key = :key)
            or l.price_keys && (select coalesce(array_agg(alias), '{{}}') from product_book_aliases where key = :key)
            or l.product_key in (select alias from product_book_aliases where key = :key)
            or l.product_key = any(:former) or l.price_keys && cast(:former as text[])))
        or {t}.provider = 'api' and exists ("""
    + _PAYERS_PRODUCTS
    + """
            where p.product_key = :key or p.product_key in (select external_key from product_book where key = :key)
            or p.price_keys && (select coalesce(array_agg(alias), '{{}}') from product_book_aliases where key = :key)
            or p.product_key in (select alias from product_book_aliases where key = :key)
            or p.product_key = any(:former) or p.price_keys && cast(:former as text[]))""",
}


#: A credit is judged under the terms of an earlier charge, of the same customer or of what it credits at least: what
#: moves that one moves it too.
_CREDITS = """
    exists (select from transaction_lines c where c.transaction_key = t.key and c.gross_minor < c.discount_minor)
    and (exists (select from transactions p where p.provider = t.provider
            and p.provider_customer_key = t.provider_customer_key and p.occurred_at <= t.occurred_at
            and p.occurred_at >= coalesce(cast(:since as timestamptz), '-infinity') and ({condition}))
        or exists (select from transaction_lines c
            join transaction_lines e on e.provider = c.provider and e.subscription_key = c.subscription_key
                and e.product_key = c.product_key and e.occurred_at <= c.occurred_at
                and e.occurred_at >= coalesce(cast(:since as timestamptz), '-infinity')
                and e.gross_minor > e.discount_minor
            join transactions p on p.key = e.transaction_key
            where c.transaction_key = t.key and c.gross_minor < c.discount_minor and ({condition})))"""


def affected_portion(connection: Connection, work: Rejudge, count: int) -> Sequence[Any]:
    """The next `count` transactions (key, provider, provider_customer_key, customer) that a change can affect."""
    if work.kind not in _AFFECTED_BY:
        raise CannotProcess(f"nothing is known of a change of kind {work.kind}")
    condition = _AFFECTED_BY[work.kind]
    return fetch(
        connection,
        f"""
        select t.key, t.provider, t.provider_customer_key, p.customer from transactions t
        left join provider_customers p on p.provider = t.provider and p.provider_customer_key = t.provider_customer_key
        where t.key > :after and t.occurred_at >= coalesce(cast(:since as timestamptz), '-infinity')
            and ({condition.format(t="t")} or {_CREDITS.format(condition=condition.format(t="p"))})
        order by t.key limit :count
        """,
        after=work.after,
        since=work.since,
        count=count,
        **({"key": work.key} if ":key" in condition else {}),
        **({"former": list(work.former)} if ":former" in condition else {}),
    )
