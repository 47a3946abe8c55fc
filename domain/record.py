"""Fold billing events into what is already known, and say which transactions that can affect.

`record` is the first half of deciding: it changes facts and product status, never money; `domain.judge` is the other
half. Both are pure, and run again on the same events both change nothing.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from domain import ids
from domain.catalogue import placeholder
from domain.customers import Attribution, Claim, Customer, attributions, first_difference
from domain.facts import (
    BillingEvent,
    CustomerSeen,
    InvoicePaid,
    InvoicePayment,
    Reversal,
    SubscriptionItem,
    SubscriptionSeen,
)
from domain.known import (
    BEGINNING,
    Changes,
    Known,
    ProviderCustomer,
    ProviderCustomerKey,
    SubscriptionKey,
    SubscriptionWindow,
    note_earliest,
)
from domain.products import Evidence, ProductVersion, fold
from domain.record_money import cause_of, record_money
from domain.transactions import Line, Transaction, transaction_of


def record(events: Sequence[BillingEvent], known: Known, lookback: timedelta) -> Changes:
    """What the events change. Any order, repetition or split into batches ends in the same recorded facts."""
    changes = Changes()
    _record_customers([e for e in events if isinstance(e, CustomerSeen)], known, lookback, changes)
    told = record_money(events, known, changes)
    seen = [e for e in events if isinstance(e, SubscriptionSeen)]
    _record_subscriptions(seen, told, known, lookback, changes)
    _note_unknown_customers(events, known, changes)
    _note_unknown_products(known, changes)
    return changes


def _note_unknown_customers(events: Iterable[BillingEvent], known: Known, changes: Changes) -> None:
    for event in events:
        if event.provider_customer_key is not None:
            place = (event.provider, event.provider_customer_key)
            if place not in known.provider_customers and place not in changes.provider_customers:
                changes.provider_customers[place] = ProviderCustomer(*place)


# Customers: who they are, whom they are linked to, whose they are.


def _record_customers(events: list[CustomerSeen], known: Known, lookback: timedelta, changes: Changes) -> None:
    before = _histories(known, known.provider_customers.values(), known.claims, lookback)
    people = dict(known.provider_customers)
    claims = {subject: list(said) for subject, said in known.claims.items()}
    causes: dict[str, str] = {}
    described: dict[ProviderCustomerKey, tuple[datetime, str]] = {}
    for seen in events:
        place = (seen.provider, seen.provider_customer_key)
        person = people.get(place) or ProviderCustomer(*place)
        people[place] = _linked(_described(person, seen), seen, known, changes)
        changes.descriptions.append(seen)
        if (since := _described_since(person, people[place], seen)) is not None:
            note_earliest(described, place, since, cause_of(seen))
        if person.customer is not None:
            causes.setdefault(person.customer, cause_of(seen))  # it may have just lost what was said of this one
        if people[place] != person or place not in known.provider_customers:
            changes.provider_customers[place] = people[place]
        if seen.partner_key is not None:
            subject = ids.provider_customer_subject(*place)
            claim = Claim(subject, seen.partner_key, seen.member_key, seen.source.occurred_at, cause_of(seen))
            _claim(claim, claims, changes)
        if customer := people[place].customer:
            causes.setdefault(customer, cause_of(seen))
    _touch_described(described, people, changes)
    after = _histories(known, people.values(), claims, lookback)
    _touch_moved(known, people, causes, (before, after), changes)


def _described(person: ProviderCustomer, seen: CustomerSeen) -> ProviderCustomer:
    """The newest description wins; a deletion stays, whatever comes late."""
    at = seen.source.occurred_at
    person = replace(
        person,
        deleted=person.deleted or seen.deleted,
        created_at=min(seen.created_at or at, person.created_at or seen.created_at or at),
        described_at=min(at, person.described_at or at),
    )
    if person.source is not None and seen.source <= person.source:
        return person
    return replace(
        person, source=seen.source, email=seen.email, name=seen.name, country=seen.country, metadata=seen.metadata
    )


def _described_since(before: ProviderCustomer, after: ProviderCustomer, seen: CustomerSeen) -> datetime | None:
    """From when on rules may read something else of the customer; the first word holds from ever."""
    if before.described_at != after.described_at or before.created_at != after.created_at:
        return BEGINNING
    if before.source == seen.source or (before.source != after.source and _said(before) == _said(after)):
        return None
    return seen.source.occurred_at


def _touch_described(
    described: Mapping[ProviderCustomerKey, tuple[datetime, str]],
    people: Mapping[ProviderCustomerKey, ProviderCustomer],
    changes: Changes,
) -> None:
    """What is said of a customer under one name is known of it under all."""
    for place, (since, cause) in described.items():
        customer = people[place].customer
        for other, person in people.items() if customer is not None else ():
            if person.customer == customer:
                note_earliest(changes.touched.customers, other, since, cause)
        note_earliest(changes.touched.customers, place, since, cause)


def _said(person: ProviderCustomer) -> tuple[object, ...]:
    return person.email, person.country, person.metadata


def _linked(person: ProviderCustomer, seen: CustomerSeen, known: Known, changes: Changes) -> ProviderCustomer:
    """Link by the company's own id; a partner's name alone makes a customer known under its provider id."""
    if seen.customer_key is not None:
        if person.link_source is not None and seen.source <= person.link_source:
            return person
        return replace(person, link_source=seen.source, customer=_customer(seen.customer_key, known, changes))
    if seen.partner_key is not None and person.customer is None:
        return replace(person, customer=_customer(seen.provider_customer_key, known, changes))
    return person


def _customer(company_key: str, known: Known, changes: Changes) -> str:
    """The key of our customer. What a provider says of it stays with the provider's: there the newest word wins."""
    by_company_key = (c.key for c in known.customers.values() if c.customer_key == company_key)
    key = next(by_company_key, None) or ids.customer_key(company_key)
    if key not in known.customers and key not in changes.customers:
        changes.customers[key] = Customer(key, company_key)
    return key


