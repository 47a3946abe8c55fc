"""Stripe events as version 2026-03-25.dahlia sends them, whole: for the demo and the tests, never for production.

Ids of the parts are derived from the ids given, so the same call gives the same bytes. Events are plain dicts, to be
changed freely before `body` turns them into what Stripe would send.
"""

import copy
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from infra.providers.stripe.example_bodies import (
    ADDRESS,
    CUSTOMER,
    INVOICE,
    PLAN,
    PRICE,
    SUBSCRIPTION,
    TRANSITIONS,
    Json,
)

API_VERSION: Final = "2026-03-25.dahlia"

Event = Json

#: When an example happens unless it says otherwise.
EXAMPLE_AT: Final = datetime(2026, 4, 1, 12, 0, 0, tzinfo=UTC)
_MONTH_S: Final = 30 * 86_400


@dataclass(frozen=True, slots=True)
class ItemExample:
    """One item of a subscription: a product at a price. `amount` is for one unit; None for tiers."""

    product: str
    price: str
    amount: int | None
    quantity: int | None = 1


@dataclass(frozen=True, slots=True)
class LineExample:
    """One line of an invoice. `amount` is for the whole line; `tax` is on top unless `tax_inclusive`."""

    product: str | None
    price: str | None
    amount: int
    quantity: int | None = 1
    subscription: str | None = None
    discount: int = 0
    tax: int = 0
    tax_inclusive: bool = False
    proration: bool = False
    #: False for an invoice item: a one-off charge, or a proration of older versions.
    of_subscription: bool = True
    description: str | None = None
    key: str | None = None


def item(product: str, *, price: str | None = None, amount: int | None = 1000, quantity: int | None = 1) -> ItemExample:
    """A subscription item of a product, at `price_<product>` unless a price is named."""
    return ItemExample(product, price or f"price_{product.removeprefix('prod_')}", amount, quantity)


def line(product: str | None, amount: int, **details: Any) -> LineExample:
    """An invoice line for a product, at `price_<product>` unless a price is named."""
    price = details.pop("price", f"price_{product.removeprefix('prod_')}" if product else None)
    return LineExample(product, price, amount, **details)


def body(event: Event) -> bytes:
    """The bytes that Stripe would send: indented by two, as its webhooks are."""
    return json.dumps(event, indent=2, ensure_ascii=False).encode()


def customer(
    key: str,
    *,
    change: str = "created",
    at: datetime = EXAMPLE_AT,
    event_key: str | None = None,
    email: str | None = None,
    name: str | None = None,
    country: str | None = "US",
    metadata: Mapping[str, str] | None = None,
    previous: Json | None = None,
    **metadata_keys: str,
) -> Event:
    """`customer.<change>`. Further keywords (`partner_key="ada"`, `customer_key=...`) go into the metadata."""
    content = {
        **CUSTOMER,
        "id": key,
        "created": _second(at),
        "address": {**ADDRESS, "country": country},
        "email": email or f"{key.removeprefix('cus_')}@example.com",
        "name": name,
        "invoice_prefix": _derived("", key).upper()[:8],
        "metadata": {**(metadata or {}), **metadata_keys},
    }
    return _event(f"customer.{change}", content, at, event_key, previous)


def subscription(
    key: str,
    *,
    customer: str,
    items: Sequence[ItemExample],
    status: str = "active",
    change: str = "created",
    at: datetime = EXAMPLE_AT,
    started_at: datetime | None = None,
    ended_at: datetime | None = None,
    event_key: str | None = None,
    currency: str = "usd",
    metadata: Mapping[str, str] | None = None,
    previous: Json | None = None,
    **fields: Any,
) -> Event:
    """`customer.subscription.<change>`, with its items. Further keywords replace fields of the subscription."""
    started = _second(started_at or at)
    over = _second(ended_at or at) if status == "canceled" else None
    trial_end = started + _MONTH_S if status == "trialing" else None
    only = items[0] if len(items) == 1 else None
    content = {
        **SUBSCRIPTION,
        "id": key,
        "billing_cycle_anchor": started,
        "billing_mode": {**SUBSCRIPTION["billing_mode"], "updated_at": started},
        "canceled_at": over,
        "created": started,
        "currency": currency,
        "customer": customer,
        "ended_at": over,
        "items": subscription_items(key, items, started, currency),
        "latest_invoice": _derived("in_", key),
        "metadata": dict(metadata or {}),
        "plan": _plan(only, currency, started) if only else None,
        "quantity": only.quantity if only else None,
        "start_date": started,
        "status": status,
        "trial_end": trial_end,
        "trial_start": started if trial_end else None,
        **fields,
    }
    return _event(f"customer.subscription.{change}", content, at, event_key, previous)


