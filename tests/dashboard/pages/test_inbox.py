"""Events and dead letters on the pages: read, tried, replayed, put aside."""

from typing import Any

import pytest

from infra.providers.stripe import example_events as stripe
from infra.providers.stripe.example_events import line
from tests.dashboard.pages.browser import Browser
from tests.stage import Stage

FINGERPRINT = "stripe invoice.paid broken & <odd>"


@pytest.fixture
def broken(told: Stage) -> Stage:
    """Two payments of the story's customer that died of one cause when they came."""
    told.store([_paid("in_2"), _paid("in_3")])
    told.bury("evt_in_2", "evt_in_3", reason="it was broken", fingerprint=FINGERPRINT)
    return told


def _paid(key: str) -> dict[str, Any]:
    lines = [line("prod_gigakick_inbox", 9900)]
    return stripe.invoice_paid(
        key, event_key=f"evt_{key}", customer="cus_gigakick_acme", subscription="sub_gigakick_acme", lines=lines
    )


def _state(stage: Stage, key: str) -> str:
    ((state,),) = stage.ask("select state from inbox where event_key = :key", key=key)
    return str(state)


def _number(stage: Stage, key: str) -> int:
    ((number,),) = stage.ask("select id from inbox where event_key = :key", key=key)
    return int(number)


def test_an_event_says_what_became_of_it_and_what_it_caused(grace: Browser, told: Stage) -> None:
    """The list has its state; its page leads to the payment and the commissions that came of it."""
    rows = {row[1] for row in grace.get("/events?state=processed").cells}
    assert {"invoice.paid", "customer.subscription.updated"} <= rows
    caused = told.ask("select id from inbox where jsonb_array_length(outcome -> 'commissions') = 2")
    links = grace.get(f"/events/{caused[0][0]}").links
    assert "/payments/stripe:in_gigakick_acme_1" in links
    assert len([each for each in links if each.startswith("/commissions/")]) == 2


def test_a_body_is_shown_as_text_and_that_it_was_is_written_down(grace: Browser, told: Stage) -> None:
    """The exact body stands there; the audit names who looked; a body that was erased is said to be."""
    ((number,),) = told.ask("select max(id) from inbox where event_type = 'invoice.paid'")
    sheet = grace.get(f"/events/{number}/body")
    assert '"in_gigakick_acme_1"' in sheet.text
    assert "<pre>" in sheet.html
    looked = told.ask("select distinct actor, action, subject from audit_log")
    assert looked == [("person:grace@example.com", "event.body_shown", f"inbox:{number}")]
    told.tamper(f"update inbox set body = null where id = {number}")
    assert "There is nothing here" in grace.get(f"/events/{number}/body", 404).text


def test_dead_letters_are_tried_before_they_are_replayed(grace: Browser, broken: Stage) -> None:
    """A group stands with its reason and number; a trial says what would change and changes nothing."""
    sheet = grace.get("/dead-letters")
    assert "2 × stripe invoice.paid" in sheet.text
    assert "it was broken" in sheet.text
    before = broken.books()
    tried = grace.press(sheet, "Try a replay")
    assert "A replay of 2 events was tried and taken back" in tried.text
    assert "39.60 USD" in tried.text
    assert broken.books() == before
    assert _state(broken, "evt_in_2") == "dead"
    assert "2 due again" in grace.press(tried, "Replay all").text
    broken.play([])
    assert _state(broken, "evt_in_2") == "processed"
    assert len(broken.commissions()) == 4


def test_a_group_is_put_aside_with_a_reason_only(grace: Browser, broken: Stage) -> None:
    """Without a reason nothing changes; with one, both are ignored and say why."""
    sheet = grace.get("/dead-letters")
    refused = grace.press(sheet, "Ignore all", 400)
    assert "reason is required" in refused.text
    assert _state(broken, "evt_in_3") == "dead"
    (invalid,) = [found for _, found in refused.tags if found.get("aria-invalid")]
    assert invalid["name"] == "reason"
    assert [found for tag, found in refused.tags if tag == "details" and "open" in found]
    assert "2 ignored" in grace.press(refused, "Ignore all", reason="a test account").text
    assert _state(broken, "evt_in_3") == "ignored"
    assert "a test account" in grace.get(f"/events/{_number(broken, 'evt_in_3')}").text
    assert "There are none" in grace.get("/dead-letters").text


def test_one_event_is_tried_replayed_and_put_aside(grace: Browser, broken: Stage) -> None:
    """Its own page does the same for it alone."""
    sheet = grace.get(f"/events/{_number(broken, 'evt_in_2')}")
    assert "19.80 USD" in grace.press(sheet, "Try a replay").text
    assert _state(broken, "evt_in_2") == "dead"
    assert "It is due again" in grace.press(sheet, "Replay").text
    assert (_state(broken, "evt_in_2"), _state(broken, "evt_in_3")) == ("received", "dead")
    other = grace.get(f"/events/{_number(broken, 'evt_in_3')}")
    assert "is required" in grace.press(other, "Ignore", 400).text
    grace.press(other, "Ignore", reason="known")
    assert _state(broken, "evt_in_3") == "ignored"


def test_the_overview_leads_to_what_is_stuck(grace: Browser, broken: Stage) -> None:
    """Dead letters stand on the first page, with their number and reason."""
    sheet = grace.get("/")
    assert "2 × stripe invoice.paid : it was broken" in sheet.text
    assert "/dead-letters" in sheet.links
