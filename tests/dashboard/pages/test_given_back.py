"""What was given back of a payment that somebody posted: told on its page, once, and undone there."""

import pytest

from tests.dashboard.pages.browser import Browser, Sheet
from tests.dashboard.running import Api
from tests.stage import Stage

ORDER = {"key": "order-1", "amount": 14800, "currency": "usd", "customer_key": "acme"}


@pytest.fixture
def order(grace: Browser, api: Api, told: Stage) -> Sheet:
    """The page of a payment of 99.00 for Inbox and 49.00 for something."""
    (entry,) = api.get("/product_book", external_key="prod_gigakick_inbox")["items"]
    lines = [{"amount": 9900, "product_book_key": entry["key"]}, {"amount": 4900}]
    api.post("/transactions", {**ORDER, "lines": lines})
    return grace.get("/payments/order-1")


def test_a_part_is_given_back_once_however_often_the_button_is_pressed(
    grace: Browser, api: Api, order: Sheet, told: Stage
) -> None:
    """With the decimals of its currency, for one line; the page says what is left, and who told is audited."""
    (inbox,) = [each["key"] for each in api.get("/transactions/order-1")["lines"] if each["external_product_key"]]
    for said in ("Given back: its commissions follow what is left.", "This was done already"):
        follows = grace.press(order, "Take it back", 200, amount="49.50", line_key=inbox)
        assert said in follows.text
    (made,) = api.get("/transactions/order-1/reversals")["items"]
    assert (made["amount"], made["line_keys"]) == (4950, [inbox])
    assert [made["key"], "credit note", "49.50 USD", inbox] in [row[:4] for row in follows.cells]
    assert "98.50 USD now" in follows.text
    earned = [each["amount"] for each in api.get("/rewards", transaction_key="order-1")["items"]]
    assert earned == [990]
    written = told.ask("select actor, subject from audit_log where action = 'transaction.reversed'")
    assert written == [("person:grace@example.com", "order-1")]


def test_what_is_wrong_is_said_at_its_field_and_nothing_is_done(grace: Browser, api: Api, order: Sheet) -> None:
    """More than is left, no number, no moment: the form comes back as it was filled in."""
    refused = grace.press(order, "Take it back", 400, amount="148.01")
    assert "148.00 USD of the payment is left" in refused.text
    assert refused.form("Take it back").fields["amount"] == "148.01"
    refused = grace.press(order, "Take it back", 400, amount="1,5", given_back_at="yesterday")
    assert {found.get("name") for _, found in refused.tags if found.get("aria-invalid")} == {"amount", "given_back_at"}
    grace.press(order, "Take it back", 400)
    assert api.get("/transactions/order-1/reversals")["items"] == []


def test_what_was_not_given_back_after_all_is_undone(grace: Browser, api: Api, order: Sheet) -> None:
    """The payment is whole again; once nothing is left there is nothing more to give back, and no form for it."""
    follows = grace.press(order, "Take it back", 200, amount="148")
    assert "Something was given back" not in follows.text
    undone = grace.press(follows, "Undo")
    assert "Undone: it counts as if nothing had been given back." in undone.text
    assert "Undo" not in undone.form("Take it back").buttons
    assert api.get("/transactions/order-1")["amount_reversed"] == 0
    grace.press(follows, "Undo", reversal="nothing", status=404)


def test_a_providers_payment_has_no_such_form(grace: Browser, told: Stage) -> None:
    """Its page says who tells of what is given back."""
    sheet = grace.get("/payments/stripe:in_gigakick_acme_1")
    assert {button for form in sheet.forms for button in form.buttons} == {"Sign out"}
    assert "What is given back of it, stripe tells." in sheet.text
