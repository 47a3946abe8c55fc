"""Stripe's events as provider-neutral facts: pure, and by the fields that are there, never by the version's name.

Acacia events fill the old and the new place of a field at once: every reader here takes one of the two, never both.
Stripe's spelling "canceled" ends in this file.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, TypeVar

import msgspec
from msgspec import UNSET

from domain.errors import Unreadable
from domain.facts import (
    BillingEvent,
    CustomerSeen,
    InvoicePaid,
    NotUsed,
    ProductStatus,
    Source,
    SubscriptionItem,
    SubscriptionSeen,
)
from infra.providers.stripe import shapes
from infra.providers.stripe.invoice_lines import invoice_lines

PROVIDER: Final = "stripe"

#: DESIGN section 4. Whether the subscription has ended is `_ENDED`'s to say.
_STATUSES: Final = {
    "incomplete": ProductStatus.NONE,
    "trialing": ProductStatus.TRIAL,
    "active": ProductStatus.ACTIVE,
    "past_due": ProductStatus.ACTIVE,
    "unpaid": ProductStatus.CHURNED,
    "paused": ProductStatus.CHURNED,
    "canceled": ProductStatus.CHURNED,
    "incomplete_expired": ProductStatus.CHURNED,
}
_ENDED: Final = frozenset({"canceled", "incomplete_expired"})
_RANKS: Final = {"created": 0, "deleted": 2}
_AMOUNT_MAX: Final = 10**15

#: JSON's escaped NUL, which no PostgreSQL text can hold; not the six characters after an escaped backslash.
_NUL: Final = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")

_customers: Final = msgspec.json.Decoder(shapes.Event[shapes.Customer])
_subscriptions: Final = msgspec.json.Decoder(shapes.Event[shapes.Subscription])
_invoices: Final = msgspec.json.Decoder(shapes.Event[shapes.Invoice])
_previous: Final = msgspec.json.Decoder(shapes.Previous)

ObjectT = TypeVar("ObjectT")


def translate(
    event_type: str, event_key: str, occurred_at: datetime, body: bytes
) -> tuple[BillingEvent, ...] | NotUsed:
    """The facts that an event's exact bytes hold; NotUsed, with a reason, for what changes nothing here.

    `occurred_at` is the event's own `created`. Raises Unreadable, naming a path and never a value, where a field
    that the type promises is missing or impossible.
    """
    translator = _translator(event_type)
    if isinstance(translator, NotUsed):
        return translator
    source = Source(0, occurred_at, _RANKS.get(event_type.rpartition(".")[2], 1), event_key)
    try:
        return translator(without_nul(body), source)
    except RecursionError:
        raise Unreadable("nested too deeply - at `$`") from None
    except UnicodeDecodeError:
        raise Unreadable("not UTF-8 - at `$`") from None
    except msgspec.MsgspecError as error:
        # Without positions in lists, so that one fault is one group of dead letters.
        raise Unreadable(re.sub(r"\[\d+\]", "[...]", str(error))) from error


def without_nul(body: bytes) -> bytes:
    """The same JSON without NUL characters in its strings; the very same object where there are none."""
    return _NUL.sub(rb"\1", body) if b"\\u0000" in body else body


Translation = tuple[BillingEvent, ...] | NotUsed
Translator = Callable[[bytes, Source], Translation]


def _translator(event_type: str) -> Translator | NotUsed:
    if event_type.startswith("customer.subscription."):
        return _subscription
    match event_type:
        case "customer.created" | "customer.updated" | "customer.deleted":
            return _customer
        case "invoice.paid" | "invoice.payment_succeeded":
            return _invoice
    if event_type.startswith(("v1.", "v2.")):
        return _THIN
    return NotUsed(f"{event_type} events are not used")


_THIN: Final = NotUsed("a thin event names its object without carrying it; thin events are not used")


def _change(event: shapes.Event[ObjectT]) -> shapes.Change[ObjectT] | NotUsed:
    if event.object == "v2.core.event":
        return _THIN
    if event.data is None:
        raise Unreadable("Object missing required field `data` - at `$`")
    return event.data


def _expect_object(found: str, expected: str) -> None:
    if found != expected:
        raise Unreadable(f"Expected object `{expected}` - at `$.data.object.object`")


def _currency(code: str) -> str:
    if not (code.isascii() and code.isalpha()):
        raise Unreadable("Impossible currency - at `$.data.object`")
    return code.lower()


# --- customers


def _customer(body: bytes, source: Source) -> Translation:
    change = _change(_customers.decode(body))
    if isinstance(change, NotUsed):
        return change
    customer = change.object
    _expect_object(customer.object, "customer")
    metadata = _metadata(customer.metadata)
    return (
        CustomerSeen(
            provider=PROVIDER,
            provider_customer_key=customer.id,
            source=source,
            customer_key=_present(metadata, "customer_key") or _present(metadata, "customer_id"),
            partner_key=_present(metadata, "partner_key"),
            member_key=_present(metadata, "member_key"),
            email=_text(customer.email),
            name=_text(customer.name),
            country=_country(customer.address),
            metadata=metadata,
            deleted=customer.deleted or source.rank == _RANKS["deleted"],
            created_at=_moment(customer.created) if customer.created else None,
        ),
    )


def _country(address: shapes.Address | None) -> str | None:
    """Upper-case ISO 3166 alpha-2; None for the free text that old accounts hold."""
    country = (address.country or "").strip().upper() if address else ""
    return country if len(country) == 2 and country.isascii() and country.isalpha() else None


def _text(value: str | None) -> str | None:
    return (value.strip() or None) if value else None


def _metadata(metadata: Mapping[str, str] | None) -> Mapping[str, str] | None:
    """Metadata without its blank values; None where the object has no metadata at all."""
    if metadata is None:
        return None
    return {key: value for key, value in metadata.items() if value.strip()}


def _present(metadata: Mapping[str, str] | None, key: str) -> str | None:
    return _text(metadata.get(key)) if metadata else None


# --- subscriptions


def _subscription(body: bytes, source: Source) -> Translation:
    change = _change(_subscriptions.decode(body))
    if isinstance(change, NotUsed):
        return change
    subscription = change.object
    _expect_object(subscription.object, "subscription")
    # A deletion is the end of it, whatever status a test body carries.
    ended = subscription.status in _ENDED or source.rank == _RANKS["deleted"]
    items = _items_of(subscription)
    previous = _previous_attributes(change.previous_attributes)
    return (
        SubscriptionSeen(
            provider=PROVIDER,
            subscription_key=subscription.id,
            provider_customer_key=subscription.customer,
            source=source,
            effective_at=_ended_at(subscription, source) if ended else source.occurred_at,
            status=ProductStatus.CHURNED if ended else _status(subscription.status),
            provider_status=subscription.status,
            ended=ended,
            absorbing=ended,
            currency=_subscription_currency(subscription, items),
            items=_merged(items),
            items_missing=subscription.items is not None and subscription.items.has_more,
            partner_key=_present(subscription.metadata, "partner_key"),
            member_key=_present(subscription.metadata, "member_key"),
            previous_provider_status=previous.status if previous else None,
            previous_items=_previous_items(previous, items) if previous else None,
        ),
    )


def _status(status: str) -> ProductStatus:
    known = _STATUSES.get(status)
    if known is None:
        named = status if re.fullmatch(r"[a-z_]{1,40}", status) else "an unprintable one"
        raise Unreadable(f"Unknown subscription status, needs an adapter: {named} - at `$.data.object.status`")
    return known


def _ended_at(subscription: shapes.Subscription, source: Source) -> datetime:
    """When it was over. `canceled_at` may be the day it was asked for, so `ended_at` comes first."""
    if subscription.ended_at is not None:
        return _moment(subscription.ended_at)
    return source.occurred_at if subscription.canceled_at is None else _moment(subscription.canceled_at)


def _moment(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)


def _items_of(subscription: shapes.Subscription) -> list[shapes.Item]:
    """The items; in 2016 the plan and quantity of the subscription itself."""
    if subscription.items is not None:
        return subscription.items.data
    if subscription.plan is not None:
        return [shapes.Item(plan=subscription.plan, quantity=subscription.quantity)]
    raise Unreadable("Object missing required field `items` - at `$.data.object`")


def _subscription_currency(subscription: shapes.Subscription, items: Sequence[shapes.Item]) -> str | None:
    """Top level from 2022 on, before that only with the price or the plan."""
    if subscription.currency:
        return _currency(subscription.currency)
    terms = (item.price or item.plan for item in items)
    return next((_currency(term.currency) for term in terms if term and term.currency), None)


def _merged(items: Sequence[shapes.Item]) -> tuple[SubscriptionItem, ...]:
    """One item per product, sorted. What is metered or tiered adds nothing to a quantity or an amount beside it."""
    merged: dict[str, SubscriptionItem] = {}
    for item in map(_item, items):
        other = merged.get(item.product_key)
        merged[item.product_key] = item if other is None else _added(other, item)
    return tuple(merged[key] for key in sorted(merged))


def _item(item: shapes.Item) -> SubscriptionItem:
    terms = item.price or item.plan
    if terms is None:
        raise Unreadable("Object missing required field `price` - at `$.data.object.items.data[...]`")
    product_key = terms.product or (item.plan.product if item.plan else None) or terms.id
    if product_key is None:
        raise Unreadable("Object missing required field `product` - at `$.data.object.items.data[...].price`")
    return SubscriptionItem(
        product_key=product_key,
        price_keys=(terms.id,) if terms.id else (),
        quantity=item.quantity,
        amount_minor=_amount_per_period(terms, item.quantity),
    )


def _amount_per_period(terms: shapes.Price | shapes.Plan, quantity: int | None) -> int | None:
    if terms.unit_amount is None or quantity is None:
        return None
    packaging = terms.transform_quantity
    if packaging is not None:
        up = packaging.round == "up"
        quantity = -(-quantity // packaging.divide_by) if up else quantity // packaging.divide_by
    return _within(terms.unit_amount * quantity, "$.data.object.items.data[...].quantity")


def _within(amount_minor: int, path: str) -> int:
    if abs(amount_minor) > _AMOUNT_MAX:
        raise Unreadable(f"Impossible amount - at `{path}`")
    return amount_minor


def _added(one: SubscriptionItem, other: SubscriptionItem) -> SubscriptionItem:
    return SubscriptionItem(
        product_key=one.product_key,
        price_keys=tuple(sorted({*one.price_keys, *other.price_keys})),
        quantity=_sum_known(one.quantity, other.quantity),
        amount_minor=_sum_known(one.amount_minor, other.amount_minor),
    )


def _sum_known(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else one + other


def _previous_attributes(raw: msgspec.Raw) -> shapes.Previous | None:
    """What the event says was there before it. It only breaks ties, so an odd one is no hint rather than an error."""
    if not memoryview(raw).nbytes:
        return None
    try:
        return _previous.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _previous_items(previous: shapes.Previous, items: Sequence[shapes.Item]) -> tuple[SubscriptionItem, ...] | None:
    """From the whole former list; in old versions from the former `plan` and `quantity` of the only item."""
    try:
        if previous.items is not None:
            return _merged(previous.items.data)
        if (previous.plan is None and previous.quantity is None) or len(items) != 1:
            return None
        return _merged([_former(items[0], previous.plan or shapes.PreviousPlan(), previous.quantity)])
    except Unreadable:
        return None


def _former(item: shapes.Item, plan: shapes.PreviousPlan, quantity: int | None) -> shapes.Item:
    """The item as it was: Stripe names just the parts of the plan that changed."""
    now = item.price or item.plan or shapes.Plan()
    was = shapes.Plan(
        id=now.id if plan.id is UNSET else plan.id,
        product=now.product if plan.product is UNSET else plan.product,
        unit_amount=now.unit_amount if plan.amount is UNSET else plan.amount,
        transform_quantity=now.transform_quantity,
    )
    return shapes.Item(plan=was, quantity=item.quantity if quantity is None else quantity)


# --- invoices


def _invoice(body: bytes, source: Source) -> Translation:
    change = _change(_invoices.decode(body))
    if isinstance(change, NotUsed):
        return change
    invoice = change.object
    _expect_object(invoice.object, "invoice")
    if invoice.subscription is UNSET and invoice.parent is UNSET:
        raise Unreadable("Object missing required field `parent`, needs an adapter - at `$.data.object`")
    if not _is_paid(invoice):
        return NotUsed("the invoice is not paid")
    paid_at = invoice.status_transitions.paid_at if invoice.status_transitions else None
    return (
        InvoicePaid(
            provider=PROVIDER,
            invoice_key=invoice.id,
            provider_customer_key=invoice.customer,
            source=source,
            paid_at=source.occurred_at if paid_at is None else _moment(paid_at),
            currency=_currency(invoice.currency),
            lines=invoice_lines(invoice),
            lines_missing=invoice.lines.has_more,
            metadata=_metadata(invoice.metadata),
            total_minor=invoice.total,
            payment_keys=tuple(filter(None, (_id_of(invoice.charge), _id_of(invoice.payment_intent)))),
        ),
    )


def _id_of(named: shapes.Expandable) -> str | None:
    return named.id if isinstance(named, shapes.Identified) else named


def _is_paid(invoice: shapes.Invoice) -> bool:
    if invoice.status is not None:
        return invoice.status == "paid"
    if invoice.paid is None:
        raise Unreadable("Object missing required field `status` - at `$.data.object`")
    return invoice.paid
