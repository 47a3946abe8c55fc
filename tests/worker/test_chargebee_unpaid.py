"""A Chargebee invoice whose payment is taken off it again: nothing is owed for it until it is paid once more."""

from datetime import timedelta
from random import Random

import pytest
from sqlalchemy import Engine

from tests import chargebee_events as chargebee
from tests.chargebee_events import NOON
from tests.stage import Stage


@pytest.fixture
def stage(engine: Engine) -> Stage:
    """Ada is paid ten percent of Live Chat."""
    stage = Stage(engine)
    stage.product("Live Chat", "chat")
    stage.partner("ada")
    stage.trigger("chat", "10", rules={"field": "product.name", "op": "is_any_of", "value": ["Live Chat"]})
    person = chargebee.customer("c1", meta_data={"customer_key": "acme", "partner_key": "ada"})
    stage.play([chargebee.event("customer_created", NOON, customer=person)])
    return stage


def told(status: str, day: int, event_type: str = "invoice_updated", **fields: object) -> chargebee.Event:
    """The invoice over 49.00 of Live Chat as it was on some day."""
    when = NOON + timedelta(days=day)
    invoice = chargebee.invoice("17", "c1", [chargebee.line("chat", 4900)], at=when, status=status, **fields)
    return chargebee.event(event_type, when, invoice=invoice)


def owed(stage: Stage) -> list[int]:
    """What is booked, in minor units."""
    return [row[4] for row in stage.commissions()]


def test_a_payment_that_is_taken_off_its_invoice_earns_nothing_until_it_is_paid_again(stage: Stage) -> None:
    """Paid, due again, paid again, due again and deleted: as its newest version says, and nothing waits."""
    steps = [
        (told("payment_due", 0, "invoice_generated"), []),
        (told("paid", 1), [490]),
        (told("payment_due", 2), []),
        (told("paid", 3), [490]),
        (told("not_paid", 4), []),
        (told("not_paid", 5, "invoice_deleted", deleted=True), []),
    ]
    for event, expected in steps:
        stage.play([event])
        assert owed(stage) == expected
    assert stage.ask("select event_key from inbox where state not in ('processed', 'ignored')") == []


@pytest.mark.parametrize("seed", range(4))
def test_the_newest_version_of_an_invoice_counts_in_any_order(stage: Stage, seed: int) -> None:
    """Heard in any order, twice: the payment that was taken off stays off, and the later one counts."""
    events = [told("paid", 1), told("payment_due", 2), told("paid", 3)]
    off, random = [*events, told("not_paid", 4)], Random(seed)
    for history, expected in ((events, [490]), (off, [])):
        told_twice = history * 2
        random.shuffle(told_twice)
        for event in told_twice:
            stage.play([event])
        assert owed(stage) == expected
