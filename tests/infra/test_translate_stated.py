"""What the company states, as facts: written down once, read back the same."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from domain.errors import Unreadable
from domain.facts import (
    PERSONS_WORD,
    CustomerLinked,
    CustomerSeen,
    NotUsed,
    ProductClaimed,
    ProductStatus,
    Reversal,
    ReversalKind,
    ReversalLine,
    Source,
)
from infra.providers.api import documents
from infra.providers.api.translate import translate

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
EARLIER = datetime(2026, 1, 1, tzinfo=UTC)
SOURCE = Source(0, NOON, 1, "said_1")


def facts_of(event_type: str, document: documents.Document) -> Any:
    """The facts in a document that was stated at noon."""
    return translate(event_type, "said_1", NOON, msgspec.json.encode(document))


def test_a_customer_is_described_and_linked_at_either_provider() -> None:
    """A link is a person's word, at Stripe and at Chargebee alike; without one, the customer is merely described."""
    stated = documents.CustomerStated(
        stated_at=NOON, customer_key="acme", email="a@acme.example", metadata={"plan": "pro"}, partner_key="ada",
        member_key="amy", attributed_at=EARLIER, provider_key="cus_1",
    )  # fmt: skip
    seen, *links = facts_of(documents.CUSTOMER_STATED, stated)
    assert seen == CustomerSeen(
        "api", "acme", SOURCE, customer_key="acme", partner_key="ada", member_key="amy", email="a@acme.example",
        metadata={"plan": "pro"}, attributed_at=EARLIER,
    )  # fmt: skip
    word = Source(PERSONS_WORD, NOON, 1, "said_1")
    assert links == [CustomerLinked(provider, "cus_1", word, "acme") for provider in ("stripe", "chargebee")]
    alone = documents.CustomerStated(stated_at=NOON, customer_key="acme")
    assert facts_of(documents.CUSTOMER_STATED, alone) == (CustomerSeen("api", "acme", SOURCE, customer_key="acme"),)


@pytest.mark.parametrize(("status", "ended"), [("trial", False), ("active", False), ("churned", True)])
def test_a_product_is_a_subscription_of_one_item(status: str, ended: bool) -> None:
    """It never ends for good: the company may say that it is active again."""
    stated = documents.ProductStated(
        stated_at=NOON, subscription_key="lic-1", customer_key="acme", product_key="pbook_1", status=status,
        effective_at=EARLIER, amount=100, currency="usd",
    )  # fmt: skip
    (seen,) = facts_of(documents.PRODUCT_STATED, stated)
    assert (seen.status, seen.provider_status, seen.ended, seen.absorbing) == (
        ProductStatus(status),
        status,
        ended,
        False,
    )
    assert (seen.effective_at, seen.source, seen.provider_customer_key) == (EARLIER, SOURCE, "acme")
    (item,) = seen.items
    assert (item.product_key, item.quantity, item.amount_minor, seen.currency) == ("pbook_1", 1, 100, "usd")


def test_whose_sale_a_product_is_is_a_claim_on_that_product() -> None:
    """Said with the product, or of one that a provider bills."""
    stated = documents.ProductStated(
        stated_at=NOON, subscription_key="lic-1", customer_key="acme", product_key="pbook_1", status="active",
        effective_at=EARLIER, partner_key="ada", attributed_at=EARLIER,
    )  # fmt: skip
    _, claim = facts_of(documents.PRODUCT_STATED, stated)
    assert claim == ProductClaimed("api", "lic-1", "pbook_1", SOURCE, "ada", None, EARLIER, "acme")
    claimed = documents.ProductClaimed(
        stated_at=NOON, provider="stripe", subscription_key="sub_1", product_key="prod_1",
        provider_customer_key="cus_1", partner_key="bob", member_key="ben",
    )  # fmt: skip
    assert facts_of(documents.PRODUCT_CLAIMED, claimed) == (
        ProductClaimed("stripe", "sub_1", "prod_1", SOURCE, "bob", "ben", None, "cus_1"),
    )


def test_a_posted_line_refers_to_a_subscription_or_names_a_product() -> None:
    """Both together are a reference to one product of the subscription; neither is a line of its own."""
    line = documents.LineStated
    stated = documents.TransactionStated(
        stated_at=NOON, key="order-1", customer_key="acme", currency="usd", occurred_at=EARLIER,
        lines=(line(amount=1, subscription_key="s", product_key="p"), line(amount=2, product_key="p", quantity=3),
               line(amount=4), line(amount=5, subscription_key="s")),
    )  # fmt: skip
    (paid,) = facts_of(documents.TRANSACTION_STATED, stated)
    assert (paid.invoice_key, paid.provider_customer_key, paid.paid_at) == ("order-1", "acme", EARLIER)
    assert [(each.line_key, each.subscription_key, each.product_key, each.amount_minor) for each in paid.lines] == [
        ("s/p", "s/p", None, 1),
        ("#2", None, "p", 2),
        ("#3", None, None, 4),
        ("s", "s", None, 5),
    ]
    assert not any(each.recurring for each in paid.lines)


def test_what_was_given_back_is_a_refund_or_of_one_line_a_credit_note() -> None:
    """It names the payment and its customer, counts from when it went back, and is undone in full or not at all."""
    told = documents.TransactionReversed(
        stated_at=NOON, key="refund-1", transaction_key="order-1", customer_key="acme", currency="usd", amount=300,
        occurred_at=EARLIER,
    )  # fmt: skip
    source = Source(0, EARLIER, 1, SOURCE.event_key)
    refund = Reversal(
        "api", ReversalKind.REFUND, "refund-1", source, "usd", 300, invoice_key="order-1", provider_customer_key="acme"
    )
    assert facts_of(documents.TRANSACTION_REVERSED, told) == (refund,)
    undone = msgspec.structs.replace(told, undone=True)
    assert facts_of(documents.TRANSACTION_REVERSED, undone) == (replace(refund, undone_minor=300),)
    note = replace(refund, kind=ReversalKind.CREDIT_NOTE, lines=(ReversalLine(300, line_key="#2"),))
    assert facts_of(documents.TRANSACTION_REVERSED, msgspec.structs.replace(told, line_part="#2")) == (note,)


def test_what_this_program_did_not_write_is_not_guessed_at() -> None:
    """An unknown type is of no use, a body without what its type promises is unreadable."""
    assert isinstance(translate("customer.dreamt", "said_1", NOON, b"{}"), NotUsed)
    with pytest.raises(Unreadable, match="customer_key"):
        translate(documents.CUSTOMER_STATED, "said_1", NOON, b'{"stated_at": "2026-03-01T12:00:00Z"}')
