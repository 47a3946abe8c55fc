"""The GigaKick story on the pages: what a program manager and the partner read of it."""

from tests.dashboard.pages.browser import Browser
from tests.dashboard.running import Api
from tests.stage import Stage
from worker import story

PAYMENT = f"/payments/{story.TRANSACTION}"


def _commission(told: Stage, amount: int) -> str:
    (row,) = told.ask(f"select key from commissions where amount_minor = {amount}")
    return str(row[0])


def test_the_overview_sums_up_what_is_earned(grace: Browser, told: Stage) -> None:
    """Both commissions together stand under pending, in their currency, and nothing waits for anybody."""
    sheet = grace.get("/")
    assert ["pending", "2", "24.70 USD"] in sheet.cells
    assert "Nothing. Events are worked" in sheet.text


def test_the_overview_of_an_empty_program_says_what_to_do_first(grace: Browser) -> None:
    """Nothing is sold yet: the page leads to where products, partners and triggers are made."""
    sheet = grace.get("/")
    assert {"/product-book", "/partners", "/triggers/new"} <= set(sheet.links)
    assert "This program sells nothing yet" in sheet.text


def test_commissions_are_listed_with_their_arithmetic(grace: Browser, told: Stage) -> None:
    """Each commission stands with partner, customer, amount, state and how it came about."""
    rows = {row[1]: row for row in grace.get("/commissions").cells if len(row) == 8}
    said = ["19.80 USD", "pending", "ada", "acme", story.TRANSACTION, "99.00 USD line x 20 % = 19.80 USD"]
    assert rows["19.80 USD"][1:7] == said
    assert rows["4.90 USD"][6] == "49.00 USD line x 10 % = 4.90 USD"


def test_a_commission_shows_its_entries_and_where_it_came_from(grace: Browser, told: Stage) -> None:
    """The page has the ledger's entries, the payment, the trigger with its version, and the offer."""
    sheet = grace.get(f"/commissions/{_commission(told, 1980)}")
    entries = [row for row in sheet.cells if "19.80 USD" in row]
    assert [row[1:4] for row in entries] == [["19.80 USD", "19.80 USD", "99.00 USD line x 20 % = 19.80 USD"]]
    assert {PAYMENT, "/triggers/trg_gigakick_inbox", "/partners/ada", "/customers/acme"} <= set(sheet.links)
    assert "Earn 20 % on Inbox" in sheet.text


def test_a_payment_explains_every_trigger_on_every_line(grace: Browser, told: Stage) -> None:
    """Two lines under four triggers: eight verdicts, two of them fired, with what was expected and what was there."""
    sheet = grace.get(PAYMENT)
    assert sheet.text.count("did not fire") == 6
    assert "99.00 USD line x 20 % = 19.80 USD" in sheet.text
    assert 'product.name is_any_of ["Surveys"] , and it was Inbox' in sheet.text
    assert "does not hold" in sheet.text


def test_a_line_without_product_says_what_it_nearly_met(grace: Browser, told: Stage, api: Api) -> None:
    """A posted line whose subscription key differs in capitals only is shown with that near miss."""
    paid = {"amount": 100, "currency": "usd", "customer_key": "acme", "key": "order-1"}
    api.post("/transactions", {**paid, "subscription_key": "SUB_gigakick_acme"})
    told.play([])
    assert "differs only in capitals" in grace.get("/payments/order-1").text


def test_a_customer_shows_products_with_history_and_whose_they_are(grace: Browser, told: Stage) -> None:
    """Live Chat has churned, Inbox is active, both ada's; the attribution says since when."""
    rows = {row[0]: row for row in grace.get("/customers/acme").cells if row}
    assert rows["Live Chat"][1] == "churned"
    assert rows["Inbox"][1:5:3] == ["active", "ada"]
    assert "churned 2026-03-20 16:30:00 UTC" in rows["Live Chat"][5]
    assert rows["2026-01-31 09:58:00 UTC"][1] == "ada"


def test_the_partner_reads_offers_commissions_and_products(bob: Browser) -> None:
    """The partner's pages hold the offers, both commissions with arithmetic, and all columns of what they sold."""
    assert "Earn 20 % on Inbox" in bob.get("/partner").text
    rows = [row for row in bob.get("/partner/commissions").cells if "19.80 USD" in row]
    assert rows[0][1:6] == ["acme", "Inbox", "19.80 USD", "pending", "99.00 USD line x 20 % = 19.80 USD"]
    customers = bob.get("/partner/customers")
    (path,) = [link for link in customers.links if link.startswith("/partner/customers/")]
    products = {row[0]: row for row in bob.get(path).cells}
    assert products["Inbox"][1:5] == ["active", "2026-03-02", "99.00 USD", "ada"]
    assert products["Live Chat"][1] == "churned"


def test_lists_that_hold_nothing_say_what_to_do_next(grace: Browser, bob: Browser) -> None:
    """An empty list is a sentence that leads on, and a filter that fits nothing leads back."""
    for path in ("/dead-letters", "/reconciliations", "/events?state=dead", "/commissions?partner_key=none"):
        assert 'class="empty"' in grace.get(path).html, path
    assert 'class="empty"' in bob.get("/partner/commissions?reward_status=paid").html
