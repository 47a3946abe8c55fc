"""What became of each envelope of a batch: processed with what it caused, or waiting for a named thing."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from domain import ids
from domain.decide import Booking
from domain.facts import (
    BillingEvent,
    CatalogueEvent,
    CustomerLinked,
    CustomerSeen,
    InvoicePaid,
    InvoicePayment,
    ProductClaimed,
    Reversal,
    ReversalKind,
    SubscriptionSeen,
)
from domain.known import Changes, Known
from domain.record_money import transaction_reversed
from domain.reversals import key_of
from infra.catalogue_changes import ProductKey, entry_keys
from infra.inbox import Envelope, InboxState, Mark, waiting_until

#: An envelope with its facts of either kind.
Worked = tuple[Envelope, tuple[BillingEvent, ...], tuple[CatalogueEvent, ...]]


def marks_of(
    batch: Iterable[Worked],
    bookings: Iterable[Booking],
    known: Known,
    changes: Changes,
    entries: Mapping[ProductKey, str],
    now: datetime,
) -> list[Mark]:
    """One mark per envelope. `entries` leads from the products that were described to the book."""
    caused: dict[str, set[str]] = {}
    for booking in bookings:
        caused.setdefault(booking.cause, set()).add(booking.entry.commission_key)
    return [
        _with_entries(
            _mark(envelope, events, caused.get(envelope.cause, set()), known, changes, now), described, entries
        )
        for envelope, events, described in batch
    ]


def _mark(
    envelope: Envelope,
    events: tuple[BillingEvent, ...],
    commissions: set[str],
    known: Known,
    changes: Changes,
    now: datetime,
) -> Mark:
    outcome = _outcome(events, commissions)
    for event in events:
        if isinstance(event, Reversal) and (missing := _missing(event, known, changes)) is not None:
            due = waiting_until(envelope, now)
            return Mark(envelope.id, envelope.attempts, InboxState.WAITING, due, missing, outcome=outcome)
    return Mark(envelope.id, envelope.attempts, InboxState.PROCESSED, outcome=outcome)


def _with_entries(done: Mark, described: tuple[CatalogueEvent, ...], entries: Mapping[ProductKey, str]) -> Mark:
    """What a description is about: the entries of the product book that its products lead to."""
    if not described:
        return done
    return replace(done, outcome={**(done.outcome or {}), "product_book": entry_keys(described, entries)})


def _missing(event: Reversal, known: Known, changes: Changes) -> str | None:
    """What a reversal waits for. It is recorded: when the payment comes, it counts without being told again.

    That an invoice is not paid is no news while nobody has said that it was.
    """
    if event.kind is ReversalKind.UNPAID:
        return None
    what = f"{event.kind.replace('_', ' ')} {event.reversal_key}"
    recorded = changes.reversals.get(key_of(event)) or known.reversals.get(key_of(event)) or event
    key = transaction_reversed(recorded, known, changes)
    if key is None:
        payments = ", ".join(event.payment_keys) or "no payment"
        return f"{what} names {payments}, and no invoice paid by it is known yet"
    if key in known.transactions or key in changes.transactions:
        return None
    return f"{what} takes back of {key}, which is not known yet"


def _outcome(events: Iterable[BillingEvent], commissions: set[str]) -> dict[str, list[str]]:
    """What an event is about, and the commissions it was the first to cause."""
    found: dict[str, list[str]] = {}
    for event in events:
        match event:
            case CustomerSeen():
                found.setdefault("customers", []).append(event.provider_customer_key)
            case CustomerLinked():
                found.setdefault("customers", []).append(event.provider_customer_key)
            case SubscriptionSeen() | ProductClaimed():
                found.setdefault("subscriptions", []).append(event.subscription_key)
            case InvoicePaid() | InvoicePayment():
                found.setdefault("transactions", []).append(ids.transaction_key(event.provider, event.invoice_key))
            case Reversal():
                found.setdefault("reversals", []).append(event.reversal_key)
    return found | ({"commissions": sorted(commissions)} if commissions else {})
