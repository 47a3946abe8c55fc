"""Write what recording changed, and find the transactions it can affect."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta

from sqlalchemy import Connection

from domain.catalogue import Entry
from domain.decide import Affected
from domain.known import Changes, SubscriptionKey, Touched
from domain.products import ProductVersion
from infra import tables
from infra.ledger.shapes import (
    description_row,
    line_rows,
    provider_customer_row,
    reversal_row,
    snapshot_row,
    transaction_row,
    version_row,
)
from infra.rows import as_json, fetch, insert_rows, run


def apply_changes(connection: Connection, changes: Changes) -> None:
    """Write every change; writing the same changes twice writes them once."""
    insert_rows(connection, tables.customers, [asdict(customer) for customer in changes.customers.values()])
    people = [provider_customer_row(person) for person in changes.provider_customers.values()]
    insert_rows(connection, tables.provider_customers, people, replace=True)
    insert_rows(connection, tables.claims, [asdict(claim) for claim in changes.claims], replace=True)
    said = {(s.provider, s.provider_customer_key, s.source.event_key): s for s in changes.descriptions}
    insert_rows(connection, tables.customer_descriptions, [description_row(s) for s in said.values()], replace=True)
    links = [{"provider": p, "payment_key": key, "invoice_key": i} for (p, key), i in changes.payments.items()]
    insert_rows(connection, tables.payment_links, links, replace=True)
    insert_rows(connection, tables.reversals, [reversal_row(r) for r in changes.reversals.values()], replace=True)
    snapshots = {(s.provider, s.subscription_key, s.source.event_key): snapshot_row(s) for s in changes.snapshots}
    insert_rows(connection, tables.subscription_snapshots, list(snapshots.values()), replace=True)
    _apply_transactions(connection, changes)
    add_entries(connection, list(changes.entries.values()))
    _apply_histories(connection, changes)
    _renew_owners(connection, changes)


def _apply_transactions(connection: Connection, changes: Changes) -> None:
    paid = list(changes.transactions.values())
    if not paid:
        return
    insert_rows(connection, tables.transactions, [transaction_row(each) for each in paid], replace=True)
    lines = [line for each in paid for line in line_rows(each)]
    run(
        connection,
        """
        delete from transaction_lines l where transaction_key = any(:keys) and not exists (
            select from json_to_recordset(cast(:kept as json)) as k(transaction_key text, line_key text)
            where k.transaction_key = l.transaction_key and k.line_key = l.line_key)
        """,
        keys=[each.key for each in paid],
        kept=as_json({"transaction_key": row["transaction_key"], "line_key": row["line_key"]} for row in lines),
    )
    insert_rows(connection, tables.transaction_lines, lines, replace=True)


def add_entries(connection: Connection, entries: Sequence[Entry]) -> None:
    """Product book entries that are not there yet, with the history of their names."""
    rows = [{"key": e.key, "external_key": e.external_key, "needs_review": e.needs_review} for e in entries]
    insert_rows(connection, tables.product_book, rows)
    names = [
        {"key": entry.key, "version": number, "effective_from": name.effective_from, "name": name.name}
        for entry in entries
        for number, name in enumerate(entry.names, 1)
    ]
    insert_rows(connection, tables.product_book_names, names)


# Products: versions of the window replace what was there.


def _apply_histories(connection: Connection, changes: Changes) -> None:
    if not changes.histories:
        return
    run(
        connection,
        """
        delete from product_history h using json_to_recordset(cast(:wanted as json))
            as w(provider text, subscription_key text, since timestamptz)
        where h.provider = w.provider and h.subscription_key = w.subscription_key and h.effective_at >= w.since
        """,
        wanted=_places({place: since for place, (since, _) in changes.histories.items()}),
    )
    rows = [
        version_row((*place, product), version)
        for place, (_, products) in changes.histories.items()
        for product, versions in products.items()
        for version in versions
    ]
    insert_rows(connection, tables.product_history, rows, replace=True)
    _renew_products(connection, changes.histories)


#: Whose a subscription is: its own newest word, whoever pays for it; only a payment's where it never spoke.
_OWNER = """
    coalesce((
        select s.provider_customer_key from subscription_snapshots s
        where s.provider = w.provider and s.subscription_key = w.subscription_key
        order by s.effective_at desc, s.source_version desc, s.source_rank desc, s.event_key collate "C" desc limit 1
    ), (
        select t.provider_customer_key from transaction_lines l join transactions t on t.key = l.transaction_key
        where l.provider = w.provider and l.subscription_key = w.subscription_key
            and t.provider_customer_key is not null
        order by l.occurred_at desc, l.transaction_key collate "C" desc limit 1
    ))
