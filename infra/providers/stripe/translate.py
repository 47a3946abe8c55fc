"""Stripe's events as provider-neutral facts: pure, and by the fields that are there, never by the version's name.

Acacia events fill the old and the new place of a field at once: every reader here takes one of the two, never both.
What each type means stands in docs/events.md, which a test holds to the tables below.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from domain.facts import Fact, NotUsed, Source
from infra.providers.exact import reading, without_nul
from infra.providers.stripe.catalogue import price_described, product_described
from infra.providers.stripe.customers import customer_seen
from infra.providers.stripe.invoices import invoice_paid
from infra.providers.stripe.reading import ENDED_RANK, ThinEvent, Translator
from infra.providers.stripe.subscriptions import subscription_seen

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


def translate(event_type: str, event_key: str, occurred_at: datetime, body: bytes) -> tuple[Fact, ...] | NotUsed:
    """The facts that an event's exact bytes hold; NotUsed, with a reason, for what changes nothing here.

    `occurred_at` is the event's own `created`. Raises Unreadable, naming a path and never a value, where a field
    that the type promises is missing or impossible.
    """
    translator = _translator(event_type)
    if isinstance(translator, NotUsed):
        return translator
    source = Source(0, occurred_at, _RANKS.get(event_type.rpartition(".")[2], 1), event_key)
    try:
        with reading():
            return translator(without_nul(body), source)
    except ThinEvent:
        return _THIN


def _translator(event_type: str) -> Translator | NotUsed:
    if (used := USED.get(event_type)) is not None:
        return used
    if event_type.startswith("customer.subscription."):
        return subscription_seen
    if event_type.startswith(("v1.", "v2.")):
        return _THIN
    return NotUsed(f"{event_type} events are not used")


_THIN: Final = NotUsed("a thin event names its object without carrying it; thin events are not used")
