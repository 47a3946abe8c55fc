"""Stripe's events about money and its catalogue, as version 2026-03-25.dahlia sends them, with the fields that matter.

Ids are given by the caller; events are plain dicts, to be changed freely. `infra.providers.stripe.example_events` has
customers, subscriptions and paid invoices.
"""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

Json = dict[str, Any]

AT: Final = datetime(2026, 4, 2, 12, 0, 0, tzinfo=UTC)


def event(kind: str, content: Json, *, at: datetime = AT, key: str | None = None, previous: Json | None = None) -> Json:
    """An event around an object; its id is derived from what is in it unless one is given."""
    derived = hashlib.sha256(repr((kind, content, at, previous)).encode()).hexdigest()[:16]
    return {
        "id": key or f"evt_{derived}",
        "object": "event",
        "api_version": "2026-03-25.dahlia",
        "created": second(at),
        "data": {"object": content} | ({"previous_attributes": previous} if previous is not None else {}),
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": kind,
    }


def second(at: datetime) -> int:
    """Unix seconds."""
    return int(at.timestamp())


def product(key: str, name: str | None, /, *, what: str = "updated", active: bool = True, **more: Any) -> Json:
    """`product.created`, `product.updated` or `product.deleted`."""
    content = {
        "id": key,
        "object": "product",
        "active": active,
        "created": 1_700_000_000,
        "default_price": None,
        "description": more.pop("description", None),
        "images": [],
        "livemode": False,
        "marketing_features": [],
        "metadata": {},
        "name": name,
        "type": "service",
        "updated": 1_700_000_000,
    }
    return event(f"product.{what}", content, **more)


def price(key: str, product: str, /, *, what: str = "created", **more: Any) -> Json:
    """`price.created`, `price.updated` or `price.deleted`."""
    content = {
        "id": key,
        "object": "price",
        "active": True,
        "billing_scheme": "per_unit",
        "currency": "usd",
        "livemode": False,
        "metadata": {},
        "nickname": None,
        "product": product,
        "recurring": {"interval": "month", "interval_count": 1, "meter": None, "usage_type": "licensed"},
        "tax_behavior": "unspecified",
        "type": "recurring",
        "unit_amount": 1000,
        "unit_amount_decimal": "1000",
    }
    return event(f"price.{what}", content, **more)


def charge(key: str, amount: int, /, *, refunded: int = 0, payment_intent: str | None = None, **more: Any) -> Json:
    """A charge as the object alone; before basil it names its `invoice`."""
    content = {
        "id": key,
        "object": "charge",
        "amount": amount,
        "amount_captured": amount,
        "amount_refunded": refunded,
        "captured": True,
        "currency": more.pop("currency", "usd"),
        "customer": more.pop("customer", None),
        "disputed": False,
        "livemode": False,
        "metadata": {},
        "paid": True,
        "payment_intent": payment_intent,
        "refunded": refunded == amount,
        "status": "succeeded",
    }
    return content | more


def charge_refunded(key: str, amount: int, refunded: int, /, *, before: int = 0, **more: Any) -> Json:
    """`charge.refunded`: all that was refunded of the charge so far."""
    envelope = {name: more.pop(name) for name in ("at", "key") if name in more}
    previous = {"amount_refunded": before} | ({"refunded": False} if refunded == amount else {})
    return event("charge.refunded", charge(key, amount, refunded=refunded, **more), previous=previous, **envelope)


def refund(key: str, amount: int, /, *, what: str = "refund.created", status: str = "succeeded", **more: Any) -> Json:
    """`refund.created`, `refund.updated`, `refund.failed` or `charge.refund.updated`."""
    content = {
        "id": key,
        "object": "refund",
        "amount": amount,
        "charge": more.pop("charge", None),
        "created": more.pop("made", 1_775_000_000),
        "currency": more.pop("currency", "usd"),
        "metadata": {},
        "payment_intent": more.pop("payment_intent", None),
        "reason": None,
        "status": status,
    }
    return event(what, content, **more)


def dispute(key: str, amount: int, /, *, what: str = "created", status: str = "needs_response", **more: Any) -> Json:
    """`charge.dispute.*`; `moved` are its balance transactions: negative where funds were withdrawn."""
    currency = more.pop("currency", "usd")
    moved: Sequence[int] = more.pop("moved", ())
    content = {
        "id": key,
        "object": "dispute",
        "amount": amount,
        "balance_transactions": [
            {"id": f"txn_{number}", "object": "balance_transaction", "amount": each, "currency": currency, "fee": 1500}
            for number, each in enumerate(moved, 1)
        ],
        "charge": more.pop("charge", None),
        "created": more.pop("made", 1_775_000_000),
        "currency": currency,
        "is_charge_refundable": False,
        "livemode": False,
        "metadata": {},
        "payment_intent": more.pop("payment_intent", None),
        "reason": "fraudulent",
        "status": status,
    }
    return event(f"charge.dispute.{what}", content, **more)