"""


def _renew_owners(connection: Connection, changes: Changes) -> None:
    """Whose products are that this batch names another customer for, though their history is what it was."""
    named = {(s.provider, s.subscription_key, s.provider_customer_key) for s in changes.snapshots}
    named |= {
        (paid.provider, line.subscription_key, paid.provider_customer_key)
        for paid in changes.transactions.values()
        for line in paid.lines
        if line.subscription_key is not None and paid.provider_customer_key is not None
    }
    if not named:
        return
    run(
        connection,
        f"""
        update products p set provider_customer_key = owned.owner from (
            select distinct w.provider, w.subscription_key, {_OWNER} as owner
            from json_to_recordset(cast(:named as json)) as w(provider text, subscription_key text, customer text)
            where exists (select from products o where o.provider = w.provider
                and o.subscription_key = w.subscription_key and o.provider_customer_key is distinct from w.customer)
        ) owned
        where p.provider = owned.provider and p.subscription_key = owned.subscription_key
            and p.provider_customer_key is distinct from owned.owner
        """,
        named=as_json({"provider": p, "subscription_key": key, "customer": c} for p, key, c in sorted(named)),
    )


def _renew_products(
    connection: Connection,
    histories: Mapping[SubscriptionKey, tuple[datetime, Mapping[str, tuple[ProductVersion, ...]]]],
) -> None:
    """Make each product's row what its history's last version says; one without history is gone."""
    run(
        connection,
        f"""
        with wanted as (
            select w.provider, w.subscription_key, {_OWNER} as owner
            from json_to_recordset(cast(:wanted as json)) as w(provider text, subscription_key text)
        ), latest as (
            select distinct on (h.provider, h.subscription_key, h.product_key) h.*, w.owner,
                min(h.effective_at) filter (where h.status in ('trial', 'active')) over product as purchased_at,
                min(h.effective_at) over product as seen_at
            from wanted w join product_history h using (provider, subscription_key)
            window product as (partition by h.provider, h.subscription_key, h.product_key)
            order by h.provider, h.subscription_key, h.product_key, h.effective_at desc
        ), gone as (
            delete from products p using wanted w
            where p.provider = w.provider and p.subscription_key = w.subscription_key and not exists (
                select from latest l where l.provider = p.provider and l.subscription_key = p.subscription_key
                    and l.product_key = p.product_key)
        )
        insert into products as p (provider, subscription_key, product_key, provider_customer_key, status,
            provider_status, amount_minor, quantity, currency, price_keys, purchased_at, seen_at)
        select provider, subscription_key, product_key, owner, status,
            provider_status, amount_minor, quantity, currency, price_keys, purchased_at, seen_at from latest
        on conflict (provider, subscription_key, product_key) do update set
            provider_customer_key = excluded.provider_customer_key,
            status = excluded.status, provider_status = excluded.provider_status,
            amount_minor = excluded.amount_minor, quantity = excluded.quantity, currency = excluded.currency,
            price_keys = excluded.price_keys, purchased_at = excluded.purchased_at, seen_at = excluded.seen_at
        """,
        wanted=as_json({"provider": place[0], "subscription_key": place[1]} for place in histories),
    )


def _places(since: Mapping[SubscriptionKey, datetime]) -> str:
    return as_json(
        {"provider": provider, "subscription_key": key, "since": moment} for (provider, key), moment in since.items()
    )


# What must be judged again.

_AFFECTED = """
with customers as (
    select * from json_to_recordset(cast(:customers as json)) as w(provider text, key text, since timestamptz, cause text)
), subscriptions as (
    select * from json_to_recordset(cast(:subscriptions as json))
        as w(provider text, key text, since timestamptz, cause text)
), followers as (
    select * from json_to_recordset(cast(:followers as json)) as w(provider text, key text, since timestamptz, cause text)
), led as (
    select * from json_to_recordset(cast(:led as json)) as w(reference text, since timestamptz, cause text)
), directly as (
    select t.key, t.provider, t.provider_customer_key, t.occurred_at, w.cause from customers w
    join transactions t on t.provider = w.provider and t.provider_customer_key = w.key and t.occurred_at >= w.since
    union all
    select t.key, t.provider, t.provider_customer_key, t.occurred_at, w.cause from followers w
    join provider_customers mine on mine.provider = w.provider and mine.provider_customer_key = w.key
    join provider_customers other on other.customer = mine.customer
    join transactions t on t.provider = other.provider and t.provider_customer_key = other.provider_customer_key
        and t.occurred_at >= w.since
    union all
    select t.key, t.provider, t.provider_customer_key, t.occurred_at, w.cause from subscriptions w
    join transaction_lines l on l.provider = w.provider and l.subscription_key = w.key
        and l.occurred_at >= w.since - make_interval(secs => :horizon_s)
    join transactions t on t.key = l.transaction_key
    union all
    select t.key, t.provider, t.provider_customer_key, t.occurred_at, w.cause from led w
    join transaction_lines l on l.provider = 'api' and l.subscription_key = w.reference
        and l.occurred_at >= w.since - make_interval(secs => :horizon_s)
    join transactions t on t.key = l.transaction_key
), credited as (
    select provider, key, min(since) as since, min(cause) as cause from (
        select * from json_to_recordset(cast(:credits as json)) as w(provider text, key text, since timestamptz, cause text)
        union all
        select provider, provider_customer_key, occurred_at, cause from directly where provider_customer_key is not null
    ) earlier group by provider, key
), charged as (
    select provider, key, min(since) as since, min(cause) as cause from (
        select * from json_to_recordset(cast(:credited as json)) as w(provider text, key text, since timestamptz, cause text)
        union all
        select l.provider, l.subscription_key, l.occurred_at, directly.cause from directly
        join transaction_lines l on l.transaction_key = directly.key where l.subscription_key is not null
    ) earlier group by provider, key
)
select key, min(cause) as cause from (
    select key, cause from directly
    union all
    select t.key, w.cause from credited w
    join transactions t on t.provider = w.provider and t.provider_customer_key = w.key and t.occurred_at >= w.since
    where exists (select from transaction_lines l where l.transaction_key = t.key and l.gross_minor < l.discount_minor)
    union all
    select t.key, w.cause from charged w
    join transaction_lines l on l.provider = w.provider and l.subscription_key = w.key and l.occurred_at >= w.since
    join transactions t on t.key = l.transaction_key where l.gross_minor < l.discount_minor
) affected group by key order by key
"""  # noqa: E501


#: The latest charge before a credit that it may be of.
_CHARGE = """(
    select p.transaction_key from transaction_lines p
    join transactions t on t.key = p.transaction_key and t.currency = credits.currency
    where p.provider = credits.provider and p.subscription_key = credits.subscription_key
        and p.product_key = credits.product_key and p.gross_minor > p.discount_minor
        and p.occurred_at <= credits.occurred_at
        and (p.occurred_at, p.transaction_key collate "C") < (credits.occurred_at, credits.key) {besides}
    order by p.occurred_at desc, p.transaction_key collate "C" desc limit 1
)"""
#: A whole that is credited takes back of the latest charge that any of its lines is of, what earlier ones left of that.
#: Where it may be of another charge now, so do other credits on all that was charged together with either: with the
#: charge that each line is of now, and with the latest that was not told anew, of which it may have been before.
_BEYOND = f"""
with credits as (
    select t.key, t.provider, t.currency, t.occurred_at, c.subscription_key, c.product_key
    from transactions t join transaction_lines c on c.transaction_key = t.key and c.gross_minor < c.discount_minor
    where t.key = any(:found)
), charges as (
    select credits.key as credit, credits.occurred_at, charge.transaction_key from credits cross join lateral (
        {_CHARGE.format(besides="")} union {_CHARGE.format(besides="and p.transaction_key <> all(:told)")}
    ) charge
)
select distinct also.transaction_key as key, charges.credit from charges
join transaction_lines l on l.transaction_key = charges.transaction_key
join transaction_lines also on also.provider = l.provider and also.subscription_key = l.subscription_key
    and also.occurred_at >= charges.occurred_at and also.gross_minor < also.discount_minor
