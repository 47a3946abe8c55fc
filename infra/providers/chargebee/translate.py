"""Chargebee's events as provider-neutral facts: pure, and by the fields that are there, never by the version's name.

An event carries several resources at once (a subscription, its customer, an invoice, credit notes, a transaction),
each a snapshot with a version of its own: every one that is used here becomes facts, whatever the event is about.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

import msgspec

from domain.errors import Unreadable
from domain.facts import BillingEvent, Fact, NotUsed
from infra.providers.chargebee import shapes
from infra.providers.chargebee.catalogue import CATALOGUE
from infra.providers.chargebee.customers import customer_seen
from infra.providers.chargebee.invoices import invoice_facts
from infra.providers.chargebee.reading import Told
from infra.providers.chargebee.reversals import credit_note_facts, transaction_facts
from infra.providers.chargebee.subscriptions import subscription_seen
from infra.providers.exact import reading, without_nul

#: What the types begin with whose resources are read. Others (coupons, quotes, orders, cards) change nothing here.
_FAMILIES: Final = (
    "subscription_",
    "customer_",
    "invoice_",
    "pending_invoice_",
    "credit_note_",
    "transaction_",
    "unbilled_charges_",
)
_TYPES: Final = frozenset(
    {"payment_succeeded", "payment_failed", "payment_refunded", "payment_initiated", "refund_initiated"}
)
_RESOURCES: Final = ("customer", "subscription", "invoice", "credit_note", "transaction")

_events: Final = msgspec.json.Decoder(shapes.Event)
_lists: Final = msgspec.json.Decoder(list[msgspec.Raw])
_any_resource: Final = msgspec.json.Decoder(shapes.Resource)


def translate(event_type: str, event_key: str, occurred_at: datetime, body: bytes) -> tuple[Fact, ...] | NotUsed:
    """The facts that an event's exact bytes hold; NotUsed, with a reason, for what changes nothing here.

    `occurred_at` is the event's own. Raises Unreadable, naming a path and never a value, where a field that a
    resource promises is missing or impossible, and for events of API v1.
    """
    told = Told(event_key, event_type, occurred_at)
    described = event_type.rpartition("_")[0]
    if not (event_type.startswith(_FAMILIES) or event_type in _TYPES or described in CATALOGUE):
        return NotUsed(f"{event_type} events are not used")
    with reading():
        event = _events.decode(without_nul(body))
        if event.object != "event":
            raise Unreadable("Expected object `event` - at `$.object`")
        facts = _described(event, described, told) if described in CATALOGUE else _told(event, told)
    return facts or NotUsed(f"this {event_type} event shows nothing that counts")


def _described(event: shapes.Event, resource: str, told: Told) -> tuple[Fact, ...]:
    raw = event.content.get(resource)
    if raw is None:
        raise Unreadable(f"Object missing required field `{resource}` - at `$.content`")
    _refuse_v1(event, {resource: [raw]})
    return (CATALOGUE[resource](raw, told),)


def _told(event: shapes.Event, told: Told) -> tuple[Fact, ...]:
    resources = {name: list(_resources(event.content, name)) for name in _RESOURCES}
    _refuse_v1(event, resources)
    return tuple(_facts(resources, told))


def _resources(content: Mapping[str, msgspec.Raw], name: str) -> Iterator[msgspec.Raw]:
    """The one resource of that name, and those in the list beside it (`credit_notes`, `subscriptions`)."""
    if (one := content.get(name)) is not None:
        yield one
    if (several := content.get(f"{name}s")) is not None:
        yield from _lists.decode(several)


def _refuse_v1(event: shapes.Event, resources: Mapping[str, list[msgspec.Raw]]) -> None:
    """API v1 has neither versions nor currencies, and calls other things by the same names."""
    versions = [_any_resource.decode(raw).resource_version for found in resources.values() for raw in found]
    if event.api_version == "v1" or (event.api_version is None and versions and not any(versions)):
        raise Unreadable("An event of API v1, needs an adapter: set the webhook to API version v2 - at `$.api_version`")


def _facts(resources: Mapping[str, list[msgspec.Raw]], told: Told) -> Iterator[BillingEvent]:
    customers = [customer_seen(raw, told) for raw in resources["customer"]]
    yield from customers
    customer_key = customers[0].provider_customer_key if customers else None
    for raw in resources["subscription"]:
        yield subscription_seen(raw, told, customer_key)
    for raw in resources["invoice"]:
        yield from invoice_facts(raw, told)
    for raw in resources["credit_note"]:
        yield from credit_note_facts(raw, told)
    for raw in resources["transaction"]:
        yield from transaction_facts(raw, told)
