"""Chargebee's events for tests, in the shapes of both product catalogs (API v2).

Times are whole seconds unless a version says otherwise; a resource's version is its event's time in milliseconds.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

Event = dict[str, Any]
Json = dict[str, Any]

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def second(at: datetime) -> int:
    """A moment as Chargebee writes it."""
    return int(at.timestamp())


def body(event: Mapping[str, Any]) -> bytes:
    """The bytes of a delivery."""
    return json.dumps(event, indent=4).encode()


def event(event_type: str, at: datetime, key: str | None = None, **content: Any) -> Event:
    """An event; every further keyword is a resource, or a list of them, in its content."""
    return {
        "id": key or f"ev_{event_type}_{second(at)}",
        "occurred_at": second(at),
        "source": "scheduled_job",
        "object": "event",
        "api_version": "v2",
        "content": content,
        "event_type": event_type,
        "webhook_status": "not_configured",
        "webhooks": [{"id": "whv2_1", "webhook_status": "scheduled", "object": "webhook"}],
    }


def _resource(kind: str, key: str, at: datetime, fields: Mapping[str, Any]) -> Json:
    resource = {
        "id": key,
        "updated_at": second(at),
        "resource_version": round(at.timestamp() * 1000),
        "deleted": False,
        "object": kind,
        **fields,
    }
    return {name: value for name, value in resource.items() if value is not None}


def customer(key: str, at: datetime = NOON, **fields: Any) -> Json:
    """A customer; `meta_data` says whose."""
    usual = {
        "auto_collection": "on",
        "net_term_days": 0,
        "allow_direct_debit": False,
        "created_at": second(at),
        "taxability": "taxable",
        "preferred_currency_code": "USD",
        "promotional_credits": 0,
        "refundable_credits": 0,
    }
    return _resource("customer", key, at, usual | fields)


@dataclass(frozen=True, slots=True)
class ItemExample:
    """What is on a subscription: of catalog 1.0 a plan or an addon, of 2.0 an item price."""

    key: str
    amount: int
    quantity: int = 1
    kind: str = "plan"


def subscription(
    key: str,
    customer_key: str,
    items: Sequence[ItemExample],
    *,
    at: datetime = NOON,
    status: str = "active",
    catalog: int = 2,
    **fields: Any,
) -> Json:
    """A subscription as it is at `at`; further keywords replace or add fields, and None takes one out."""
    usual = {
        "customer_id": customer_key,
        "status": status,
        "billing_period": 1,
        "billing_period_unit": "month",
        "currency_code": "USD",
        "created_at": second(NOON),
        "started_at": second(NOON),
        "has_scheduled_changes": False,
        "due_invoices_count": 0,
        **(_items_of_2(items) if catalog == 2 else _items_of_1(items)),
    }
    return _resource("subscription", key, at, usual | fields)


def _items_of_2(items: Sequence[ItemExample]) -> Json:
    return {
        "subscription_items": [
            {
                "item_price_id": each.key,
                "item_type": each.kind,
                "quantity": each.quantity,
                "unit_price": each.amount // each.quantity,
                "amount": each.amount,
                "free_quantity": 0,
                "object": "subscription_item",
            }
            for each in items
        ]
    }


def _items_of_1(items: Sequence[ItemExample]) -> Json:
    plan, *addons = items
    return {
        "plan_id": plan.key,
        "plan_quantity": plan.quantity,
        "plan_unit_price": plan.amount // plan.quantity,
        "plan_amount": plan.amount,
        "plan_free_quantity": 0,
        "addons": [
            {
                "id": each.key,
                "quantity": each.quantity,
                "unit_price": each.amount // each.quantity,
                "amount": each.amount,
                "object": "addon",
            }
            for each in addons
        ]
        or None,
    }


def line(
    entity: str | None,
    amount: int,
    *,
    key: str | None = None,
    on: str | None = "sub_1",
    kind: str = "plan_item_price",
    quantity: int = 1,
    discount: int = 0,
    tax: int = 0,
    **fields: Any,
) -> Json:
    """A line of an invoice or a credit note; `amount` is before discounts. Without an entity it is ad hoc."""
    found = {
        "id": key or f"li_{entity or 'adhoc'}_{on or 'none'}",
        "date_from": second(NOON),
        "date_to": second(NOON) + 30 * 86400,
        "unit_amount": amount // quantity,
        "quantity": quantity,
        "amount": amount,
        "is_taxed": tax > 0,
        "tax_amount": tax,
        "discount_amount": discount,
        "item_level_discount_amount": discount,
        "object": "line_item",
        "subscription_id": on,
        "entity_type": kind if entity else "adhoc",
        "entity_id": entity,
        "description": entity or "Ad hoc",
        **fields,
    }
    return {name: value for name, value in found.items() if value is not None}


def invoice(
    key: str, customer_key: str, lines: Sequence[Json], *, at: datetime = NOON, status: str = "paid", **fields: Any
) -> Json:
    """An invoice as it is at `at`, paid in full by one payment unless fields say otherwise."""
    total, tax = _total(lines, fields), _tax(lines)
    paid = status == "paid"
    payment = {"txn_id": f"txn_{key}", "applied_amount": total, "applied_at": second(at), "txn_status": "success"}
    usual = {
        "customer_id": customer_key,
        "subscription_id": next((one["subscription_id"] for one in lines if "subscription_id" in one), None),
        "recurring": True,
        "status": status,
        "price_type": "tax_exclusive",
        "date": second(at),
        "currency_code": "USD",
        "total": total,
        "tax": tax,
        "sub_total": total - tax,
        "amount_paid": total if paid else 0,
        "amount_due": 0 if paid else total,
        "credits_applied": 0,
        "paid_at": second(at) if paid else None,
        "line_items": list(lines),
        "linked_payments": [payment] if paid and total else [],
        "applied_credits": [],
        "adjustment_credit_notes": [],
        "issued_credit_notes": [],
    }
    return _resource("invoice", key, at, usual | fields)


def _tax(lines: Sequence[Json]) -> int:
    return int(sum(one["tax_amount"] for one in lines))


def _total(lines: Sequence[Json], fields: Mapping[str, Any]) -> int:
    net = int(sum(one["amount"] - one["discount_amount"] for one in lines))
    return net if fields.get("price_type") == "tax_inclusive" else net + _tax(lines)


def credit_note(
    key: str, invoice_key: str | None, customer_key: str, lines: Sequence[Json], *, at: datetime = NOON, **fields: Any
) -> Json:
    """A refundable credit note for an invoice, as it is at `at`."""
    total = _total(lines, fields)
    usual = {
        "customer_id": customer_key,
        "reference_invoice_id": invoice_key,
        "type": "refundable",
        "reason_code": "subscription_change",
        "status": "refund_due",
        "price_type": "tax_exclusive",
        "date": second(at),
        "currency_code": "USD",
        "total": total,
        "amount_allocated": 0,
        "amount_refunded": 0,
        "amount_available": total,
        "line_items": list(lines),
        "linked_refunds": [],
        "allocations": [],
    }
    return _resource("credit_note", key, at, usual | fields)


def transaction(
    key: str, customer_key: str, amount: int, *, at: datetime = NOON, kind: str = "payment", **fields: Any
) -> Json:
    """A transaction that succeeded, unless fields say otherwise."""
    usual = {
        "customer_id": customer_key,
        "type": kind,
        "status": "success",
        "date": second(at),
        "amount": amount,
        "currency_code": "USD",
        "payment_method": "card",
        "gateway": "chargebee",
    }
    return _resource("transaction", key, at, usual | fields)


def linked_note(note: Mapping[str, Any], applied: int) -> Json:
    """A credit note as a refund of it, or the invoice it credits, names it."""
    return {
        "cn_id": note["id"],
        "applied_amount": applied,
        "cn_reason_code": note["reason_code"],
        "cn_total": note["total"],
        "cn_status": note["status"],
        "cn_reference_invoice_id": note["reference_invoice_id"],
    }
