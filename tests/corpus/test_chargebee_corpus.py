"""The Chargebee half of the corpus is what builds it, and what both providers tell of means the same."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.facts import CustomerSeen, Fact, InvoicePaid, Reversal, SubscriptionSeen
from infra.providers.registry import TRANSLATORS
from tests import chargebee_events as chargebee
from tests.builders import body, item, line, stripe_events
from tests.chargebee_events import NOON, ItemExample
from tests.corpus.cases import cases
from tests.corpus.chargebee_cases import chargebee_cases

CARD: dict[str, Any] = {
    "email": "it@acme.example",
    "meta_data": {"customer_key": "acme", "partner_key": "ada"},
    "company": "Acme",
}
SOLD = [ItemExample("chat", 4900), ItemExample("inbox", 9900, kind="addon")]
BOUGHT = [item("chat", price="chat", amount=4900), item("inbox", price="inbox", amount=9900)]


def test_the_chargebee_half_is_what_builds_it() -> None:
    """The files are exactly the cases that are built, each under a name of its own."""
    built = {case.name: case for case in chargebee_cases()}
    assert len(built) == len(chargebee_cases()) > 80
    assert {case.name: case for case in cases("chargebee")} == built


def of_stripe(event: dict[str, Any]) -> list[Fact]:
    """What Stripe's event says."""
    at = datetime.fromtimestamp(event["created"], UTC)
    answer = TRANSLATORS["stripe"](event["type"], event["id"], at, body(event))
    assert isinstance(answer, tuple)
    return list(answer)


def of_chargebee(event: dict[str, Any]) -> list[Fact]:
    """What Chargebee's event says."""
    at = datetime.fromtimestamp(event["occurred_at"], UTC)
    answer = TRANSLATORS["chargebee"](event["event_type"], event["id"], at, chargebee.body(event))
    assert isinstance(answer, tuple)
    return list(answer)


def customers() -> tuple[Any, Any]:
    """Acme, as each provider makes it known."""
    person = chargebee.customer("c1", **CARD, billing_address={"country": "US"})
    return (
        stripe_events.customer(
            "c1", customer_key="acme", partner_key="ada", email="it@acme.example", name="Acme", at=NOON
        ),
        chargebee.event("customer_created", NOON, customer=person),
    )


def subscriptions(stripe_status: str, chargebee_status: str) -> tuple[Any, Any]:
    """Live Chat and Inbox on one subscription."""
    told = chargebee.subscription("sub_1", "c1", SOLD, status=chargebee_status)
    return (
        stripe_events.subscription(
            "sub_1", customer="c1", items=BOUGHT, status=stripe_status, change="updated", at=NOON
        ),
        chargebee.event("subscription_changed", NOON, subscription=told),
    )


def ended() -> tuple[Any, Any]:
    """Over since the day before."""
    since = NOON - timedelta(days=1)
    told = chargebee.subscription("sub_1", "c1", SOLD, status="cancelled", cancelled_at=chargebee.second(since))
    gone = stripe_events.subscription(
        "sub_1", customer="c1", items=BOUGHT, status="canceled", change="deleted", at=NOON, ended_at=since
    )
    return gone, chargebee.event("subscription_cancelled", NOON, subscription=told)


def invoices() -> tuple[Any, Any]:
    """Both paid for, with a discount on one."""
    lines = [chargebee.line("chat", 4900, key="l1"), chargebee.line("inbox", 9900, key="l2", discount=900)]
    bought = [line("chat", 4900, price="chat", subscription="sub_1"), line("inbox", 9900, price="inbox", discount=900)]
    paid = stripe_events.invoice_paid("17", customer="c1", lines=bought, subscription="sub_1", paid_at=NOON, at=NOON)
    return paid, chargebee.event("invoice_updated", NOON, invoice=chargebee.invoice("17", "c1", lines))


PAIRS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "customer": customers,
    "trial": lambda: subscriptions("trialing", "in_trial"),
    "active": lambda: subscriptions("active", "active"),
    "leaving": lambda: subscriptions("active", "non_renewing"),
    "not started": lambda: subscriptions("incomplete", "future"),
    "suspended": lambda: subscriptions("paused", "paused"),
    "ended": ended,
    "paid": invoices,
}


@pytest.mark.parametrize("name", PAIRS)
def test_one_business_event_is_one_billing_event(name: str) -> None:
    """Whichever provider tells of it, it is the same fact, up to provider, ids and the provider's own words."""
    stripe_event, chargebee_event = PAIRS[name]()
    assert [common(fact) for fact in of_stripe(stripe_event)] == [
        common(fact) for fact in of_chargebee(chargebee_event)
    ]


def common(fact: Fact) -> Fact:
    """A fact without what only one provider has: its name, its versions, its ids of lines and payments."""
    fact = replace(fact, provider="either", source=replace(fact.source, version=0, event_key="", rank=0))
    match fact:
        case SubscriptionSeen():
            # Stripe's ended subscriptions never come back.
            return replace(fact, provider_status="", absorbing=False)
        case InvoicePaid():
            lines = tuple(replace(each, line_key="", description=None) for each in fact.lines)
            return replace(fact, lines=lines, payment_keys=(), metadata=None)
        case CustomerSeen():
            return replace(fact, metadata=dict(fact.metadata or {}))
        case Reversal():
            return replace(fact, payment_keys=())
    return fact
