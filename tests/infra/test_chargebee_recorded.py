"""Every recorded Chargebee event against what its manifest says it means.

Where a manifest leaves something open, or says what this program decides otherwise, the tables below say so.
"""

import json
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from domain.errors import Unreadable
from domain.facts import (
    CustomerSeen,
    Fact,
    InvoicePaid,
    NotUsed,
    PriceDescribed,
    ProductDescribed,
    ProductStatus,
    Reversal,
    SubscriptionSeen,
)
from domain.transactions import transaction_of
from infra.providers.chargebee.translate import translate

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "payloads" / "chargebee"
ABSENT = "recorded payloads are not part of this checkout (../shared/payloads/chargebee)"

#: What DESIGN section 4 decides where a manifest leaves the status open.
POLICY = {"future": ProductStatus.NONE, "paused": ProductStatus.CHURNED}
#: Events without a fact in them, and why.
SILENT = {
    "invoice_generated--either--mock_chargebee--mock.json": "payment is due",
    "pending_invoice_created--PC1--mock_chargebee--mock.json": "a draft",
    "transaction_created--either--mock_chargebee--mock.json": "a payment that settles no invoice",
    "unbilled_charges_invoiced--PC1--mock_chargebee--mock.json": "payment is due",
}
#: Recordings in which somebody changed a resource's customer and not the others': each resource is believed for itself.
OTHERS_TOO = {
    "payment_refunded--PC2--airbyte--derived-pc2.json": "cbdemo_douglas",
    "subscription_created--PC2--airbyte--inr-plan-with-invoice.json": "boom",
}
#: The one event of API v1.
UNREADABLE = "payment_succeeded--PC1--chargebee-go--api-v1-2012.json"


def manifest() -> list[Any]:
    """One parameter per recorded file; a single skipped one where there are none."""
    listing = FOLDER / "manifest.json"
    if not listing.is_file():
        return [pytest.param({}, marks=pytest.mark.skip(reason=ABSENT), id="absent")]
    return [pytest.param(entry, id=entry["file"]) for entry in json.loads(listing.read_bytes())["files"]]


def that_expect(kind: str) -> list[Any]:
    """The files of which the manifest says what some resource means."""
    return [one for one in manifest() if one.id == "absent" or (one.values[0]["expect"] or {}).get(kind)]


def translated(entry: Any) -> tuple[Fact, ...] | NotUsed:
    """What the recorded bytes translate into."""
    recorded = (FOLDER / entry["file"]).read_bytes()
    event = json.loads(recorded)
    occurred_at = datetime.fromtimestamp(event["occurred_at"], UTC)
    return translate(event["event_type"], event["id"], occurred_at, recorded)


def the_one(entry: Any, kind: type[Any]) -> Any:
    """The only fact of a kind."""
    answer = translated(entry)
    found = [fact for fact in answer if isinstance(fact, kind)] if isinstance(answer, tuple) else []
    assert len(found) == 1, (entry["file"], answer)
    return found[0]


@pytest.mark.parametrize("entry", manifest())
def test_every_recorded_event_is_read(entry: Any) -> None:
    """Only the event of API v1 is unreadable, by that name; only those in the table say nothing."""
    if entry["file"] == UNREADABLE:
        with pytest.raises(Unreadable, match="API v1"):
            translated(entry)
        return
    answer = translated(entry)
    assert isinstance(answer, NotUsed) == (entry["file"] in SILENT), answer


@pytest.mark.parametrize("entry", that_expect("subscription"))
def test_recorded_subscriptions(entry: Any) -> None:
    """Status, customer, items, currency and end are those the manifest worked out."""
    seen, expected = the_one(entry, SubscriptionSeen), entry["expect"]["subscription"]
    deleted = entry["event_type"] in ("subscription_deleted", "customer_deleted")
    status = ProductStatus(expected["status"]) if expected["status"] else POLICY[expected["raw_status"]]
    assert seen.status == (ProductStatus.CHURNED if deleted else status)
    assert seen.provider_status == expected["raw_status"]
    assert (seen.subscription_key, seen.provider_customer_key) == (
        expected["subscription"],
        entry["expect"]["customer"],
    )
    assert seen.currency == expected["currency"].lower()
    assert (seen.ended, seen.absorbing) == (deleted or expected["raw_status"] == "cancelled", deleted)
    if expected["raw_status"] == "cancelled":
        assert seen.effective_at == datetime.fromtimestamp(expected["cancelled_at"], UTC)
    assert {one.product_key: (one.quantity, one.amount_minor) for one in seen.items} == recurring(expected["items"])
    assert all(one.price_keys == (one.product_key,) for one in seen.items)


def recurring(items: list[Any]) -> dict[str, tuple[int, int]]:
    """Units and money per product that recurs: a charge on a subscription is billed once, and is not part of it."""
    found = {}
    for one in items:
        key = one.get("plan_id") or one.get("addon_id") or one["item_price_id"]
        if one.get("item_type") != "charge":
            found[key] = (one["quantity"], one.get("amount", one["unit_price"] * one["quantity"]))
    return found