def subscription_items(key: str, items: Sequence[ItemExample], started: int, currency: str = "usd") -> Json:
    """A subscription's `items`, also as they stand inside `previous_attributes`."""
    return {
        "object": "list",
        "data": [_item(key, example, started, currency) for example in items],
        "has_more": False,
        "total_count": len(items),
        "url": f"/v1/subscription_items?subscription={key}",
    }


def invoice_paid(
    key: str,
    *,
    customer: str | None,
    lines: Sequence[LineExample],
    subscription: str | None = None,
    change: str = "paid",
    status: str = "paid",
    paid_at: datetime = EXAMPLE_AT,
    at: datetime | None = None,
    event_key: str | None = None,
    currency: str = "usd",
    has_more: bool = False,
    metadata: Mapping[str, str] | None = None,
    **fields: Any,
) -> Event:
    """`invoice.<change>`; `change="payment_succeeded"` is its twin. Lines without a subscription take the invoice's."""
    paid = _second(paid_at)
    billed = [_line(key, number, example, subscription, paid, currency) for number, example in enumerate(lines, 1)]
    totals = _totals(lines)
    content = {
        **INVOICE,
        **totals,
        "id": key,
        "amount_paid": totals["total"] if status == "paid" else 0,
        "amount_remaining": 0 if status == "paid" else totals["total"],
        "billing_reason": "subscription_create" if subscription else "manual",
        "created": paid,
        "currency": currency,
        "customer": customer,
        "customer_email": f"{(customer or 'nobody').removeprefix('cus_')}@example.com",
        "effective_at": paid,
        "lines": {
            "object": "list",
            "data": billed,
            "has_more": has_more,
            "total_count": len(billed),
            "url": f"/v1/invoices/{key}/lines",
        },
        "metadata": dict(metadata or {}),
        "number": f"{_derived('', key).upper()[:8]}-0001",
        "parent": _invoice_parent(subscription),
        "period_end": paid,
        "period_start": paid,
        "status": status,
        "status_transitions": {**TRANSITIONS, "finalized_at": paid, "paid_at": paid if status == "paid" else None},
        "webhooks_delivered_at": paid,
        **fields,
    }
    return _event(f"invoice.{change}", content, at or paid_at, event_key, None)


def _event(kind: str, content: Json, at: datetime, event_key: str | None, previous: Json | None) -> Event:
    # In Stripe's order: who it is, then by name. A copy, so that changing an event changes no other.
    ordered = {"id": content["id"], "object": content["object"], **dict(sorted(content.items()))}
    changed: Json = {"previous_attributes": previous} if previous is not None else {}
    return {
        "id": event_key or _derived("evt_", kind, at.isoformat(), json.dumps([content, previous], sort_keys=True)),
        "object": "event",
        "api_version": API_VERSION,
        "created": _second(at),
        "data": {"object": copy.deepcopy(ordered), **changed},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": kind,
    }


def _item(subscription_key: str, example: ItemExample, started: int, currency: str) -> Json:
    usage = "metered" if example.quantity is None else "licensed"
    content: Json = {
        "id": _derived("si_", subscription_key, example.product, example.price),
        "object": "subscription_item",
        "billing_thresholds": None,
        "created": started,
        "current_period_end": started + _MONTH_S,
        "current_period_start": started,
        "discounts": [],
        "metadata": {},
        "plan": _plan(example, currency, started),
        "price": {
            **PRICE,
            "id": example.price,
            "billing_scheme": "tiered" if example.amount is None else "per_unit",
            "created": started,
            "currency": currency,
            "product": example.product,
            "recurring": {**PRICE["recurring"], "usage_type": usage},
            "unit_amount": example.amount,
            "unit_amount_decimal": None if example.amount is None else str(example.amount),
        },
        "quantity": example.quantity,
        "subscription": subscription_key,
        "tax_rates": [],
    }
    if example.quantity is None:
        del content["quantity"]
    return content


