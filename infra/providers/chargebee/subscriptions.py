"""Chargebee's subscriptions as facts: which products are on them, and what their status means here."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Final

import msgspec

from domain.errors import Unreadable
from domain.facts import ProductStatus, Source, SubscriptionItem, SubscriptionSeen
from infra.providers.chargebee import shapes
from infra.providers.chargebee.reading import (
    PROVIDER,
    Told,
    currency_of,
    metadata_of,
    moment_of,
    named,
    present,
    within,
)

#: DESIGN section 4. Whether the subscription has ended is `_ENDED`'s to say.
_STATUSES: Final = {
    "future": ProductStatus.NONE,
    "in_trial": ProductStatus.TRIAL,
    "active": ProductStatus.ACTIVE,
    "non_renewing": ProductStatus.ACTIVE,
    "paused": ProductStatus.CHURNED,
    "cancelled": ProductStatus.CHURNED,
    "transferred": ProductStatus.CHURNED,
}
_ENDED: Final = frozenset({"cancelled", "transferred"})

_subscriptions: Final = msgspec.json.Decoder(shapes.Subscription)


def subscription_seen(raw: msgspec.Raw, told: Told, customer_key: str | None) -> SubscriptionSeen:
    """The subscription of any event. A cancelled one can be reactivated; a deleted one is over for good.

    `customer_key` is the customer's in the same event. Raises Unreadable for a status nobody has explained yet.
    """
    subscription = _subscriptions.decode(raw)
    deleted = subscription.deleted or told.event_type == "subscription_deleted"
    status = _status(subscription.status)
    ended = deleted or subscription.status in _ENDED
    source = told.source(subscription)
    metadata = metadata_of(subscription.meta_data, raw)
    provider_customer_key = subscription.customer_id or customer_key
    if provider_customer_key is None:
        raise Unreadable("Object missing required field `customer_id` - at `$.content.subscription`")
    return SubscriptionSeen(
        provider=PROVIDER,
        subscription_key=subscription.id,
        provider_customer_key=provider_customer_key,
        source=source,
        effective_at=_ended_at(subscription, source) if ended else source.occurred_at,
        status=ProductStatus.CHURNED if ended else status,
        provider_status=subscription.status,
        ended=ended,
        absorbing=deleted,
        currency=currency_of(subscription.currency_code) if subscription.currency_code else None,
        items=_merged(_items_of(subscription)),
        partner_key=present(metadata, "partner_key"),
        member_key=present(metadata, "member_key"),
    )


def _status(status: str) -> ProductStatus:
    known = _STATUSES.get(status)
    if known is None:
        raise Unreadable(
            f"Unknown subscription status, needs an adapter: {named(status)} - at `$.content.subscription`"
        )
    return known


def _ended_at(subscription: shapes.Subscription, source: Source) -> datetime:
    """When it was over. Of a subscription that was deleted while it ran, `cancelled_at` is a plan, not a fact."""
    if subscription.status not in _ENDED or subscription.cancelled_at is None:
        return source.occurred_at
    return moment_of(subscription.cancelled_at)


def _items_of(subscription: shapes.Subscription) -> Iterator[SubscriptionItem]:
    """What recurs: charges are billed once and are no part of what a subscription is for."""
    if subscription.subscription_items is not None:
        for item in subscription.subscription_items:
            if item.item_type != "charge":
                yield _item(item.item_price_id, item.quantity, _amount(item, item.free_quantity))
    elif subscription.plan_id is not None:
        plan = shapes.Addon(
            subscription.plan_id, subscription.plan_quantity, subscription.plan_unit_price, subscription.plan_amount
        )
        yield _item(plan.id, plan.quantity, _amount(plan, subscription.plan_free_quantity))
        for addon in subscription.addons or ():
            yield _item(addon.id, addon.quantity, _amount(addon, None))
    else:
        raise Unreadable("Object missing required field `subscription_items`, needs an adapter - at `$.content`")


def _item(key: str, quantity: int | None, amount_minor: int | None) -> SubscriptionItem:
    """Catalog 1.0 has one id for product and price; 2.0 shows the price's, and tells elsewhere which item it is of."""
    return SubscriptionItem(product_key=key, price_keys=(key,), quantity=quantity, amount_minor=amount_minor)


def _amount(item: shapes.Addon | shapes.SubscriptionItem, free_quantity: int | None) -> int | None:
    """For one period, as Chargebee worked it out; where it does not say, units that are not free at the unit price."""
    if item.amount is not None:
        return item.amount
    if item.unit_price is None or item.quantity is None:
        return None
    billed = max(0, item.quantity - (free_quantity or 0))
    return within(item.unit_price * billed, "$.content.subscription")


def _merged(items: Iterator[SubscriptionItem]) -> tuple[SubscriptionItem, ...]:
    """One item per product, sorted. What has no amount of its own adds nothing to that of another beside it."""
    merged: dict[str, SubscriptionItem] = {}
    for item in items:
        other = merged.get(item.product_key)
        merged[item.product_key] = item if other is None else _added(other, item)
    return tuple(merged[key] for key in sorted(merged))


def _added(one: SubscriptionItem, other: SubscriptionItem) -> SubscriptionItem:
    return replace(
        one,
        quantity=_sum_known(one.quantity, other.quantity),
        amount_minor=_sum_known(one.amount_minor, other.amount_minor),
    )


def _sum_known(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else one + other
