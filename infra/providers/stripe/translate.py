"""Stripe's events as provider-neutral facts: pure, and by the fields that are there, never by the version's name.

Acacia events fill the old and the new place of a field at once: every reader here takes one of the two, never both.
What each type means stands in docs/events.md, which a test holds to the tables below.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from domain.facts import Fact, Missing, NotUsed, Source
from infra.providers.exact import reading, without_nul
from infra.providers.stripe.catalogue import price_described, product_described
from infra.providers.stripe.checkout import session_paid
from infra.providers.stripe.customers import customer_seen
from infra.providers.stripe.invoices import invoice_changed, invoice_paid
from infra.providers.stripe.payments import charge_linked, invoice_payment_linked, payment_intent_linked
from infra.providers.stripe.reading import ENDED_RANK, Translator
from infra.providers.stripe.reversals import charge_refunded, credit_note_seen, dispute_seen, refund_seen
from infra.providers.stripe.subscriptions import subscription_seen
from infra.providers.stripe.thin import thin_event

_RANKS: Final = {"created": 0, "deleted": ENDED_RANK}

#: Types that tell something, with what reads them.
USED: Final[Mapping[str, Translator]] = {
    "customer.created": customer_seen,
    "customer.updated": customer_seen,
    "customer.deleted": customer_seen,
    "customer.subscription.created": subscription_seen,
    "customer.subscription.updated": subscription_seen,
    "customer.subscription.deleted": subscription_seen,
    "customer.subscription.paused": subscription_seen,
    "customer.subscription.resumed": subscription_seen,
    "customer.subscription.trial_will_end": subscription_seen,
    "customer.subscription.pending_update_applied": subscription_seen,
    "customer.subscription.pending_update_expired": subscription_seen,
    "invoice.paid": invoice_paid,
    "invoice.payment_succeeded": invoice_paid,
    "invoice.updated": invoice_changed,
    "invoice.finalized": invoice_changed,
    "invoice_payment.paid": invoice_payment_linked,
    "charge.succeeded": charge_linked,
    "charge.captured": charge_linked,
    "charge.updated": charge_linked,
    "payment_intent.succeeded": payment_intent_linked,
    "checkout.session.completed": session_paid,
    "checkout.session.async_payment_succeeded": session_paid,
    "charge.refunded": charge_refunded,
    "charge.refund.updated": refund_seen,
    "refund.created": refund_seen,
    "refund.updated": refund_seen,
    "refund.failed": refund_seen,
    "charge.dispute.created": dispute_seen,
    "charge.dispute.updated": dispute_seen,
    "charge.dispute.funds_withdrawn": dispute_seen,
    "charge.dispute.funds_reinstated": dispute_seen,
    "charge.dispute.closed": dispute_seen,
    "credit_note.created": credit_note_seen,
    "credit_note.updated": credit_note_seen,
    "credit_note.voided": credit_note_seen,
    "product.created": product_described,
    "product.updated": product_described,
    "product.deleted": product_described,
    "price.created": price_described,
    "price.updated": price_described,
    "price.deleted": price_described,
    "plan.created": price_described,
    "plan.updated": price_described,
    "plan.deleted": price_described,
}

_NO_PAYMENT: Final = "an invoice that failed to be paid, was voided or given up is no transaction"
_NO_MONEY: Final = "no money has moved yet"
#: Types that somebody might look for here, and why they change nothing: they are not even read.
NOT_USED: Final[Mapping[str, str]] = {
    "invoice.created": _NO_MONEY,
    "invoice.upcoming": _NO_MONEY,
    "invoice.payment_failed": _NO_PAYMENT,
    "invoice.voided": _NO_PAYMENT,
    "invoice.marked_uncollectible": _NO_PAYMENT,
    "checkout.session.async_payment_failed": _NO_MONEY,
    "checkout.session.expired": _NO_MONEY,
    "charge.failed": _NO_MONEY,
    "payment_intent.created": _NO_MONEY,
    "payment_intent.payment_failed": _NO_MONEY,
}


def translate(
    event_type: str, event_key: str, occurred_at: datetime, body: bytes
) -> tuple[Fact, ...] | NotUsed | Missing:
    """The facts that an event's exact bytes hold; NotUsed, with a reason, for what changes nothing here.

    Missing where it names an object that it does not carry.

    `occurred_at` is the event's own `created`. Raises Unreadable, naming a path and never a value, where a field
    that the type promises is missing or impossible.
    """
    translator = _translator(event_type)
    if isinstance(translator, NotUsed):
        return translator
    source = Source(0, occurred_at, _RANKS.get(event_type.rpartition(".")[2], 1), event_key)
    with reading():
        return translator(without_nul(body), source)


def _translator(event_type: str) -> Translator | NotUsed:
    if (used := USED.get(event_type)) is not None:
        return used
    if event_type.startswith("customer.subscription."):
        return subscription_seen
    if event_type in NOT_USED:
        return NotUsed(NOT_USED[event_type])
    if event_type.startswith("v1.") and event_type.removeprefix("v1.") in USED:
        return thin_event
    return NotUsed(f"{event_type} events are not used")
