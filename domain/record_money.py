"""Record payments, and what refunds, credit notes and disputes leave of them; whichever is heard of first.

A reversal leads to its invoice by the invoice's key or by a payment that settled it. One that leads nowhere yet is
kept, and counts from the moment the missing link is recorded.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from domain import ids
from domain.facts import (
    COMPANY,
    BillingEvent,
    CustomerLinked,
    InvoicePaid,
    InvoicePayment,
    ProductClaimed,
    Reversal,
)
from domain.known import Changes, Known, note_earliest
from domain.reversals import key_of, merged, settle
from domain.transactions import Transaction, transaction_of


def cause_of(event: BillingEvent) -> str:
    """What is written as the cause of everything this event brings about: who told it, and its id there."""
    speaker = COMPANY if isinstance(event, CustomerLinked | ProductClaimed) else event.provider
    return f"{speaker}:{event.source.event_key}"


def record_money(events: Sequence[BillingEvent], known: Known, changes: Changes) -> list[Transaction]:
    """Record payments, links and reversals into `changes`; the transactions that were told anew."""
    #: Transactions to settle again, with the cause.
    due: dict[str, str] = {}
    told = _record_payments([e for e in events if isinstance(e, InvoicePaid)], known, changes, due)
    _record_links([e for e in events if isinstance(e, InvoicePaid | InvoicePayment)], known, changes, due)
    _record_reversals([e for e in events if isinstance(e, Reversal)], known, changes, due)
    taken_back = _by_transaction(known, changes)
    for key, cause in due.items():
        _settle(key, taken_back.get(key, ()), cause, known, changes)
    return [changes.transactions.get(key, known.transactions.get(key, paid)) for key, paid in told.items()]


def transaction_reversed(reversal: Reversal, known: Known, changes: Changes | None = None) -> str | None:
    """The key of the transaction a reversal takes from; None while nothing leads there.

    Whether that transaction is recorded is another question.
    """
    if reversal.invoice_key is not None:
        return ids.transaction_key(reversal.provider, reversal.invoice_key)
    told = changes.payments if changes is not None else {}
    places = [(reversal.provider, key) for key in reversal.payment_keys]
    invoices = [invoice for place in places if (invoice := told.get(place) or known.payments.get(place)) is not None]
    return ids.transaction_key(reversal.provider, min(invoices)) if invoices else None


def _record_payments(
    events: Iterable[InvoicePaid], known: Known, changes: Changes, due: dict[str, str]
) -> dict[str, Transaction]:
    """The newest event that describes a payment counts; repeats of it say nothing new."""
    told: dict[str, Transaction] = {}
    for event in events:
        paid = transaction_of(event)
        existing = changes.transactions.get(paid.key) or known.transactions.get(paid.key)
        if existing is not None and (paid == settle(existing, ()) or paid.source < existing.source):
            continue
        told[paid.key] = changes.transactions[paid.key] = paid
        due.setdefault(paid.key, cause_of(event))
    return told


def _record_links(
    events: Iterable[InvoicePaid | InvoicePayment], known: Known, changes: Changes, due: dict[str, str]
) -> None:
    """One payment settles one invoice; of several that claim it, always the same one has it."""
    for event in events:
        for payment_key in event.payment_keys:
            place = (event.provider, payment_key)
            linked = changes.payments.get(place) or known.payments.get(place)
            if linked is None or event.invoice_key < linked:
                changes.payments[place] = event.invoice_key
                for invoice_key in filter(None, (linked, event.invoice_key)):
                    due.setdefault(ids.transaction_key(event.provider, invoice_key), cause_of(event))


def _record_reversals(events: Iterable[Reversal], known: Known, changes: Changes, due: dict[str, str]) -> None:
    for event in events:
        place = key_of(event)
        existing = changes.reversals.get(place) or known.reversals.get(place)
        now = event if existing is None else merged(existing, event)
        if now == existing:
            continue
        changes.reversals[place] = now
        if (key := transaction_reversed(now, known, changes)) is not None:
            due.setdefault(key, cause_of(event))


def _by_transaction(known: Known, changes: Changes) -> dict[str, list[Reversal]]:
    found: dict[str, list[Reversal]] = {}
    for reversal in {**known.reversals, **changes.reversals}.values():
        if (key := transaction_reversed(reversal, known, changes)) is not None:
            found.setdefault(key, []).append(reversal)
    return found


def _settle(key: str, taken_back: Sequence[Reversal], cause: str, known: Known, changes: Changes) -> None:
    before = known.transactions.get(key)
    paid = changes.transactions.get(key, before)
    if paid is None:
        return
    settled = settle(paid, taken_back)
    if settled == before:
        changes.transactions.pop(key, None)
        return
    changes.transactions[key] = settled
    if before is None or _money(settled) != _money(before):
        changes.touched.transactions.setdefault(key, cause)
        for version in filter(None, (settled, before)):
            _touch_credits(version, cause, changes)
        if before is not None and _place(settled) != _place(before):
            _touch_followers(settled, before, cause, changes)


def _money(paid: Transaction) -> tuple[object, ...]:
    """A transaction without which event told of it: repeats of one payment are equal by this."""
    return paid.provider_customer_key, paid.currency, paid.occurred_at, paid.lines, paid.metadata


def _place(paid: Transaction) -> tuple[str | None, datetime]:
    """Where a payment stands among all payments: whose it is, and of when."""
    return paid.provider_customer_key, paid.occurred_at


def _touch_followers(now: Transaction, before: Transaction, cause: str, changes: Changes) -> None:
    """What followed a payment where it stood, and what follows it where it stands, counts others before it."""
    for version in (now, before):
        if version.provider_customer_key is not None:
            place = (version.provider, version.provider_customer_key)
            note_earliest(changes.touched.followers, place, version.occurred_at, cause)


def _touch_credits(paid: Transaction, cause: str, changes: Changes) -> None:
    """A charge may be what later credits take back; a credit leaves them less to take."""
    if paid.provider_customer_key is not None:
        note_earliest(changes.touched.credits, (paid.provider, paid.provider_customer_key), paid.occurred_at, cause)
    for key in {line.subscription_key for line in paid.lines} - {None}:
        note_earliest(changes.touched.credited, (paid.provider, key or ""), paid.occurred_at, cause)
