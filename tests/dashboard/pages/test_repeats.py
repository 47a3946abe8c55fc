"""Forms that make something, sent twice: it is made once, and both are shown what came of it."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine

from infra.clock import system_clock
from infra.sessions import open_for_person
from infra.unit_of_work import unit_of_work_on
from tests.dashboard.pages.browser import Browser
from tests.dashboard.pages.conftest import EMAIL
from tests.dashboard.running import DashboardProcess
from tests.stage import Stage

HOOK = {"url": "http://127.0.0.1:9/told", "commission.created": "on"}
#: Page, button, what is filled in, and what counts what was made.
MAKING = {
    "an endpoint": ("/webhook-endpoints", "Register", HOOK, "webhook_endpoints"),
    "a payment": (
        "/payments/new",
        "Post it",
        {"customer_key": "acme", "amount": "5", "currency": "usd"},
        "transactions",
    ),
    "an entry": ("/product-book", "Add", {"name": "Phone", "external_key": "prod_phone"}, "product_book"),
    "a partner": ("/partners", "Add", {"partner_key": "eve"}, "partners"),
    "a customer": ("/customers", "Add", {"new_customer_key": "initech"}, "customers"),
    "a token": ("/partners/ada", "New token", {}, "member_tokens"),
    "a member": ("/partners/ada", "Add", {"member_key": "amy"}, "partner_members"),
    "a trigger": ("/triggers/new", "Save: it counts from now on", {}, "triggers"),
    "a refund": ("/payments/order-1", "Take it back", {"amount": "1"}, "reversals"),
}


def count(stage: Stage, table: str) -> int:
    """How many rows there are."""
    return int(stage.ask(f"select count(*) from {table}")[0][0])


@pytest.fixture
def town(grace: Browser, told: Stage) -> Stage:
    """GigaKick; ada has a member, and acme paid by hand."""
    grace.press(grace.get("/partners/ada"), "Add", member_key="bea")
    typed = {"customer_key": "acme", "amount": "10", "currency": "usd", "key": "order-1"}
    grace.press(grace.get("/payments/new"), "Post it", 200, **typed)
    return told


@pytest.mark.parametrize("what", MAKING)
def test_a_form_that_is_sent_twice_makes_it_once(grace: Browser, town: Stage, what: str) -> None:
    """The second answer is the first; the page loaded anew makes another, or says why there is no second one."""
    path, button, typed, table = MAKING[what]
    before = count(town, table)
    sheet = grace.get(path)
    first, again = (grace.press(sheet, button, 200, **typed) for _ in range(2))
    assert count(town, table) == before + 1
    assert str(again.answer.url) == str(first.answer.url)
    form = grace.get(path).form(button)
    grace.send(form.buttons[button], {**form.fields, **form.sent_by[button], **typed}, form.method)
    assert count(town, table) in (before + 1, before + 2)
    assert len(set(re.findall(r'name="form_once" value="([^"]+)"', sheet.html))) == sheet.html.count("form_once") > 0


def test_pressing_twice_at_once_makes_one_endpoint_and_both_see_its_secret(grace: Browser, stage: Stage) -> None:
    """Eight at the same moment: one endpoint, one secret on all pages, and nowhere in the database as it is."""
    sheet = grace.get("/webhook-endpoints")
    with ThreadPoolExecutor(8) as pool:
        pages = list(pool.map(lambda _: grace.press(sheet, "Register", 200, **HOOK), range(8)))
    secrets = {secret for page in pages for secret in re.findall(r"whsec_[\w+/=]+", page.html)}
    assert len(secrets) == 1
    assert count(stage, "webhook_endpoints") == 1
    kept = stage.ask("select convert_from(answer, 'UTF8') from idempotent_answers")
    assert len(kept) == 1
    assert secrets.isdisjoint(re.findall(r"whsec_[\w+/=]+", str(kept)))


def test_what_was_kept_is_of_one_session_alone(
    grace: Browser, stage: Stage, dashboard: DashboardProcess, dashboard_engine: Engine
) -> None:
    """Grace's other browser that somehow brings the same form makes an endpoint of its own, with another secret."""
    sheet = grace.get("/webhook-endpoints")
    first = grace.press(sheet, "Register", 200, **HOOK)
    with unit_of_work_on(dashboard_engine) as connection:
        session = open_for_person(connection, EMAIL, system_clock())
    other = Browser(dashboard.url, session=session)
    page = other.get("/webhook-endpoints")
    once = sheet.form("Register").fields["form_once"]
    second = other.press(page, "Register", 200, **HOOK, form_once=once)
    other.close()
    found = [re.findall(r"whsec_[\w+/=]+", each.html) for each in (first, second)]
    assert found[0] != found[1]
    assert count(stage, "webhook_endpoints") == 2


def test_a_form_that_was_refused_is_sent_again(grace: Browser, stage: Stage) -> None:
    """What did nothing is not kept: mended, the very same form does its work; afterwards it says what it made."""
    sheet = grace.get("/webhook-endpoints")
    grace.press(sheet, "Register", 400, **{**HOOK, "url": "nowhere"})
    grace.press(sheet, "Register", 200, **HOOK)
    refused = grace.press(sheet, "Register", 409, **{**HOOK, "url": "http://127.0.0.1:9/other"})
    assert "was sent before and says something else now" in refused.text
    assert count(stage, "webhook_endpoints") == 1
