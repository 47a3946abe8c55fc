"""Posted lines: which product a `subscription_key` leads to, and why it leads to none."""

from datetime import UTC, datetime, timedelta

import pytest

from domain.facts import InvoiceLine, InvoicePaid, ProductStatus, Source
from domain.known import ProductKey
from domain.products import ProductVersion
from domain.references import Histories, fitting, led_to_products, references_of, why_without_product
from domain.transactions import Line, Transaction, transaction_of

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
CHAT: ProductKey = ("stripe", "sub_1", "prod_chat")
INBOX: ProductKey = ("stripe", "sub_1", "prod_inbox")
OWN: ProductKey = ("api", "lic_7", "pbook_1")


def posted(*references: str | None, provider: str = "api") -> Transaction:
    """A payment at noon with one line per reference."""
    lines = tuple(
        InvoiceLine(reference or "#1", reference, None, (), 100, 0, None, recurring=False) for reference in references
    )
    source = Source(0, NOON, 1, "said_1")
    return transaction_of(InvoicePaid(provider, "t-1", "acme", source, NOON, "usd", lines, lines_missing=False))


def version(days: int, status: ProductStatus = ProductStatus.ACTIVE, *prices: str) -> ProductVersion:
    """A state from some days after noon on."""
    return ProductVersion(NOON + timedelta(days=days), status, price_keys=prices)


def led(*references: str | None, owned: Histories) -> list[tuple[str | None, ...]]:
    """(provider, subscription, product) of each line."""
    found = led_to_products(posted(*references), owned)
    return [(line.product_provider, line.subscription_key, line.product_key) for line in found.lines]


@pytest.mark.parametrize(("reference", "product"), [("sub_1/prod_chat", CHAT), ("lic_7", OWN), ("lic_7/pbook_1", OWN)])
def test_a_key_leads_to_a_product_whoever_bills_it(reference: str, product: ProductKey) -> None:
    """By the product's own key, or by its subscription's where that has only one; the line keeps its key."""
    owned = {CHAT: (version(-9),), INBOX: (version(-9),), OWN: (version(-9, ProductStatus.TRIAL, "price_x"),)}
    assert led(reference, owned=owned) == [product]
    (line,) = led_to_products(posted(reference), owned).lines
    assert line.key == f"line:{reference}"
    assert line.price_keys == (("price_x",) if product == OWN else ())


def test_matching_is_exact() -> None:
    """Other capitals and white space lead nowhere."""
    assert led("Sub_1", " sub_1", owned={CHAT: (version(-9),)}) == [(None, " sub_1", None), (None, "Sub_1", None)]


def test_of_several_on_one_subscription_the_one_that_was_had_is_meant() -> None:
    """After a swap the bare key means what was in trial or active when it was paid; two of them mean neither."""
    churned = (version(-30), version(-2, ProductStatus.CHURNED))
    assert led("sub_1", owned={CHAT: churned, INBOX: (version(-2),)}) == [INBOX]
    assert led("sub_1", owned={CHAT: (version(-30),), INBOX: (version(-2),)}) == [(None, "sub_1", None)]
    assert led("sub_1", owned={CHAT: churned, INBOX: (version(+2),)}) == [(None, "sub_1", None)]


def test_a_product_that_begins_later_is_meant_all_the_same() -> None:
    """A payment may be posted, and made, before its product is stated."""
    assert led("sub_1", owned={CHAT: (version(+3, ProductStatus.ACTIVE, "price_x"),)}) == [CHAT]
    (line,) = led_to_products(posted("sub_1"), {CHAT: (version(+3, ProductStatus.ACTIVE, "price_x"),)}).lines
    assert line.price_keys == ("price_x",)
    assert led("sub_1", owned={CHAT: ()}) == [CHAT]


def test_lines_of_a_provider_and_lines_without_a_key_stay_as_they_are() -> None:
    """Only what the company posted refers to anything."""
    told = posted("sub_1", provider="stripe")
    assert led_to_products(told, {CHAT: (version(-9),)}) is told
    assert led(None, owned={CHAT: (version(-9),)}) == [(None, None, None)]
    assert references_of(posted("sub_1", None, "x")) == {"sub_1", "x"}
    assert references_of(told) == set()


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        (None, "the line names no product"),
        ("sub_1", 'subscription_key "sub_1" may mean any of "sub_1/prod_chat", "sub_1/prod_inbox"; name one of them'),
        ("LIC_7", 'subscription_key "LIC_7" matches no product; "lic_7" differs only in capitals'),
        (
            "sub_1/Prod_chat ",
            (
                'subscription_key "sub_1/Prod_chat " matches no product; '
                '"sub_1/prod_chat" differs only in capitals and white space'
            ),
        ),
        ("sub_2", 'subscription_key "sub_2" matches no product'),
    ],
)
def test_why_a_line_has_no_product(reference: str | None, reason: str) -> None:
    """The key as posted, and what may have been meant."""
    line = Line("line:1", reference, None, (), 100, 0, None, recurring=False)
    assert why_without_product(line, [CHAT, INBOX, OWN]) == reason


def test_what_fits_comes_in_order() -> None:
    """Whatever the order in which products are known."""
    assert fitting("sub_1", [INBOX, OWN, CHAT]) == [CHAT, INBOX]