def _claim(claim: Claim, claims: dict[str, list[Claim]], changes: Changes) -> bool:
    said = claims.setdefault(claim.subject, [])
    if claim in said:
        return False
    claims[claim.subject] = [c for c in said if c.cause != claim.cause] + [claim]
    changes.claims.append(claim)
    return True


def _histories(
    known: Known, people: Iterable[ProviderCustomer], claims: Mapping[str, Sequence[Claim]], lookback: timedelta
) -> dict[str, tuple[Attribution, ...]]:
    """Each customer's attributions, from what was said of it under any of its names."""
    said: dict[str, list[Claim]] = {}
    for person in people:
        if person.customer is not None:
            subject = ids.provider_customer_subject(person.provider, person.key)
            own = ids.customer_subject(person.customer)
            said.setdefault(person.customer, list(claims.get(own, ()))).extend(claims.get(subject, ()))
    return {customer: attributions(spoken, lookback) for customer, spoken in said.items()}


def _joined_or_left(known: Known, people: Mapping[tuple[str, str], ProviderCustomer]) -> set[str]:
    """Our customers that a provider's customer has just been linked to, or taken from."""
    moved: set[str | None] = set()
    for place, person in people.items():
        earlier = known.provider_customers.get(place)
        was = earlier.customer if earlier is not None else None
        if was != person.customer:
            moved |= {was, person.customer}
    return {customer for customer in moved if customer is not None}


def _touch_moved(
    known: Known,
    people: Mapping[tuple[str, str], ProviderCustomer],
    causes: Mapping[str, str],
    histories: tuple[Mapping[str, tuple[Attribution, ...]], Mapping[str, tuple[Attribution, ...]]],
    changes: Changes,
) -> None:
    """Customers whose partner changed from some moment on, and those that were linked just now."""
    before, after = histories
    joined = _joined_or_left(known, people)
    for customer in joined:
        changes.touched.moved.setdefault(customer, causes[customer])
    for place, person in people.items():
        if person.customer is None or person.customer not in causes:
            continue
        cause = causes[person.customer]
        if person.customer in joined:
            # Even where nobody is attributed: a subscription may have a partner of its own. And whoever has
            # another name now has other payments before each payment.
            note_earliest(changes.touched.customers, place, BEGINNING, cause)
            continue
        since = first_difference(before.get(person.customer, ()), after.get(person.customer, ()))
        if since is not None:
            note_earliest(changes.touched.customers, place, since, cause)


# Subscriptions: product status, from snapshots and from what was paid.


def windows(events: Iterable[BillingEvent], known: Mapping[str, Transaction]) -> dict[SubscriptionKey, datetime]:
    """From when on each subscription must be folded again, given the transactions already known."""
    since: dict[SubscriptionKey, tuple[datetime, str]] = {}
    for event in events:
        match event:
            case SubscriptionSeen():
                note_earliest(since, (event.provider, event.subscription_key), event.effective_at, "")
            case InvoicePaid():
                paid = transaction_of(event)
                for version in (paid, known.get(paid.key, paid)):
                    for line in _proofs(version):
                        place = (version.provider, str(line.subscription_key))
                        note_earliest(since, place, version.occurred_at, "")
            case CustomerSeen() | InvoicePayment() | Reversal():
                pass
    return {place: moment for place, (moment, _) in since.items()}


