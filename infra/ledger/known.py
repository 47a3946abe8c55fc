"""Load the recorded facts that a batch of billing events can meet: a fixed number of statements per batch."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from domain import ids
from domain.catalogue import Catalogue
from domain.customers import Claim, Customer
from domain.facts import BillingEvent, CustomerLinked, CustomerSeen, SubscriptionSeen
from domain.known import Known, ProviderCustomer, ProviderCustomerKey, SubscriptionKey, SubscriptionWindow
from domain.products import Evidence, ProductVersion, second_of, state_before
from domain.record import claim_told, windows
from domain.transactions import Transaction
from infra.ledger.addresses import load_sharing
from infra.ledger.claims import load_claims
from infra.ledger.known_money import load_money
from infra.ledger.shapes import provider_customer_of, snapshot_of, version_of
from infra.rows import as_json, fetch


def load_known(
    connection: Connection, events: Sequence[BillingEvent], catalogue: Catalogue, *, by_email: bool = False
) -> Known:
    """Everything recorded that `domain.record.record` can meet while it folds these events in."""
    descriptions = load_sharing(connection, events) if by_email else None
    people = _provider_customers(connection, events, descriptions or ())
    customers, people = _customers(connection, events, people, descriptions or ())
    money = load_money(connection, events)
    return Known(
        provider_customers=people,
        customers=customers,
        descriptions=descriptions,
        claims=_claims(connection, events, people, customers, by_email=by_email),
        transactions=money.transactions,
        subscriptions=_subscriptions(connection, _since(connection, events, money.transactions)),
        catalogue=catalogue,
        payments=money.payments,
        reversals=money.reversals,
    )


def _provider_customers(
    connection: Connection, events: Iterable[BillingEvent], sharing: Iterable[ProviderCustomerKey]
) -> dict[ProviderCustomerKey, ProviderCustomer]:
    places = {(e.provider, e.provider_customer_key) for e in events if e.provider_customer_key is not None}
    places |= set(sharing)
    rows = fetch(
        connection,
        """
        select c.* from json_to_recordset(cast(:places as json)) as w(provider text, key text)
        join provider_customers c on c.provider = w.provider and c.provider_customer_key = w.key
        """,
        places=as_json({"provider": provider, "key": key} for provider, key in places),
    )
    return {(row.provider, row.provider_customer_key): provider_customer_of(row) for row in rows}


def _customers(
    connection: Connection,
    events: Iterable[BillingEvent],
    people: dict[ProviderCustomerKey, ProviderCustomer],
    sharing: Iterable[ProviderCustomerKey],
) -> tuple[dict[str, Customer], dict[ProviderCustomerKey, ProviderCustomer]]:
    """Our customers that are described anew, and all the names under which providers know them."""
    described = [event for event in events if isinstance(event, CustomerSeen | CustomerLinked)]
    if not described:
        return {}, people
    spoken = {(e.provider, e.provider_customer_key) for e in described}.union(sharing)
    linked = {person.customer for place in spoken if (person := people.get(place)) is not None}
    rows = fetch(
        connection,
        "select * from customers where key = any(:keys) or customer_key = any(:company_keys)",
        keys=[key for key in linked if key is not None],
        company_keys=[name for e in described for name in (e.customer_key, e.provider_customer_key) if name],
    )
    customers = {row.key: Customer(row.key, row.customer_key, row.email, row.name, row.country) for row in rows}
    also = fetch(connection, "select * from provider_customers where customer = any(:keys)", keys=list(customers))
    known_as = {(row.provider, row.provider_customer_key): provider_customer_of(row) for row in also}
    return customers, known_as | people


def _claims(
    connection: Connection,
    events: Sequence[BillingEvent],
    people: Mapping[ProviderCustomerKey, ProviderCustomer],
    customers: Mapping[str, Customer],
    *,
    by_email: bool,
) -> dict[str, tuple[Claim, ...]]:
    """What was said of all of these, and of what the events claim."""
    told = [claim for event in events if (claim := claim_told(event)) is not None]
    subjects = {ids.provider_customer_subject(*place) for place in people}
    subjects |= {ids.customer_subject(key) for key in customers}
    together = [subjects] if by_email else _together(events, people, customers)
    return load_claims(connection, subjects | {claim.subject for claim in told}, together, told)


def _together(
    events: Iterable[BillingEvent],
    people: Mapping[ProviderCustomerKey, ProviderCustomer],
    customers: Mapping[str, Customer],
) -> list[set[str]]:
    """Per customer the subjects that say whose it is: under the names it has, and under those it may get now."""
    called = {customer.customer_key: key for key, customer in customers.items()}
    found = {key: {ids.customer_subject(key)} for key in customers}
    for place, person in people.items():
        if person.customer is not None:
            found.setdefault(person.customer, set()).add(ids.provider_customer_subject(*place))
    for event in events:
        if isinstance(event, CustomerSeen | CustomerLinked):
            subject = ids.provider_customer_subject(event.provider, event.provider_customer_key)
            for company_key in filter(None, (event.customer_key, event.provider_customer_key)):
                found.setdefault(called.get(company_key, company_key), set()).add(subject)
    return list(found.values())


# Subscriptions, from the moment on that the batch can change.

_WANTED = """
with wanted as (
    select * from json_to_recordset(cast(:wanted as json)) as w(provider text, subscription_key text, since timestamptz)
)
"""


def _since(
    connection: Connection, events: Sequence[BillingEvent], paid: Mapping[str, Transaction]
) -> dict[SubscriptionKey, datetime]:
    """`domain.record.windows`, reaching further back where a replayed event was recorded at an earlier moment."""
    since = windows(events, paid)
    seen = [e for e in events if isinstance(e, SubscriptionSeen)]
    if not seen:
        return since
    rows = fetch(
        connection,
        """
        select s.provider, s.subscription_key, s.effective_at
        from json_to_recordset(cast(:seen as json)) as w(provider text, subscription_key text, event_key text)
        join subscription_snapshots s using (provider, subscription_key, event_key)
        """,
        seen=as_json(
            {"provider": e.provider, "subscription_key": e.subscription_key, "event_key": e.source.event_key}
            for e in seen
        ),
    )
    for row in rows:
        place = (row.provider, row.subscription_key)
        since[place] = min(since[place], second_of(row.effective_at))
    return since


def _subscriptions(
    connection: Connection, since: Mapping[SubscriptionKey, datetime]
) -> dict[SubscriptionKey, SubscriptionWindow]:
    if not since:
        return {}
    wanted = as_json(
        {"provider": provider, "subscription_key": key, "since": moment} for (provider, key), moment in since.items()
    )
    parts = _Parts(since)
    parts.add_snapshots(fetch(connection, _WANTED + _SNAPSHOTS, wanted=wanted))
    parts.add_versions(fetch(connection, _WANTED + _VERSIONS, wanted=wanted))
    parts.add_evidence(fetch(connection, _WANTED + _EVIDENCE, wanted=wanted))
    return {place: parts.window(place) for place in since}


#: Snapshots of the window, those before it as far back as `domain.products.state_before` asks, and whichever ended
#: the subscription for good. A provider numbers all of a subscription's snapshots or none.
_SNAPSHOTS = """
select s.*, s.effective_at >= wanted.since as inside from wanted
join subscription_snapshots s using (provider, subscription_key)
where s.effective_at >= coalesce(
    (select b.effective_at from subscription_snapshots b
     where b.provider = wanted.provider and b.subscription_key = wanted.subscription_key
       and b.effective_at < wanted.since
     group by b.effective_at having count(*) = 1 and not bool_or(b.items_missing)
       and (max(b.source_version) = 0 or not exists (
         select from subscription_snapshots o
         where o.provider = wanted.provider and o.subscription_key = wanted.subscription_key
           and o.effective_at < b.effective_at and o.source_version > max(b.source_version)))
     order by b.effective_at desc limit 1), '-infinity')
   or (s.ended and s.absorbing)