def _plan(example: ItemExample, currency: str, started: int) -> Json:
    return {
        **PLAN,
        "id": example.price,
        "amount": example.amount,
        "amount_decimal": None if example.amount is None else str(example.amount),
        "billing_scheme": "tiered" if example.amount is None else "per_unit",
        "created": started,
        "currency": currency,
        "product": example.product,
        "usage_type": "metered" if example.quantity is None else "licensed",
    }


def _line(
    invoice_key: str, number: int, example: LineExample, invoice_subscription: str | None, paid: int, currency: str
) -> Json:
    discounts = [{"amount": example.discount, "discount": _derived("di_", invoice_key)}] if example.discount else []
    return {
        "id": example.key or _derived("il_", invoice_key, str(number)),
        "object": "line_item",
        "amount": example.amount,
        "currency": currency,
        "description": example.description or f"{example.quantity or 1} × {example.product or 'Service'}",
        "discount_amounts": discounts,
        "discountable": not example.proration,
        "discounts": [],
        "invoice": invoice_key,
        "livemode": False,
        "metadata": {},
        "parent": _line_parent(invoice_key, number, example, example.subscription or invoice_subscription),
        "period": {"end": paid + _MONTH_S, "start": paid},
        "pretax_credit_amounts": [],
        "pricing": _pricing(example),
        "quantity": example.quantity,
        "quantity_decimal": str(example.quantity),
        "subtotal": example.amount,
        "taxes": [_tax(example)] if example.tax else [],
    }


def _line_parent(invoice_key: str, number: int, example: LineExample, subscription_key: str | None) -> Json:
    details: Json = {"proration": example.proration, "proration_details": {"credited_items": None}}
    details["subscription"] = subscription_key
    invoice_item = _derived("ii_", invoice_key, str(number))
    if subscription_key is None or not example.of_subscription:
        return {
            "invoice_item_details": {"invoice_item": invoice_item, **details},
            "subscription_item_details": None,
            "type": "invoice_item_details",
        }
    details["invoice_item"] = invoice_item if example.proration else None
    details["subscription_item"] = _derived("si_", subscription_key, example.product or "", example.price or "")
    return {
        "invoice_item_details": None,
        "subscription_item_details": details,
        "type": "subscription_item_details",
    }


def _pricing(example: LineExample) -> Json | None:
    if example.price is None:
        return None
    unit_amount = None if example.proration else str(example.amount // (example.quantity or 1))
    return {
        "price_details": {"price": example.price, "product": example.product},
        "type": "price_details",
        "unit_amount_decimal": unit_amount,
    }


def _tax(example: LineExample) -> Json:
    return {
        "amount": example.tax,
        "tax_behavior": "inclusive" if example.tax_inclusive else "exclusive",
        "tax_rate_details": {"tax_rate": "txr_example"},
        "taxability_reason": "standard_rated",
        "taxable_amount": example.amount - example.discount,
        "type": "tax_rate_details",
    }


def _totals(lines: Sequence[LineExample]) -> Json:
    """As Stripe adds them up: only tax on top is added to the total."""
    subtotal = sum(example.amount for example in lines)
    discount = sum(example.discount for example in lines)
    total = subtotal - discount + sum(example.tax for example in lines if not example.tax_inclusive)
    discounts = [{"amount": discount, "discount": "di_example"}] if discount else []
    return {
        "amount_due": total,
        "subtotal": subtotal,
        "subtotal_excluding_tax": subtotal - sum(example.tax for example in lines if example.tax_inclusive),
        "total": total,
        "total_discount_amounts": discounts,
        "total_excluding_tax": total - sum(example.tax for example in lines),
        "total_taxes": [_tax(example) for example in lines if example.tax],
    }


def _invoice_parent(subscription_key: str | None) -> Json | None:
    if subscription_key is None:
        return None
    return {
        "quote_details": None,
        "subscription_details": {"metadata": {}, "subscription": subscription_key},
        "type": "subscription_details",
    }


def _second(at: datetime) -> int:
    return int(at.timestamp())


def _derived(prefix: str, *causes: str) -> str:
    return prefix + hashlib.sha256("/".join(causes).encode()).hexdigest()[:24]
