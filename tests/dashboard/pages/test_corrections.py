"""What a manager puts right by hand: whose a product or a customer is, who somebody is, what no provider tells of."""

from datetime import timedelta

import pytest

from infra.clock import system_clock
from infra.providers.stripe import example_events as stripe
from infra.providers.stripe.example_events import item, line
from tests.dashboard.pages.browser import Browser
from tests.dashboard.running import Api
from tests.stage import Stage

INBOX = "sub_gigakick_acme/prod_gigakick_inbox"


def _wrong(sheet: object) -> set[str]:
    """Names of the fields that a page marks as wrong."""
    return {str(found["name"]) for _, found in sheet.tags if found.get("aria-invalid")}  # type: ignore[attr-defined]


def test_one_product_is_given_to_another_partner(grace: Browser, api: Api, told: Stage) -> None:
    """Only that product: what was earned stays, the customer stays ada's, and a partner there is none of is refused."""
    told.partner("eve")
    before = told.books()
    (link,) = [each for each in grace.get("/customers/acme").links if each.endswith("prod_gigakick_inbox")]
    sheet = grace.get(link)
    refused = grace.press(sheet, "Save", 400, partner_key="Eve")
    assert _wrong(refused) == {"partner_key"}
    assert '"Eve"' in refused.text
    saved = grace.press(sheet, "Save", partner_key="eve")
    assert "Saved" in saved.text
    assert api.get(f"/products/{INBOX}")["partner_key"] == "eve"
    assert api.get("/products/sub_gigakick_acme/prod_gigakick_live_chat")["partner_key"] == "ada"
    assert api.get("/customers/acme")["partner_key"] == "ada"
    assert told.books()["commissions"] == before["commissions"]
    written = told.ask("select actor, subject from audit_log where action = 'product.changed'")
    assert written == [("person:grace@example.com", INBOX)]


def test_a_product_that_the_company_bills_is_changed_and_another_is_not(grace: Browser, api: Api, told: Stage) -> None:
    """Status and amount of its own are fields, with the decimals of their currency; Stripe's are Stripe's to say."""
    own = {"product_book_key": "prod_gigakick_surveys", "external_subscription_key": "lic-1", "customer_key": "acme"}
    api.post("/products", {**own, "amount": 3900, "currency": "usd"})
    sheet = grace.get("/products/lic-1")
    assert sheet.form("Save").fields["amount"] == "39.00"
    refused = grace.press(sheet, "Save", 400, amount="1,200", quantity="2")
    assert "must be a plain number" in refused.text
    assert refused.form("Save").fields["amount"] == "1,200"
    assert _wrong(grace.press(sheet, "Save", 400, quantity="many")) == {"quantity"}
    form = sheet.form("Save")
    grace.send(form.action, {**form.fields, "amount": "78.5", "quantity": "2", "status": "churned"})
    found = api.get("/products/lic-1")
    assert (found["amount"], found["quantity"], found["status"]) == (7850, 2, "churned")
    assert "status" not in grace.get(f"/products/{INBOX}").form("Save").fields


def _pay_unlinked(told: Stage, number: int) -> None:
    """Somebody whom nobody has linked paid for Inbox yesterday."""
    at, payer, bought = system_clock() - timedelta(days=1), f"cus_{number}", f"sub_{number}"
    paid = [line("prod_gigakick_inbox", 1000)]
    told.play(
        [
            stripe.customer(payer, at=at),
            stripe.subscription(bought, customer=payer, items=[item("prod_gigakick_inbox")], at=at),
            stripe.invoice_paid(f"in_{number}", customer=payer, subscription=bought, lines=paid, paid_at=at),
        ]
    )


