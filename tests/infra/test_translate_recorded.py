"""Every recorded Stripe event against what its manifest says it means."""

import json
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from domain.facts import (
    CustomerSeen,
    InvoicePaid,
    InvoicePayment,
    NotUsed,
    PriceDescribed,
    ProductStatus,
    Reversal,
    SubscriptionSeen,
)
from infra.providers.stripe.translate import USED, translate

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "payloads" / "stripe"
ABSENT = "recorded payloads are not part of this checkout (../shared/payloads/stripe)"

#: What DESIGN section 4 decides where a manifest leaves the status open.
POLICY = {
    "incomplete": ProductStatus.NONE,
    "unpaid": ProductStatus.CHURNED,
    "paused": ProductStatus.CHURNED,
    "active": ProductStatus.ACTIVE,
}


def manifest() -> list[Any]:
    """One parameter per recorded file; a single skipped one where there are none."""
    listing = FOLDER / "manifest.json"
    if not listing.is_file():
        return [pytest.param({}, marks=pytest.mark.skip(reason=ABSENT), id="absent")]
    return [pytest.param(entry, id=entry["file"]) for entry in json.loads(listing.read_bytes())["files"]]


def of_kind(kind: str) -> list[Any]:
    """The files whose type this program uses and whose meaning is of this kind."""
    return [
        parameter
        for parameter in manifest()
        if parameter.id == "absent"
        or (is_used(parameter.values[0]["event_type"]) and parameter.values[0]["expect"]["kind"] == kind)
    ]


def is_used(event_type: str) -> bool:
    """Whether the program reads events of this type."""
    return event_type in USED


def translated(entry: Any) -> Any:
    """What the recorded bytes translate into."""
    recorded = (FOLDER / entry["file"]).read_bytes()
    event = json.loads(recorded)
    answer = translate(event["type"], event["id"], datetime.fromtimestamp(event["created"], UTC), recorded)
    return answer[0] if isinstance(answer, tuple) else answer


#: Where a manifest's `expect` names an object of which no money moved: what is decided here, by file.
NOTHING = {
    "charge.refunded--2020-08-27--stripe-ruby-mock--rubymock.json": "paid neither an invoice nor a checkout session",
    "charge.dispute.created--2020-08-27--stripe-ruby-mock--rubymock.json": "an inquiry",
    "charge.dispute.created--2020-03-02--sync-engine--syncengine.json": "an inquiry",
    "charge.dispute.updated--2020-03-02--sync-engine--syncengine.json": "an inquiry",
    "charge.dispute.closed--2020-03-02--sync-engine--syncengine.json": "an inquiry",
    "charge.dispute.created--2026-06-24.dahlia--openapi--openapi-fixture.json": "an inquiry",
    "checkout.session.completed--2026-03-25.dahlia--pay--derived-subscription-mode.json": "subscription mode",
}


@pytest.mark.parametrize("entry", manifest())
def test_every_recorded_event_is_read_or_not_used(entry: Any) -> None:
    """No recorded event is unreadable, and exactly those without a meaning here are not used, each for its reason."""
    answer = translated(entry)
    expected = NOTHING.get(entry["file"]) or (None if is_used(entry["event_type"]) else "")
    assert isinstance(answer, NotUsed) == (expected is not None)
    assert (expected or "") in getattr(answer, "reason", "")


def test_the_exceptions_are_recorded() -> None:
    """The table above names recorded files only."""
    if not FOLDER.is_dir():
        pytest.skip(ABSENT)
    assert {file for file in NOTHING if not (FOLDER / file).is_file()} == set()


@pytest.mark.parametrize("entry", of_kind("charge") + of_kind("dispute"))
def test_recorded_refunds_and_disputes(entry: Any) -> None:
    """What was taken back of which payment is what the manifest worked out; a dispute's fee is none of it."""
    taken, expected = translated(entry), entry["expect"]
    if isinstance(taken, NotUsed):
        assert not expected.get("invoice")
        assert not expected.get("balance_transactions_net")
        return
    assert isinstance(taken, Reversal)
    payments = (expected["charge"], *((expected["payment_intent"],) if expected["payment_intent"] else ()))
    assert taken.payment_keys == payments
    assert taken.currency == expected["currency"]
    assert (taken.invoice_key, taken.provider_customer_key) == (expected.get("invoice"), expected["customer"])
    assert (taken.amount_minor, taken.undone_minor) == (expected.get("amount_refunded_total", expected["amount"]), 0)


@pytest.mark.parametrize("entry", of_kind("credit_note"))
def test_recorded_credit_notes(entry: Any) -> None:
    """Invoice, total, lines and what was refunded of it are those the manifest worked out."""
    note, expected = translated(entry), entry["expect"]
    assert isinstance(note, Reversal)
    assert (note.reversal_key, note.invoice_key) == (expected["credit_note"], expected["invoice"])
    assert (note.amount_minor, note.undone_minor, note.currency) == (expected["total"], 0, expected["currency"])
    assert [(one.line_key, one.amount_minor) for one in note.lines] == [
        (one["invoice_line_item"], one["amount"]) for one in expected["lines"]
    ]
    refunded = expected["refund"] is not None or "basil" in entry["api_version"]
    assert note.refunded_minor == (expected["total"] if refunded else 0)
    assert [amount_minor for key, amount_minor in note.refunds if key.startswith("re_")] == [
        expected["total"]
    ] * refunded


