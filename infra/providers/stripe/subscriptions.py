"""Stripe's subscriptions as facts. Stripe's spelling "canceled" ends in this file."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec
from msgspec import UNSET

from domain.errors import Unreadable
from domain.facts import ProductStatus, Source, SubscriptionItem, SubscriptionSeen
from infra.providers.stripe import shapes
from infra.providers.stripe.reading import (
    ENDED_RANK,
    PROVIDER,
    Translation,
    change_of,
    currency_of,
    expect_object,
    moment_of,
    present,
    within,
)

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

_subscriptions: Final = msgspec.json.Decoder(shapes.Event[shapes.Subscription])
_previous: Final = msgspec.json.Decoder(shapes.Previous)


def subscription_seen(body: bytes, source: Source) -> Translation:
    change = change_of(_subscriptions.decode(body))
    subscription = change.object
    expect_object(subscription.object, "subscription")
    # A deletion is the end of it, whatever status a test body carries.
    ended = subscription.status in _ENDED or source.rank == ENDED_RANK
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
            partner_key=present(subscription.metadata, "partner_key"),
            member_key=present(subscription.metadata, "member_key"),
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
        return moment_of(subscription.ended_at)
    return source.occurred_at if subscription.canceled_at is None else moment_of(subscription.canceled_at)


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
        return currency_of(subscription.currency)
    terms = (item.price or item.plan for item in items)
    return next((currency_of(term.currency) for term in terms if term and term.currency), None)


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
    return within(terms.unit_amount * quantity, "$.data.object.items.data[...].quantity")


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