def _proofs(paid: Transaction) -> Iterator[Line]:
    """The lines that prove their product was bought."""
    return (line for line in paid.lines if line.subscription_key and line.product_key and line.net_minor > 0)


def _record_subscriptions(
    events: list[SubscriptionSeen], told: Sequence[Transaction], known: Known, lookback: timedelta, changes: Changes
) -> None:
    causes = {(e.provider, e.subscription_key): cause_of(e) for e in reversed(events)}
    for paid in told:
        for version in (paid, known.transactions.get(paid.key, paid)):
            for line in _proofs(version):
                place = (paid.provider, str(line.subscription_key))
                causes.setdefault(place, f"{paid.provider}:{paid.source.event_key}")
    seen: dict[SubscriptionKey, list[SubscriptionSeen]] = {}
    for event in events:
        seen.setdefault((event.provider, event.subscription_key), []).append(event)
    proven: dict[SubscriptionKey, list[Evidence]] = {}
    for paid in told:
        for line in _proofs(paid):
            proven.setdefault((paid.provider, str(line.subscription_key)), []).append(_evidence(line, paid))
    again = {paid.key for paid in told}
    for place, window in known.subscriptions.items():
        if place in causes:
            evidence = [proof for paid, proof in window.evidence if paid not in again] + proven.get(place, [])
            _fold_again(place, window, (seen.get(place, []), evidence), causes[place], changes)
    _record_subscription_claims(events, known, lookback, changes)


def _fold_again(
    place: SubscriptionKey,
    window: SubscriptionWindow,
    news: tuple[list[SubscriptionSeen], list[Evidence]],
    cause: str,
    changes: Changes,
) -> None:
    events, evidence = news
    snapshots = {seen.source.event_key: seen for seen in window.snapshots}
    for seen in events:
        if snapshots.get(seen.source.event_key) != seen:
            snapshots[seen.source.event_key] = seen
            changes.snapshots.append(seen)
    versions = fold(window.before, snapshots.values(), evidence)
    if versions == dict(window.versions):
        return
    changes.histories[place] = (window.since, versions)
    changed = (set(_flat(versions)) ^ set(_flat(window.versions))) or set(_flat(versions))
    note_earliest(changes.touched.subscriptions, place, min(moment for moment, _ in changed), cause)


def _flat(versions: Mapping[str, tuple[ProductVersion, ...]]) -> Iterator[tuple[datetime, tuple[str, ProductVersion]]]:
    return ((v.effective_at, (product, v)) for product, history in versions.items() for v in history)


def _evidence(line: Line, paid: Transaction) -> Evidence:
    return Evidence(str(line.product_key), paid.occurred_at, line.recurring, paid.currency, line.price_keys)


def _record_subscription_claims(
    events: list[SubscriptionSeen], known: Known, lookback: timedelta, changes: Changes
) -> None:
    """A subscription whose metadata names a partner is that partner's, whoever has the customer."""
    claims = {subject: list(said) for subject, said in known.claims.items()}
    for seen in events:
        if seen.partner_key is None:
            continue
        subject = ids.subscription_subject(seen.provider, seen.subscription_key)
        before = attributions(claims.get(subject, ()), lookback)
        claim = Claim(subject, seen.partner_key, seen.member_key, seen.source.occurred_at, cause_of(seen))
        if _claim(claim, claims, changes):
            since = first_difference(before, attributions(claims[subject], lookback))
            if since is not None:
                place = (seen.provider, seen.subscription_key)
                note_earliest(changes.touched.subscriptions, place, since, cause_of(seen))


# Catalogue: a sold product that the book lacks gets an entry of its own.


def _note_unknown_products(known: Known, changes: Changes) -> None:
    for provider, product_key, price_keys in _sold(changes):
        if known.catalogue.match(price_keys, product_key) is None:
            entry = placeholder(provider, product_key)
            changes.entries[entry.key] = entry


def _sold(changes: Changes) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    for paid in changes.transactions.values():
        for line in paid.lines:
            if line.product_key is not None:
                yield paid.provider, line.product_key, line.price_keys
    for seen in changes.snapshots:
        items: tuple[SubscriptionItem, ...] = seen.items
        yield from ((seen.provider, item.product_key, item.price_keys) for item in items)
