"""Thin events: they name an object without carrying it, so it is fetched and worked like a snapshot of it.

The object comes as it is when it is fetched. The address in the event is never followed: kind and id make one.
"""

from typing import Any, Final

import msgspec

from domain.errors import Unreadable
from domain.facts import Missing, Source
from infra.providers.stripe.reading import Translation
from infra.providers.stripe.shapes import Key, Shape

#: Where the API has each kind of object that a used type is about.
PATHS: Final = {
    "charge": "charges",
    "checkout.session": "checkout/sessions",
    "credit_note": "credit_notes",
    "customer": "customers",
    "dispute": "disputes",
    "invoice": "invoices",
    "invoice_payment": "invoice_payments",
    "payment_intent": "payment_intents",
    "plan": "plans",
    "price": "prices",
    "product": "products",
    "refund": "refunds",
    "subscription": "subscriptions",
}


class RelatedObject(Shape):
    """What a thin event is about."""

    id: Key
    type: Key


class Thin(Shape):
    """A thin event, as far as it is read."""

    related_object: RelatedObject


_thin: Final = msgspec.json.Decoder(Thin)


def thin_event(body: bytes, source: Source) -> Translation:
    """What must be fetched before the event says anything."""
    related = related_to(body)
    return Missing(f"the event names its object ({related.type}) without carrying it")


def related_to(body: bytes) -> RelatedObject:
    """What a thin event is about. Raises Unreadable for a kind of object that no used type is about."""
    related = _thin.decode(body).related_object
    if related.type not in PATHS:
        raise Unreadable("Unknown kind of object, needs an adapter - at `$.related_object.type`")
    return related


def as_snapshot(event_type: str, body: bytes, fetched: dict[str, Any]) -> tuple[str, bytes]:
    """(type, body) of the event that would have carried the object."""
    kind = event_type.removeprefix("v1.")
    return kind, msgspec.json.encode({"object": "event", "type": kind, "data": {"object": fetched}})