@pytest.mark.parametrize("entry", that_expect("invoice"))
def test_recorded_invoices(entry: Any) -> None:
    """A paid invoice has the manifest's lines, discounts and total, to the cent; one that is not paid is nothing."""
    expected, answer = entry["expect"]["invoice"], translated(entry)
    if expected["status"] != "paid":
        assert isinstance(answer, NotUsed) or not [fact for fact in answer if isinstance(fact, InvoicePaid)]
        return
    paid = the_one(entry, InvoicePaid)
    customer = OTHERS_TOO.get(entry["file"], entry["expect"]["customer"])
    assert (paid.invoice_key, paid.provider_customer_key) == (expected["id"], customer)
    assert paid.currency == expected["currency"].lower()
    assert [(one.line_key, one.amount_minor, one.discount_minor, one.quantity) for one in paid.lines] == [
        (one["id"], one["amount"], one["discount"], one["quantity"]) for one in expected["lines"]
    ]
    assert [(one.subscription_key, one.product_key) for one in paid.lines] == [
        (one["subscription"], one.get("entity_id")) for one in expected["lines"]
    ]
    net_minor = sum(one.amount_minor - one.discount_minor for one in paid.lines)
    assert net_minor + expected["tax"] == expected["total"] == paid.total_minor
    assert transaction_of(paid).tax_minor == expected["tax"]


@pytest.mark.parametrize("entry", that_expect("credit_note"))
def test_recorded_credit_notes(entry: Any) -> None:
    """A credit note takes its total from the invoice it names, line by line."""
    expected, answer = entry["expect"]["credit_note"], translated(entry)
    assert isinstance(answer, tuple)
    [note, *_] = [fact for fact in answer if isinstance(fact, Reversal) and fact.lines]
    assert (note.reversal_key, note.kind) == (expected["id"], "credit_note")
    assert (note.amount_minor, note.currency) == (expected["total"], expected["currency"].lower())
    assert (note.invoice_key, note.undone_minor) == (expected["invoice"], 0)
    assert sum(line.amount_minor for line in note.lines) == expected["total"]
    assert {line.subscription_key for line in note.lines} == {expected["subscription"]}


@pytest.mark.parametrize("entry", that_expect("money"))
def test_recorded_money(entry: Any) -> None:
    """What a refund paid back is told once, and counts once where a credit note says the same."""
    expected, answer = entry["expect"]["money"], translated(entry)
    assert isinstance(answer, tuple)
    refunds = [fact for fact in answer if isinstance(fact, Reversal) and fact.kind == "refund"]
    assert sum(fact.amount_minor for fact in refunds) == (expected["amount"] if expected["type"] == "refund" else 0)
    assert {fact.currency for fact in refunds} <= {expected["currency"].lower()}


@pytest.mark.parametrize("entry", that_expect("customer"))
def test_recorded_customers(entry: Any) -> None:
    """Whoever the manifest names is named on every fact; where the customer itself is there, it is described."""
    answer, content = translated(entry), json.loads((FOLDER / entry["file"]).read_bytes())["content"]
    if isinstance(answer, NotUsed):
        assert entry["file"] in SILENT
        return
    others = {OTHERS_TOO[entry["file"]]} if entry["file"] in OTHERS_TOO else set()
    named = {fact.provider_customer_key for fact in answer if not isinstance(fact, ProductDescribed | PriceDescribed)}
    assert named == {entry["expect"]["customer"]} | others
    described = [fact for fact in answer if isinstance(fact, CustomerSeen)]
    assert [fact.provider_customer_key for fact in described] == [one["id"] for one in [content.get("customer")] if one]
    assert all(fact.deleted == (entry["event_type"] == "customer_deleted") for fact in described)


@pytest.mark.parametrize("entry", that_expect("item") + that_expect("plan"))
def test_recorded_products(entry: Any) -> None:
    """A plan and an item are products under their own ids, called what the manifest says."""
    described = the_one(entry, ProductDescribed) if entry else pytest.skip(ABSENT)
    expected = entry["expect"].get("item") or entry["expect"]["plan"]
    assert (described.product_key, described.name) == (expected["id"], expected["name"])
    assert (described.deleted, described.archived) == ((entry["event_type"] == "plan_deleted",) * 2)


@pytest.mark.parametrize("entry", that_expect("item_price"))
def test_recorded_prices(entry: Any) -> None:
    """An item price says of which item it is."""
    described, expected = the_one(entry, PriceDescribed), entry["expect"]["item_price"]
    assert (described.price_key, described.product_key) == (expected["id"], expected["item_id"])


def test_versions_order_what_is_told_of_one_resource() -> None:
    """Whichever event shows a version of a resource, it is the same version, since the same moment."""
    if not FOLDER.is_dir():
        pytest.skip(ABSENT)
    seen: dict[tuple[str, str, int], set[datetime]] = defaultdict(set)
    for parameter in manifest():
        answer = () if parameter.id == UNREADABLE else translated(parameter.values[0])
        for fact in answer if isinstance(answer, tuple) else ():
            if isinstance(fact, CustomerSeen):
                seen[("customer", fact.provider_customer_key, fact.source.version)].add(fact.source.occurred_at)
    assert all(version > 1_000_000_000_000 for _, _, version in seen)
    assert any(len(moments) == 1 for moments in seen.values())
