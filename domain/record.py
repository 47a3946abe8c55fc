"""Fold billing events into what is already known, and say which transactions that can affect.

`record` is the first half of deciding: it changes facts and product status, never money; `domain.judge` is the other
half. Both are pure, and run again on the same events both change nothing.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from domain import ids
from domain.catalogue import placeholder
from domain.customers import Claim, attributions, first_difference
from domain.facts import (
    BillingEvent,
    CustomerLinked,
    CustomerSeen,
    InvoicePaid,
    InvoicePayment,
    ProductClaimed,
    Reversal,
    SubscriptionItem,
    SubscriptionSeen,
)
from domain.known import (
    BEGINNING,
    Changes,
    Known,
    SubscriptionKey,
    SubscriptionWindow,
    note_earliest,
)
from domain.products import Evidence, ProductVersion, fold, second_of
from domain.record_customers import add_claim, customer_claim, note_unknown_customers, record_customers
from domain.record_money import cause_of, record_money
from domain.transactions import Line, Transaction


def record(events: Sequence[BillingEvent], known: Known, lookback: timedelta) -> Changes:
    """What the events change. Any order, repetition or split into batches ends in the same recorded facts."""
    changes = Changes()
    spoken = [e for e in events if isinstance(e, CustomerSeen | CustomerLinked)]
    record_customers(spoken, known, lookback, changes)
    told = record_money(events, known, changes)
    seen = [e for e in events if isinstance(e, SubscriptionSeen)]
    _record_subscriptions(seen, told, known, changes)
    _record_sale_claims(
        [e for e in events if isinstance(e, SubscriptionSeen | ProductClaimed)], known, lookback, changes
    )
    note_unknown_customers(events, known, changes)
    _note_unknown_products(known, changes)
    return changes


# Subscriptions: product status, from snapshots and from what was paid.


def windows(events: Iterable[BillingEvent], known: Mapping[str, Transaction]) -> dict[SubscriptionKey, datetime]:
    """From when on each subscription must be folded again, given the transactions already known."""
    since: dict[SubscriptionKey, tuple[datetime, str]] = {}
    for event in events:
        match event:
            case SubscriptionSeen():
                # What was paid earlier in the same second may be of this one; see `domain.products.Evidence`.
                note_earliest(since, (event.provider, event.subscription_key), second_of(event.effective_at), "")
            case InvoicePaid():
                for subscription_key in _subscriptions_proven(event):
                    note_earliest(since, (event.provider, subscription_key), event.paid_at, "")
                if (recorded := known.get(ids.transaction_key(event.provider, event.invoice_key))) is not None:
                    for line in _proofs(recorded):
                        place = (event.provider, str(line.subscription_key))
                        note_earliest(since, place, recorded.occurred_at, "")
            case CustomerSeen() | CustomerLinked() | ProductClaimed() | InvoicePayment() | Reversal():
                pass
    return {place: moment for place, (moment, _) in since.items()}


def _subscriptions_proven(event: InvoicePaid) -> set[str]:
    """The subscriptions of what would be `_proofs`."""
    net_minor: dict[tuple[str, str], int] = {}
    for line in event.lines:
        if line.subscription_key and line.product_key:
            place = (line.subscription_key, line.product_key)
            net_minor[place] = net_minor.get(place, 0) + line.amount_minor - line.discount_minor
    return {subscription_key for (subscription_key, _), minor in net_minor.items() if minor > 0}


def _proofs(paid: Transaction) -> Iterator[Line]:
    """The lines that prove their product was bought."""
    return (line for line in paid.lines if line.subscription_key and line.product_key and line.net_minor > 0)


def _record_subscriptions(
    events: list[SubscriptionSeen], told: Sequence[Transaction], known: Known, changes: Changes
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
    since = min(moment for moment, _ in changed)
    note_earliest(changes.touched.subscriptions, place, since, cause)
    was = window.before.products.keys() | window.versions.keys()
    now = window.before.products.keys() | versions.keys()
    _touch_references(place, was | now, since if was == now else BEGINNING, cause, changes)


def _touch_references(
    place: SubscriptionKey, products: Iterable[str], since: datetime, cause: str, changes: Changes
) -> None:
    """Posted lines may refer to a subscription's products. A product more or less is so for all of them."""
    for reference in (place[1], *(ids.product_key_of(place[1], product) for product in products)):
        note_earliest(changes.touched.references, reference, since, cause)


def _flat(versions: Mapping[str, tuple[ProductVersion, ...]]) -> Iterator[tuple[datetime, tuple[str, ProductVersion]]]:
    return ((v.effective_at, (product, v)) for product, history in versions.items() for v in history)


def _evidence(line: Line, paid: Transaction) -> Evidence:
    return Evidence(str(line.product_key), paid.occurred_at, line.recurring, paid.currency, line.price_keys)


def _record_sale_claims(
    events: list[SubscriptionSeen | ProductClaimed], known: Known, lookback: timedelta, changes: Changes
) -> None:
    """What a subscription's metadata or a person says of a sale comes before what is said of the customer."""
    claims = {subject: list(said) for subject, said in known.claims.items()}
    for event in events:
        if (claim := sale_claim(event)) is None:
            continue
        before = attributions(claims.get(claim.subject, ()), lookback)
        if not add_claim(claim, claims, changes):
            continue
        since = first_difference(before, attributions(claims[claim.subject], lookback))
        if since is not None:
            place = (event.provider, event.subscription_key)
            note_earliest(changes.touched.subscriptions, place, since, claim.cause)
            _touch_references(place, _products_of(event, known), since, claim.cause, changes)


def claim_told(event: BillingEvent) -> Claim | None:
    """What an event says of whose a customer or a sale is; None where it says nothing of it."""
    match event:
        case CustomerSeen():
            return customer_claim(event)
        case SubscriptionSeen() | ProductClaimed():
            return sale_claim(event)
        case _:
            return None


def sale_claim(event: SubscriptionSeen | ProductClaimed) -> Claim | None:
    if event.partner_key is None:
        return None
    said_at, cause = event.source.occurred_at, cause_of(event)
    if isinstance(event, ProductClaimed):
        subject = ids.product_subject(event.provider, event.subscription_key, event.product_key)
        return Claim(subject, event.partner_key, event.member_key, said_at, cause, event.effective_from)
    subject = ids.subscription_subject(event.provider, event.subscription_key)
    return Claim(subject, event.partner_key, event.member_key, said_at, cause)


def _products_of(event: SubscriptionSeen | ProductClaimed, known: Known) -> set[str]:
    if isinstance(event, ProductClaimed):
        return {event.product_key}
    window = known.subscriptions.get((event.provider, event.subscription_key))
    listed = {item.product_key for item in event.items}
    return listed if window is None else listed | window.before.products.keys() | window.versions.keys()


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
