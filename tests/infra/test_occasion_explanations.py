"""Explaining what a commission was earned on where that is no payment: as of when, of what, and why it fired."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from infra.explanations import document, explain_by_name
from infra.occasion_explanations import any_document, explain_any
from tests.builders import item, line, stripe_events
from tests.stage import LONG_AGO, Stage

AT = stripe_events.EXAMPLE_AT
FIVE = {"type": "flat", "amount": 500, "currency": "usd"}
INBOX = {"field": "product.name", "op": "is_any_of", "value": ["Inbox"]}


@pytest.fixture
def stage(engine: Engine) -> Stage:
    """acme of ada buys Inbox and pays for it; every kind of trigger waits."""
    stage = Stage(engine)
    stage.product("Inbox", "prod_inbox")
    stage.partner("ada")
    stage.trigger("joins", event="partner_joined", action=FIVE)
    stage.trigger("created", event="customer_created", action=FIVE)
    stage.trigger("bought", event="product_created", action=FIVE, rules=INBOX)
    stage.trigger("other", event="product_created", action=FIVE, rules={**INBOX, "value": ["Live Chat"]})
    status = {"field": "product.status", "op": "is_any_of", "value": ["churned"]}
    limit = {"per_customer": 1}
    stage.trigger("churned", event="product_status_changed", action=FIVE | {"limit": limit}, rules=status)
    stage.trigger("share", "20", rules=INBOX)
    stage.play(
        [
            stripe_events.customer("cus_1", metadata={"customer_key": "acme", "partner_key": "ada"}, at=AT),
            subscription("active", AT + timedelta(days=1)),
            stripe_events.invoice_paid(
                "in_1", customer="cus_1", subscription="sub_1", lines=[line("prod_inbox", 9900)],
                paid_at=AT + timedelta(days=1),
            ),
            subscription("paused", AT + timedelta(days=5)),
            subscription("active", AT + timedelta(days=6)),
            subscription("unpaid", AT + timedelta(days=7)),
        ]
    )  # fmt: skip
    return stage


def subscription(status: str, at: Any) -> stripe_events.Event:
    """acme's subscription to Inbox as it was at some moment."""
    return stripe_events.subscription("sub_1", customer="cus_1", items=[item("prod_inbox")], status=status, at=at)


def explained(stage: Stage, trigger: str) -> dict[str, Any]:
    """The explanation of the commission that a trigger earned."""
    ((key,),) = stage.ask("select key from commissions where trigger_key = :trigger", trigger=trigger)
    with stage.engine.connect() as connection:
        return any_document(explain_any(connection, str(key), stage.settings))


def test_a_product_that_was_bought_is_explained(stage: Stage) -> None:
    """Whose, of what, as of when; every trigger that waited for it, with expected and actual; and what is booked."""
    found = explained(stage, "bought")
    occasion = found["occasion"]
    assert (occasion["event"], occasion["key"]) == ("product_created", "stripe:sub_1/prod_inbox")
    assert (occasion["customer_key"], found["partner_key"]) == ("acme", "ada")
    assert (occasion["external_subscription_key"], occasion["external_product_key"]) == ("sub_1", "prod_inbox")
    assert (occasion["product_name"], occasion["product_status"]) == ("Inbox", "active")
    assert found["as_of"] == occasion["occurred_at"] == (AT + timedelta(days=1)).timestamp() * 1000
    by_trigger = {each["trigger_key"]: each for each in found["triggers"]}
    assert [key for key, each in by_trigger.items() if each["fired"]] == ["bought"]
    assert by_trigger["share"]["reason"] == "it waits for transaction_created, not for product_created"
    assert by_trigger["other"]["conditions"]["actual"] == "Inbox"
    assert [(each["trigger_key"], each["amount"]) for each in found["commissions"]] == [("bought", 500)]


def test_of_several_changes_the_one_that_earned_is_explained(stage: Stage) -> None:
    """The first time it churned earned; the second time, which earned nothing, is another occasion."""
    found = explained(stage, "churned")
    assert (found["occasion"]["event"], found["occasion"]["product_status"]) == ("product_status_changed", "churned")
    assert found["as_of"] == (AT + timedelta(days=5)).timestamp() * 1000
    fired = [each for each in found["triggers"] if each["fired"]]
    assert [(each["trigger_key"], each["arithmetic"]) for each in fired] == [("churned", "flat 5.00 USD")]
    assert len(found["commissions"]) == 1


def test_a_customer_and_a_partner_are_explained(stage: Stage) -> None:
    """A customer who came to be has a partner; a partner who joined has no customer; neither has a product."""
    created, joined = explained(stage, "created"), explained(stage, "joins")
    assert (created["occasion"]["event"], created["occasion"]["customer_key"]) == ("customer_created", "acme")
    assert (created["partner_key"], created["occasion"]["product_name"]) == ("ada", None)
    assert (joined["occasion"]["key"], joined["occasion"]["customer_key"], joined["partner_key"]) == ("ada", None, None)
    fired = [each["trigger_key"] for each in created["triggers"] + joined["triggers"] if each["fired"]]
    assert fired == ["created", "joins"]


def test_what_turned_out_not_to_have_happened_says_so(stage: Stage) -> None:
    """A late word moves the purchase: what was booked on the change of status before it is back at nothing."""
    stage.trigger("starts", event="product_status_changed", action=FIVE, now=LONG_AGO,
                  rules={"field": "product.status", "op": "is_any_of", "value": ["trial"]})  # fmt: skip
    stage.play([subscription("trialing", AT + timedelta(hours=7))])
    before = explained(stage, "starts")
    assert before["occasion"]["occurred_at"] == (AT + timedelta(hours=7)).timestamp() * 1000
    stage.play([subscription("trialing", AT + timedelta(hours=6))])
    keys = dict(stage.ask("select amount_minor, key from commissions where trigger_key = 'starts'"))
    with stage.engine.connect() as connection:
        gone = any_document(explain_any(connection, str(keys[0]), stage.settings))
    assert (gone["occasion"]["occurred_at"], gone["as_of"], gone["triggers"]) == (None, None, [])
    assert [each["amount"] for each in gone["commissions"]] == [0]


def test_a_commission_on_a_payment_is_explained_as_that_payment(stage: Stage) -> None:
    """By the commission's key or the payment's: the same document."""
    with stage.engine.connect() as connection:
        assert explained(stage, "share") == document(explain_by_name(connection, "in_1", stage.settings))
