"""What a person sets: product book, partners, triggers. Each change is a version, and asks for judging again.

A change commits together with an inbox row of provider `program`: the worker that takes it judges what the change
can affect, in portions, on the same path as everything else.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, text

from domain import ids
from domain.errors import CannotProcess
from domain.trigger_warnings import TriggerWarning, warnings_for
from domain.triggers import Trigger, TriggerEvent, in_force, parse_trigger, render_trigger
from infra import tables
from infra.bodies import RAW
from infra.locks import own_program
from infra.program import ProgramReader, trigger_of
from infra.rows import fetch, insert_rows

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


def _changed(connection: Connection, work: Rejudge, version: int, now: datetime) -> None:
    program_changed(connection, work, f"version {version}", now)


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
            or l.product_key in (select alias from product_book_aliases where key = :key)))
        or {t}.provider = 'api' and exists ("""
    + _PAYERS_PRODUCTS
    + """
            where p.product_key = :key or p.product_key in (select external_key from product_book where key = :key)
            or p.price_keys && (select coalesce(array_agg(alias), '{{}}') from product_book_aliases where key = :key)
            or p.product_key in (select alias from product_book_aliases where key = :key))""",
}


#: A credit is judged under the terms of an earlier charge of the same customer: what moves that one moves it too.
_CREDITS = """
    exists (select from transaction_lines c where c.transaction_key = t.key and c.gross_minor < c.discount_minor)
    and exists (select from transactions p where p.provider = t.provider
        and p.provider_customer_key = t.provider_customer_key and p.occurred_at <= t.occurred_at
        and p.occurred_at >= coalesce(cast(:since as timestamptz), '-infinity') and ({condition}))"""


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
    )


def save_product(
    connection: Connection,
    *,
    name: str,
    external_key: str | None,
    aliases: Sequence[str] = (),
    effective_from: datetime | None = None,
    now: datetime,
) -> str:
    """Add a product book entry or rename the one with this provider id; its key.

    The first name given by a person holds from the beginning of time, a later one from `effective_from` or now.
    It keeps that name, whatever the provider's catalogue says afterwards (but see `infra.catalogue_changes`).
    """
    own_program(connection)
    known = fetch(connection, "select * from product_book where external_key = :key", key=external_key)
    key = known[0].key if known else ids.derived("pbook", external_key or name)
    insert_rows(connection, tables.product_book, [{"key": key, "external_key": external_key, "needs_review": False}])
    names = fetch(connection, "select * from product_book_names where key = :key order by version", key=key)
    added = insert_rows(
        connection, tables.product_book_aliases, [{"alias": alias, "key": key} for alias in sorted(set(aliases))]
    )
    if names and names[-1].name == name and not known[0].needs_review and not added:
        return key
    first = not names or known[0].needs_review
    since = effective_from or (None if first else now)
    version = len(names) + 1
    insert_rows(
        connection,
        tables.product_book_names,
        [{"key": key, "version": version, "effective_from": since, "name": name}],
    )
    connection.execute(
        text("update product_book set needs_review = false, follows_provider_from = null where key = :key"),
        {"key": key},
    )
    _changed(connection, Rejudge("product_book", key, since), version, now)
    return key


def save_partner(
    connection: Connection,
    *,
    partner_key: str,
    name: str | None = None,
    email: str | None = None,
    group: str | None = None,
    tags: Sequence[str] = (),
    country: str | None = None,
    joined_at: datetime | None = None,
    effective_from: datetime | None = None,
    metadata: Mapping[str, str] | None = None,
    now: datetime,
) -> None:
    """Add a partner, or give an existing one a new group, tags or country from `effective_from` or now."""
    own_program(connection)
    partner = {"partner_key": partner_key, "name": name, "email": email, "joined_at": joined_at or now}
    insert_rows(connection, tables.partners, [partner])
    known = fetch(
        connection, "select * from partner_versions where partner_key = :key order by version", key=partner_key
    )
    wanted: dict[str, Any] = {
        "group": group,
        "tags": sorted(set(tags)),
        "country": country,
        "metadata": dict(metadata or {}),
    }
    if known and all(getattr(known[-1], column) == value for column, value in wanted.items()):
        return
    since = effective_from or (now if known else None)
    version = len(known) + 1
    row = {"partner_key": partner_key, "version": version, "effective_from": since, **wanted}
    insert_rows(connection, tables.partner_versions, [row])
    _changed(connection, Rejudge("partner", partner_key, since), version, now)


def warnings_about(
    connection: Connection, reader: ProgramReader, saved: Trigger, now: datetime
) -> list[TriggerWarning]:
    """What a program manager should know about a trigger, given everything else that is in force."""
    program = reader.read(connection)
    in_effect = (in_force(versions, now) for versions in program.triggers.values())
    others = [trigger for trigger in in_effect if trigger is not None]
    return warnings_for(saved, others, program.catalogue, program.partners, now, program.zone)


def save_trigger(connection: Connection, key: str, document: Mapping[str, Any], now: datetime) -> tuple[Trigger, bool]:
    """Save a trigger's next version, and whether that changed anything. Raises Rejected with every mistake.

    Takes effect now unless the document says otherwise; saying again what is in force makes no version.
    """
    own_program(connection)
    draft = parse_trigger(document)
    rows = fetch(connection, "select * from trigger_versions where key = :key order by version", key=key)
    if rows:
        current = trigger_of(rows[-1])
        repeated = draft.as_version(key, current.version, current.effective_from)
        if repeated == current:
            return current, False
    saved = draft.as_version(key, len(rows) + 1, now)
    insert_rows(connection, tables.triggers, [{"key": key}])
    insert_rows(
        connection,
        tables.trigger_versions,
        [
            {
                "key": key,
                "version": saved.version,
                "effective_from": saved.effective_from,
                "definition": render_trigger(saved),
            }
        ],
    )
    _changed(connection, Rejudge("trigger", key, saved.effective_from), saved.version, now)
    return saved, True
