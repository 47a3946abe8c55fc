"""`attribution customers link`: whom an address links is linked although they were known before that was turned on."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from infra.settings import load_settings
from tests.builders import line, stripe_events
from tests.stage import LONG_AGO, Stage
from tests.worker.command_line import Attribution

PAID_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
ON = {"MATCH_CUSTOMERS_BY_EMAIL": "true"}


@pytest.fixture
def stage(engine: Engine) -> Stage:
    """acme is ada's; cus_2 has its address, cus_3 one that two have, cus_4 nobody's: each paid 100.00, unlinked."""
    stage = Stage(engine)
    stage.product("Inbox", "prod_inbox")
    stage.partner("ada")
    stage.trigger("ten", "10")
    stage.play(
        [
            described("cus_1", "Boss@acme.example ", customer_key="acme", partner_key="ada"),
            described("cus_5", "shared@example.com", customer_key="globex", partner_key="ada"),
            described("cus_6", "shared@example.com", customer_key="initech", partner_key="ada"),
            described("cus_2", "boss@acme.example"),
            described("cus_3", "shared@example.com"),
            described("cus_4", "nobody@example.com"),
        ]
    )
    paid = [
        stripe_events.invoice_paid(f"in_{n}", customer=f"cus_{n}", lines=[line("prod_inbox", 10000)], paid_at=PAID_AT)
        for n in (2, 3, 4)
    ]
    stage.play(paid)
    assert stage.commissions() == []
    return stage


def described(key: str, email: str, **more: Any) -> stripe_events.Event:
    """A customer, as Stripe shows it."""
    return stripe_events.customer(key, email=email, at=LONG_AGO + timedelta(days=300), **more)


def drained(stage: Stage) -> Stage:
    """The same books, worked on with the setting on."""
    turned_on = Stage(stage.engine, load_settings(ON, env_file=None))
    turned_on.drainer.sweep()
    return turned_on


def test_whoever_was_known_before_is_linked_and_what_they_paid_counts(attribution: Attribution, stage: Stage) -> None:
    """The one whose address is one customer's; nobody else is touched, and doing it again does nothing."""
    answer = attribution("customers", "link", "--json", **ON)
    assert (answer.code, answer.document["count"]) == (0, 2)
    drained(stage)
    linked = "select provider_customer_key, c.customer_key from provider_customers join customers c on c.key = customer"
    assert stage.ask(f"{linked} where provider_customer_key in ('cus_2', 'cus_3', 'cus_4')") == [("cus_2", "acme")]
    assert stage.commissions() == [("ten", "stripe:in_2", None, "ada", 1000, "usd")]
    assert stage.ask("select actor, action from audit_log") == [("operator", "events.replayed")]
    before = stage.books()
    assert attribution("customers", "link", "--json", **ON).document["count"] == 1
    drained(stage)
    assert stage.books() == before


def test_a_dry_run_says_what_it_would_book_and_changes_nothing(attribution: Attribution, stage: Stage) -> None:
    """The commission and whose it would be; no event is due and nobody is linked after it."""
    before = stage.books()
    found = attribution("customers", "link", "--dry-run", "--json", **ON).document
    assert (found["tried"], found["totals"]) == (2, [{"partner_key": "ada", "currency": "usd", "amount": 1000}])
    drained(stage)
    assert stage.books() == before


def test_without_the_setting_it_is_refused(attribution: Attribution, stage: Stage) -> None:
    """The setting is named, and no event is replayed."""
    refused = attribution("customers", "link")
    assert (refused.code, "MATCH_CUSTOMERS_BY_EMAIL" in refused.err) == (1, True)
    assert stage.ask("select count(*) from inbox where state = 'received'") == [(0,)]
