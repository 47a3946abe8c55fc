"""Stripe events for tests: the newest shape from `stripe_events`, and the same event as an older version sent it.

`as_2019(event)` and its kin follow the field table of the provider notes, each from the next newer shape; none of
them changes what the event means, so every era of one event must translate into the same facts.
"""

import copy
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from domain.facts import Missing, NotUsed
from infra.providers.stripe import example_events as stripe_events
from infra.providers.stripe.example_events import Event, body, item, line
from infra.providers.stripe.translate import translate

__all__ = ["ERAS", "Event", "body", "fact_of", "item", "line", "stripe_events"]

Json = dict[str, Any]


def fact_of(event: Event) -> Any:
    """The only fact that a Stripe event translates into; NotUsed where it is not used."""
    answer = translate(event["type"], event["id"], datetime.fromtimestamp(event["created"], UTC), body(event))
    if isinstance(answer, NotUsed | Missing):
        return answer
    (fact,) = answer
    return fact


def as_dahlia(event: Event) -> Event:
    """2026-03-25.dahlia: what `stripe_events` builds."""
    return copy.deepcopy(event)


def as_clover(event: Event) -> Event:
    """2025-10-29.clover: no decimal quantity, no line subtotal, no customer account."""
    older, content = _opened(event, "2025-10-29.clover")
    content.pop("customer_account", None)
    for entry in _lines(content):
        del entry["quantity_decimal"], entry["subtotal"]
    return older


def as_basil(event: Event) -> Event:
    """2025-03-31.basil: subscriptions know no billing mode yet."""
    older, content = _opened(as_clover(event), "2025-03-31.basil")
    content.pop("billing_mode", None)
    return older


def as_acacia(event: Event) -> Event:
    """2025-02-24.acacia: the old places filled beside the new ones."""
    older, content = _opened(as_basil(event), "2025-02-24.acacia")
    if content["object"] == "subscription":
        content["discount"] = None
        for entry in content["items"]["data"]:
            content["current_period_start"] = entry["current_period_start"]
            content["current_period_end"] = entry["current_period_end"]
    if content["object"] == "invoice":
        _fill_old_invoice_fields(content)
    return older


def as_2020(event: Event) -> Event:
    """2020-08-27: prices, only in the old places; a subscription's currency only at its prices."""
    older, content = _opened(as_acacia(event), "2020-08-27")
    for entry in _lines(content):
        for newer in ("parent", "pricing", "taxes", "pretax_credit_amounts"):
            del entry[newer]
    if content["object"] == "invoice":
        for newer in ("parent", "total_taxes", "total_pretax_credit_amounts"):
            del content[newer]
    if content["object"] == "subscription":
        for newer in ("currency", "discounts"):
            del content[newer]
        for entry in content["items"]["data"]:
            for newer in ("current_period_start", "current_period_end", "discounts"):
                del entry[newer]
    return older


def as_2019(event: Event) -> Event:
    """2019-08-14: plans instead of prices, discounts only on the invoice, line ids that are not the line's own."""
    older, content = _opened(as_2020(event), "2019-08-14")
    for entry in (*_lines(content), *_items(content)):
        price = entry.pop("price", None)
        if price and entry.get("plan") is None:
            entry["plan"] = _plan_of(price)
    for number, entry in enumerate(_lines(content), 1):
        entry["unique_id"], entry["id"] = entry["id"], f"sli_{number}"
        del entry["discount_amounts"], entry["discounts"]
    for newer in ("total_discount_amounts", "discounts"):
        content.pop(newer, None)
    return older


def as_2016(event: Event) -> Event:
    """2016: plans without a product, invoices without a status, subscription lines named after the subscription."""
    older, content = _opened(as_2019(event), "2016-07-06")
    if content["object"] == "subscription" and content["plan"]:
        del content["items"], content["plan"]["product"]
    if content["object"] == "invoice":
        del content["status"], content["status_transitions"], content["total_tax_amounts"]
    for entry in _lines(content):
        del entry["unique_id"], entry["tax_amounts"]
        if entry["plan"]:
            del entry["plan"]["product"]
        if entry["type"] == "subscription":
            entry["id"], entry["subscription"] = entry["subscription"], None
    return older


#: Every shape from the newest to the oldest.
ERAS: dict[str, Callable[[Event], Event]] = {
    "dahlia": as_dahlia,
    "clover": as_clover,
    "basil": as_basil,
    "acacia": as_acacia,
    "2020": as_2020,
    "2019": as_2019,
    "2016": as_2016,
}


def _opened(event: Event, api_version: str) -> tuple[Event, Json]:
    older = copy.deepcopy(event)
    older["api_version"] = api_version
    return older, older["data"]["object"]


def _lines(content: Json) -> list[Json]:
    return content["lines"]["data"] if content["object"] == "invoice" else []


def _items(content: Json) -> list[Json]:
    return content["items"]["data"] if content["object"] == "subscription" else []


def _fill_old_invoice_fields(content: Json) -> None:
    parent = content["parent"]
    content["subscription"] = parent["subscription_details"]["subscription"] if parent else None
    content["paid"] = content["status"] == "paid"
    content["charge"] = None
    content["total_tax_amounts"] = [_old_tax(tax) for tax in content["total_taxes"]]
    content["tax"] = sum(tax["amount"] for tax in content["total_taxes"]) or None
    content["discount"] = {"object": "discount", "id": "di_1"} if content["total_discount_amounts"] else None
    for entry in _lines(content):
        details = entry["parent"]["subscription_item_details"] or entry["parent"]["invoice_item_details"]
        of_subscription = entry["parent"]["type"] == "subscription_item_details"
        entry["type"] = "subscription" if of_subscription and not details["proration"] else "invoiceitem"
        entry["subscription"] = details["subscription"]
        entry["proration"] = details["proration"]
        entry["tax_amounts"] = [_old_tax(tax) for tax in entry["taxes"]]
        entry["price"] = _old_price(entry, recurring=of_subscription)
        entry["plan"] = _plan_of(entry["price"]) if of_subscription else None


def _old_tax(tax: Json) -> Json:
    return {"amount": tax["amount"], "inclusive": tax["tax_behavior"] == "inclusive", "tax_rate": "txr_example"}


def _old_price(entry: Json, *, recurring: bool) -> Json | None:
    if entry["pricing"] is None:
        return None
    return {
        "id": entry["pricing"]["price_details"]["price"],
        "object": "price",
        "product": entry["pricing"]["price_details"]["product"],
        "type": "recurring" if recurring else "one_time",
        "unit_amount": entry["amount"],
        "currency": entry["currency"],
    }


def _plan_of(price: Json | None) -> Json | None:
    if price is None:
        return None
    return {
        "id": price["id"],
        "object": "plan",
        "product": price["product"],
        "amount": price["unit_amount"],
        "currency": price["currency"],
    }