def note_line(key: str, amount: int, *, of: str | None = None, discount: int = 0, **taxed: int) -> Json:
    """A line of a credit note; `tax` is on top of `amount`, `included` in it."""
    taxes = [("exclusive", taxed.get("tax", 0)), ("inclusive", taxed.get("included", 0))]
    return {
        "id": key,
        "object": "credit_note_line_item",
        "amount": amount,
        "discount_amount": discount,
        "discount_amounts": [{"amount": discount, "discount": "di_1"}] if discount else [],
        **({"invoice_line_item": of} if of else {}),
        "pretax_credit_amounts": [],
        "quantity": 1,
        "taxes": [{"amount": tax, "tax_behavior": how, "type": "tax_rate_details"} for how, tax in taxes if tax],
        "type": "invoice_line_item" if of else "custom_line_item",
    }


def credit_note(key: str, invoice: str, lines: Sequence[Json], /, *, what: str = "created", **more: Any) -> Json:
    """`credit_note.created`, `.updated` or `.voided`; `refunds` are (refund, amount) pairs."""
    on_top = sum(tax["amount"] for each in lines for tax in each["taxes"] if tax["tax_behavior"] == "exclusive")
    net = sum(each["amount"] - each["discount_amount"] for each in lines)
    content = {
        "id": key,
        "object": "credit_note",
        "amount": net + on_top,
        "created": more.pop("made", 1_775_000_000),
        "currency": more.pop("currency", "usd"),
        "customer": more.pop("customer", None),
        "customer_balance_transaction": None,
        "discount_amount": 0,
        "invoice": invoice,
        "lines": {"object": "list", "data": list(lines), "has_more": more.pop("has_more", False)},
        "livemode": False,
        "metadata": {},
        "out_of_band_amount": None,
        "pre_payment_amount": 0,
        "post_payment_amount": net + on_top,
        "refunds": [{"amount_refunded": amount, "refund": name} for name, amount in more.pop("refunds", ())],
        "status": "void" if what == "voided" else "issued",
        "subtotal": net,
        "total": net + on_top,
        "total_taxes": [tax for each in lines for tax in each["taxes"]],
        "type": more.pop("kind", "post_payment"),
        "voided_at": None,
    }
    return event(f"credit_note.{what}", content, **more)


def invoice_payment(key: str, invoice: str, payment: Json, /, **more: Any) -> Json:
    """`invoice_payment.paid`; `payment` is such as `{"type": "payment_intent", "payment_intent": "pi_1"}`."""
    content = {
        "id": key,
        "object": "invoice_payment",
        "amount_paid": 1000,
        "amount_requested": 1000,
        "currency": "usd",
        "invoice": invoice,
        "is_default": True,
        "livemode": False,
        "payment": payment,
        "status": "paid",
        "status_transitions": {"canceled_at": None, "paid_at": 1_775_000_000},
    }
    return event("invoice_payment.paid", content, **more)


def checkout_session(key: str, amount: int, /, *, what: str = "completed", mode: str = "payment", **more: Any) -> Json:
    """`checkout.session.*`; `tax` is in `amount`, `discount` already off it."""
    makes_invoice = more.pop("makes_invoice", mode == "payment" and more.get("invoice") is not None)
    tax, discount, shipping = (more.pop(name, 0) for name in ("tax", "discount", "shipping"))
    content = {
        "id": key,
        "object": "checkout.session",
        "amount_subtotal": amount - tax - shipping + discount,
        "amount_total": amount,
        "client_reference_id": None,
        "created": 1_775_000_000,
        "currency": more.pop("currency", "usd"),
        "customer": more.pop("customer", None),
        "customer_details": None,
        "invoice": more.pop("invoice", None),
        "invoice_creation": {"enabled": makes_invoice},
        "livemode": False,
        "metadata": more.pop("metadata", {}),
        "mode": mode,
        "payment_intent": more.pop("payment_intent", None),
        "payment_status": more.pop("payment_status", "paid"),
        "status": "complete",
        "subscription": more.pop("subscription", None),
        "total_details": {"amount_discount": discount, "amount_shipping": shipping, "amount_tax": tax},
    }
    return event(f"checkout.session.{what}", content, **more)