"""

#: Per product its versions in the window, and the last one before it.
_VERSIONS = """
select h.*, h.effective_at >= wanted.since as inside from wanted
join products p using (provider, subscription_key)
cross join lateral (
    (select * from product_history v where v.provider = p.provider and v.subscription_key = p.subscription_key
        and v.product_key = p.product_key and v.effective_at < wanted.since order by v.effective_at desc limit 1)
    union all
    (select * from product_history v where v.provider = p.provider and v.subscription_key = p.subscription_key
        and v.product_key = p.product_key and v.effective_at >= wanted.since)
) h
order by h.product_key, h.effective_at
"""

#: Per product its paid lines in the window, and the last recurring one before it.
_EVIDENCE = """
select l.*, t.currency, l.occurred_at >= wanted.since as inside from wanted
join products p using (provider, subscription_key)
cross join lateral (
    (select * from transaction_lines e where e.provider = p.provider and e.subscription_key = p.subscription_key
        and e.product_key = p.product_key and e.occurred_at < wanted.since
        and e.recurring and e.gross_minor > e.discount_minor order by e.occurred_at desc limit 1)
    union all
    (select * from transaction_lines e where e.provider = p.provider and e.subscription_key = p.subscription_key
        and e.product_key = p.product_key and e.occurred_at >= wanted.since and e.gross_minor > e.discount_minor)
) l
join transactions t on t.key = l.transaction_key
"""


class _Parts:
    """Rows of several subscriptions, sorted into windows; lives only inside `_subscriptions`."""

    def __init__(self, since: Mapping[SubscriptionKey, datetime]) -> None:
        self.since = since
        self.inside: dict[SubscriptionKey, list[SubscriptionSeen]] = {}
        self.before: dict[SubscriptionKey, list[SubscriptionSeen]] = {}
        self.versions: dict[SubscriptionKey, dict[str, list[ProductVersion]]] = {}
        self.states: dict[SubscriptionKey, dict[str, ProductVersion]] = {}
        self.evidence: dict[SubscriptionKey, list[tuple[str, Evidence]]] = {}
        self.proven_before: dict[SubscriptionKey, list[Evidence]] = {}

    def add_snapshots(self, rows: Iterable[Any]) -> None:
        for row in rows:
            kept = self.inside if row.inside else self.before
            kept.setdefault((row.provider, row.subscription_key), []).append(snapshot_of(row))

    def add_versions(self, rows: Iterable[Any]) -> None:
        for row in rows:
            place = (row.provider, row.subscription_key)
            if row.inside:
                self.versions.setdefault(place, {}).setdefault(row.product_key, []).append(version_of(row))
            else:
                self.states.setdefault(place, {})[row.product_key] = version_of(row)

    def add_evidence(self, rows: Iterable[Any]) -> None:
        for row in rows:
            place = (row.provider, row.subscription_key)
            proof = Evidence(row.product_key, row.occurred_at, row.recurring, row.currency, tuple(row.price_keys))
            if row.inside:
                self.evidence.setdefault(place, []).append((row.transaction_key, proof))
            else:
                self.proven_before.setdefault(place, []).append(proof)

    def window(self, place: SubscriptionKey) -> SubscriptionWindow:
        earlier = self.before.get(place, ()), self.proven_before.get(place, ())
        return SubscriptionWindow(
            since=self.since[place],
            before=state_before(self.states.get(place, {}), *earlier),
            snapshots=tuple(self.inside.get(place, ())),
            evidence=tuple(self.evidence.get(place, ())),
            versions={product: tuple(found) for product, found in self.versions.get(place, {}).items()},
        )
