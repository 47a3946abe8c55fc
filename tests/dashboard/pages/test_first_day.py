"""A program run with a mouse alone, from nothing to a commission that was paid and that the partner reads."""

import re

from tests.dashboard.pages.browser import Browser
from tests.stage import Stage


def test_an_empty_program_becomes_one_that_pays_without_a_line_of_code(
    grace: Browser, stranger: Browser, stage: Stage
) -> None:
    """Product, partner, member, customer, trigger, payment, approval and payout: each page leads on to the next."""
    sheet = grace.get("/")
    assert {"/product-book", "/partners", "/triggers/new"} <= set(sheet.links)
    grace.press(grace.get("/product-book"), "Add", name="Inbox")
    sheet = grace.press(grace.get("/partners"), "Add", partner_key="ada", name="Ada")
    sheet = grace.press(sheet, "Add", member_key="bob")
    (token,) = re.findall(r"mem_[\w-]+", grace.press(sheet, "New token").html)
    grace.press(grace.get("/customers"), "Add", new_customer_key="acme", name="Acme", new_partner_key="ada")
    empty = grace.get("/triggers/new")
    (inbox,) = [str(found["name"]) for _, found in empty.tags if str(found.get("name")).startswith("sold-")]
    typed = {inbox: "on", "percent": "20", "offer_text": "Earn 20 % on Inbox"}
    grace.press(grace.press(empty, "Write it", 200, **typed), "Save: it counts from now on")
    (link,) = [each for each in grace.get("/customers/acme").links if each.startswith("/payments/new")]
    form = grace.get(link)
    entry = re.findall(r'value="(pbook_\w+)"', form.html)[0]
    lines = {"line0_product_book_key": entry, "line0_amount": "99.00"}
    paid = grace.press(form, "Post it", 200, amount="99.00", currency="usd", **lines)
    assert "it earned 1 commission." in paid.text
    grace.press(grace.press(grace.get("/commissions"), "Approve all pending of these ..."), "Approve these 1")
    grace.press(
        grace.press(grace.get("/commissions"), "Mark all approved of these as paid ..."), "Mark as paid: these 1"
    )
    assert stage.ask("select partner_key, amount_minor, state from commissions") == [("ada", 1980, "paid")]
    offers = stranger.press(stranger.get("/partner/sign-in"), "Sign in", token=token)
    assert "Earn 20 % on Inbox" in offers.text
    (row,) = [row for row in stranger.get("/partner/commissions").cells if "19.80 USD" in row]
    assert row[1:5] == ["acme", "Inbox", "19.80 USD", "paid"]