def test_a_customer_is_added_and_one_nobody_had_linked_is_linked(grace: Browser, api: Api, told: Stage) -> None:
    """Both ways: to somebody who is here, and to somebody added with it; what they paid before counts then."""
    told.partner("eve")
    sheet = grace.press(
        grace.get("/customers"), "Add", new_customer_key="initech", name="Initech", new_partner_key="eve"
    )
    assert "initech: created" in sheet.text
    assert _wrong(grace.press(grace.get("/customers"), "Add", 400, new_email="no address")) == {
        "new_customer_key",
        "new_email",
    }
    for number in (7, 8):
        _pay_unlinked(told, number)
    earned = "select amount_minor from commissions where partner_key = 'eve'"
    assert told.ask(earned) == []
    linked = grace.press(grace.get("/customers/stripe:cus_7"), "Link", customer_key="initech")
    assert str(linked.answer.url).endswith("/customers/initech")
    assert len(told.ask(earned)) == 1
    refused = grace.press(grace.get("/customers/stripe:cus_8"), "Link", 400, customer_key="globex", partner_key="evee")
    assert _wrong(refused) == {"partner_key"}
    grace.press(refused, "Link", customer_key="globex", partner_key="eve")
    assert len(told.ask(earned)) == 2
    assert api.get("/customers/globex")["provider_key"] == "cus_8"


def test_a_customer_is_given_to_a_partner_from_a_day_on(grace: Browser, told: Stage) -> None:
    """A moment of the program's zone; one that is none is said at its field."""
    told.partner("eve")
    sheet = grace.get("/customers/acme")
    refused = grace.press(sheet, "Save", 400, partner_key="eve", attributed_at="yesterday")
    assert _wrong(refused) == {"attributed_at"}
    sheet = grace.press(sheet, "Save", partner_key="eve", attributed_at="2026-05-01T10:30")
    assert ["2026-05-01 10:30:00 UTC", "eve", ""] in sheet.cells


def test_a_payment_is_for_somebody_by_any_of_their_names(grace: Browser, told: Stage) -> None:
    """Our key and the provider's lead to the customer as the company's own does; who is unlinked is linked first."""
    _pay_unlinked(told, 7)
    ((ours,),) = told.ask("select key from customers where customer_key = 'acme'")
    for name in ("acme", str(ours), "cus_gigakick_acme"):
        typed = {"customer_key": name, "amount": "10", "currency": "usd"}
        posted = grace.press(grace.get("/payments/new"), "Post it", 200, **typed)
        assert "/customers/acme" in posted.links, name
    for name in ("cus_7", "stripe:cus_7"):
        typed = {"customer_key": name, "amount": "10", "currency": "usd"}
        refused = grace.press(grace.get("/payments/new"), "Post it", 400, **typed)
        assert _wrong(refused) == {"customer_key"}, name
    assert told.ask("select count(*) from customers") == [(1,)]