"""


def affected(connection: Connection, touched: Touched, horizon: timedelta, *, with_wholes: bool = True) -> Affected:
    """What must be judged again, each with its cause; payments on a subscription as far back as `horizon`.

    `with_wholes`: False where no trigger is judged on whole payments.
    """
    found = Affected(dict(touched.transactions), {}, dict(touched.moved))
    if touched.customers or touched.subscriptions or touched.credits or touched.credited:
        rows = fetch(
            connection,
            _AFFECTED,
            customers=_moments(touched.customers),
            subscriptions=_moments(touched.subscriptions),
            credits=_moments(touched.credits),
            credited=_moments(touched.credited),
            followers=_moments(touched.followers),
            led=as_json(
                {"reference": reference, "since": since, "cause": cause}
                for reference, (since, cause) in touched.references.items()
            ),
            horizon_s=horizon.total_seconds(),
        )
        for row in rows:
            found.transactions.setdefault(row.key, row.cause)
    if touched.credited and with_wholes:
        _add_beyond(connection, touched, found)
    for place, (_, cause) in (*touched.customers.items(), *touched.followers.items()):
        found.people.setdefault(place, cause)
    return found


def _add_beyond(connection: Connection, touched: Touched, found: Affected) -> None:
    rows = fetch(connection, _BEYOND, found=sorted(found.transactions), told=sorted(touched.transactions))
    causes: dict[str, str] = {}
    for row in rows:
        cause = found.transactions[row.credit]
        causes[row.key] = min(cause, causes.get(row.key, cause))
    for key, cause in causes.items():
        found.transactions.setdefault(key, cause)


def owners(connection: Connection, touched: Touched) -> set[tuple[SubscriptionKey, str]]:
    """Whose products are on the subscriptions touched."""
    rows = fetch(
        connection,
        """
        select distinct p.provider, p.provider_customer_key, w.key from json_to_recordset(cast(:wanted as json))
            as w(provider text, key text)
        join products p on p.provider = w.provider and p.subscription_key = w.key
        where p.provider_customer_key is not null
        """,
        wanted=_moments(touched.subscriptions),
    )
    return {((row.provider, row.key), row.provider_customer_key) for row in rows}


def add_owners(owned: Iterable[tuple[SubscriptionKey, str]], touched: Touched, found: Affected) -> None:
    """Add the customers whose products have another history now; only occasions other than payments ask for them."""
    for place, owner in sorted(owned, key=lambda each: touched.subscriptions[each[0]][1]):
        # Of several causes the first by name.
        found.people.setdefault((place[0], owner), touched.subscriptions[place][1])


def _moments(touched: Mapping[tuple[str, str], tuple[datetime, str]]) -> str:
    return as_json(
        {"provider": provider, "key": key, "since": since, "cause": cause}
        for (provider, key), (since, cause) in touched.items()
    )