@pytest.mark.parametrize("entry", of_kind("invoice_payment") + of_kind("checkout"))
def test_recorded_payments(entry: Any) -> None:
    """A session without an invoice is a payment of its own, one with an invoice leads to it, as invoice payments do."""
    fact, expected = translated(entry), entry["expect"]
    if isinstance(fact, NotUsed):
        assert expected["mode"] == "subscription"
    elif isinstance(fact, InvoicePayment):
        assert fact.invoice_key == expected["invoice"]
        assert len(fact.payment_keys) == 1
    else:
        assert expected["invoice"] is None
        assert (fact.invoice_key, fact.provider_customer_key) == (expected["session"], expected["customer"])
        (only,) = fact.lines
        assert (only.amount_minor, fact.currency) == (expected["amount_total"], expected["currency"])


@pytest.mark.parametrize("entry", of_kind("product") + of_kind("price"))
def test_recorded_descriptions(entry: Any) -> None:
    """Products have the manifest's name and state, prices its product."""
    said, expected = translated(entry), entry["expect"]
    if isinstance(said, PriceDescribed):
        assert (said.price_key, said.product_key) == (expected["price"], expected["product"])
    else:
        assert (said.product_key, said.name, said.deleted) == (
            expected["product"],
            expected["name"],
            expected["deleted"],
        )
        assert said.archived == (expected["deleted"] or not expected["active"])


@pytest.mark.parametrize("entry", of_kind("subscription"))
def test_recorded_subscriptions(entry: Any) -> None:
    """Status, customer, items, currency and end are those the manifest worked out."""
    seen, expected = translated(entry), entry["expect"]
    assert isinstance(seen, SubscriptionSeen)
    status = ProductStatus(expected["status"]) if expected["status"] else POLICY[expected["raw_status"]]
    assert (seen.status, seen.provider_status) == (status, expected["raw_status"])
    assert (seen.subscription_key, seen.provider_customer_key) == (expected["subscription"], expected["customer"])
    assert seen.currency == expected["currency"]
    assert seen.ended == ("ended_at" in expected)
    assert seen.effective_at == datetime.fromtimestamp(expected["ended_at"], UTC) if seen.ended else True
    assert {one.product_key: (one.quantity, one.amount_minor) for one in seen.items} == per_product(expected["items"])
    assert {price for one in seen.items for price in one.price_keys} == {one["price"] for one in expected["items"]}


def per_product(items: list[Any]) -> dict[str, tuple[int, int]]:
    """Units and money per product; what is metered has no units."""
    counts: dict[str, int] = defaultdict(int)
    amounts: dict[str, int] = defaultdict(int)
    for one in items:
        counts[one["product"]] += one["quantity"] or 0
        amounts[one["product"]] += one["unit_amount"] * (one["quantity"] or 0)
    return {product: (counts[product], amounts[product]) for product in counts}


@pytest.mark.parametrize("entry", of_kind("invoice"))
def test_recorded_invoices(entry: Any) -> None:
    """Customer, lines, discounts and totals are those the manifest worked out, to the cent."""
    paid, expected = translated(entry), entry["expect"]
    assert isinstance(paid, InvoicePaid)
    assert (paid.invoice_key, paid.provider_customer_key) == (expected["invoice"], expected["customer"])
    assert paid.currency == expected["currency"] == expected["money"]["currency"]
    assert [facts_of(one) for one in paid.lines] == [facts_expected(one) for one in expected["lines"]]
    assert {one.subscription_key for one in paid.lines if one.subscription_key} <= set(expected["subscriptions"])
    totals = expected["totals"]
    assert sum(one.discount_minor for one in paid.lines) == totals.get("discount", 0)
    net = sum(one.amount_minor - one.discount_minor for one in paid.lines)
    assert net + exclusive_tax(expected["lines"]) == totals["total"] == expected["money"]["amount"]


def facts_of(one: Any) -> tuple[object, ...]:
    """What is compared of a translated line."""
    return (one.subscription_key, one.product_key, one.price_keys, one.quantity, one.amount_minor)


def facts_expected(one: Any) -> tuple[object, ...]:
    """The same of a line in the manifest."""
    amount = one["amount"] - (one.get("tax", 0) if one.get("tax_inclusive") else 0)
    return (one["subscription"], one["product"], (one["price"],), one["quantity"], amount)


def exclusive_tax(lines: list[Any]) -> int:
    """Tax that comes on top of the lines."""
    return sum(one.get("tax", 0) for one in lines if not one.get("tax_inclusive"))


@pytest.mark.parametrize("entry", of_kind("customer"))
def test_recorded_customers(entry: Any) -> None:
    """Customers are named, and marked deleted, as the manifest says."""
    seen, expected = translated(entry), entry["expect"]
    assert isinstance(seen, CustomerSeen)
    assert (seen.provider_customer_key, seen.deleted) == (expected["customer"], expected["deleted"])