def _lines(*lines: tuple[str, str]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for number, (subscription, amount) in enumerate(lines):
        fields |= {f"line{number}_subscription_key": subscription, f"line{number}_amount": amount}
    return fields


def test_a_payment_is_posted_and_its_page_says_what_it_earned(grace: Browser, api: Api, told: Stage) -> None:
    """From the customer's page: its amount, a line for a product, and the commission on the page that follows."""
    (link,) = [each for each in grace.get("/customers/acme").links if each.startswith("/payments/new?")]
    sheet = grace.get(link)
    assert sheet.form("Post it").fields["customer_key"] == "acme"
    (entry,) = api.get("/product_book", external_key="prod_gigakick_surveys")["items"]
    typed = {"amount": "139.00", "currency": "USD", "key": "order-1", "paid_at": "2026-04-01T12:00"}
    typed |= {"line0_product_book_key": entry["key"], "line0_amount": "39", "line0_quantity": "3"}
    typed |= {"line2_subscription_key": "sub_gigakick_acme/prod_gigakick_inbox", "line2_amount": "100.00"}
    posted = grace.press(sheet, "Post it", 200, **typed)
    assert str(posted.answer.url).endswith("/payments/order-1")
    assert "Created: it earned 2 commissions." in posted.text
    assert "Why each trigger fired or not" in posted.text
    found = api.get("/transactions/order-1")
    assert [each["amount"] for each in found["lines"]] == [3900, 10000]
    assert (found["currency"], found["lines"][0]["quantity"], found["occurred_at"]) == ("usd", 3, 1775044800000)
    amounts = [each["amount"] for each in api.get("/rewards", transaction_key="order-1")["items"]]
    assert sorted(amounts) == [390, 2000]


def test_a_payment_is_posted_once_however_often_the_button_is_pressed(grace: Browser, told: Stage) -> None:
    """A second press finds what came of the first; the form with another amount is no second payment by mistake."""
    sheet = grace.get("/payments/new")
    typed = {"customer_key": "acme", "amount": "10", "currency": "usd"}
    first = grace.press(sheet, "Post it", 200, **typed)
    assert "it earned nothing; see why below" in first.text
    again = grace.press(sheet, "Post it", 200, **typed)
    assert "This was done already" in again.text
    assert again.answer.url == first.answer.url
    assert told.ask("select count(*) from transactions where provider = 'api'") == [(1,)]
    refused = grace.press(sheet, "Post it", 409, **{**typed, "amount": "11"})
    assert "was sent before and says something else now; load its page again to make another" in refused.text
    anew = grace.press(grace.get("/payments/new"), "Post it", 200, **typed)
    assert anew.answer.url != first.answer.url


@pytest.mark.parametrize(
    ("typed", "wrong"),
    [
        ({"customer_key": "acmee", "amount": "1,5", "currency": "dollars"}, {"customer_key", "amount", "currency"}),
        ({}, {"customer_key", "amount", "currency"}),
        ({"customer_key": "acme", "amount": "5.001", "currency": "usd"}, {"amount"}),
        ({"customer_key": "acme", "amount": "5.1", "currency": "jpy"}, {"amount"}),
        ({"customer_key": "acme", "amount": "5", "currency": "usd", "paid_at": "2999-01-01T00:00"}, {"paid_at"}),
        ({"customer_key": "acme", "amount": "5", "currency": "usd", "paid_at": "now"}, {"paid_at"}),
        ({"customer_key": "acme", "amount": "5", "currency": "usd", "key": "stripe:in_1"}, {"key"}),
        ({"customer_key": "acme", "amount": "5", "currency": "usd", **_lines(("", "4"), ("", "x"))}, {"line1_amount"}),
        ({"customer_key": "acme", "amount": "5", "currency": "usd", "line0_quantity": "1"}, {"line0_amount"}),
    ],
)
def test_mistakes_in_a_payment_are_said_together_at_their_fields(
    grace: Browser, told: Stage, typed: dict[str, str], wrong: set[str]
) -> None:
    """Whatever is wrong with what was typed is said at once, what was typed stays, and nothing is posted."""
    refused = grace.press(grace.get("/payments/new"), "Post it", 400, **typed)
    assert _wrong(refused) == wrong, refused.text
    fields = refused.form("Post it").fields
    assert {name: fields[name] for name in typed} == typed
    assert told.ask("select count(*) from transactions where provider = 'api'") == [(0,)]


def test_lines_that_do_not_add_up_are_refused_with_both_sums(grace: Browser, told: Stage) -> None:
    """The sum of the lines and the amount stand beside each other; lines that were typed move up."""
    typed = {"customer_key": "acme", "amount": "50", "currency": "usd", "line2_amount": "20"}
    refused = grace.press(grace.get("/payments/new"), "Post it", 400, **typed)
    assert "come to 20.00 USD together, and amount is 50.00 USD" in refused.text
    assert refused.form("Post it").fields["line0_amount"] == "20"


def test_a_form_with_more_lines_keeps_what_was_typed(grace: Browser, told: Stage) -> None:
    """A button lengthens it up to its bound, and posts nothing."""
    form = grace.get("/payments/new").form("Post it")
    fields = {**form.fields, "amount": "5", "line0_amount": "5"}
    counts = []
    for _ in range(3):
        longer = grace.press(grace.get("/payments/new"), "More lines", 200, **fields, more="yes").form("Post it")
        counts.append(len([name for name in longer.fields if name.endswith("_amount")]))
        fields = {**longer.fields, **{name: "1" for name in longer.fields if name.endswith("_amount")}}
    assert counts == [4, 7, 10]
    assert fields["amount"] == "5"
    assert told.ask("select count(*) from transactions where provider = 'api'") == [(0,)]
