"""What one more event costs, counted in rows and statements: it must not depend on how much was recorded before."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event

from tests.builders import item, line, stripe_events
from tests.stage import Stage

START = datetime(2026, 1, 1, tzinfo=UTC)
#: Rules that read all that is kept as history.
RULES: dict[str, Any] = {
    "all": [
        {"field": "product.name", "op": "is_any_of", "value": ["Inbox"]},
        {"field": "product.status", "op": "is_any_of", "value": ["Active"]},
        {"field": "customer.metadata.plan", "op": "is_not_set"},
        {"field": "transaction.number", "op": "gte", "value": 1},
    ]
}


@pytest.fixture
def stage(engine: Engine) -> Stage:
    """A program whose trigger reads everything, and a customer of ada's."""
    stage = Stage(engine)
    stage.product("Inbox", "prod_inbox")
    stage.partner("ada")
    stage.trigger("inbox", "10", rules=RULES)
    stage.play([stripe_events.customer("cus_1", event_key="evt_c", partner_key="ada", at=START)])
    return stage


def month(number: int) -> list[dict[str, Any]]:
    """What is told of the customer in a month: another quantity, another description, a payment, and each time anew
    whose the customer and the subscription are.
    """
    at = START + timedelta(days=30 * number + 1)
    items = [item("prod_inbox", amount=9900, quantity=number + 1)]
    return [
        stripe_events.subscription(
            "sub_1",
            event_key=f"evt_s{number}",
            customer="cus_1",
            items=items,
            change="updated",
            at=at,
            metadata={"partner_key": "ada"},
        ),
        stripe_events.customer("cus_1", event_key=f"evt_c{number}", at=at, change="updated", partner_key="ada"),
        stripe_events.invoice_paid(
            f"in_{number}",
            event_key=f"evt_i{number}",
            customer="cus_1",
            subscription="sub_1",
            lines=[line("prod_inbox", 9900)],
            paid_at=at + timedelta(hours=1),
        ),
    ]


def cost_of(stage: Stage, events: list[dict[str, Any]]) -> tuple[int, int]:
    """How many statements playing these takes, and how many rows they give or change."""
    counted: list[int] = []

    def count(_connection: Any, cursor: Any, *_: Any) -> None:
        counted.append(max(0, cursor.rowcount))

    stage.store(events)
    event.listen(stage.engine, "after_cursor_execute", count)
    try:
        stage.drainer.run()
    finally:
        event.remove(stage.engine, "after_cursor_execute", count)
    return len(counted), sum(counted)


def test_one_more_month_costs_the_same_after_three_as_after_forty(stage: Stage) -> None:
    """As many statements and as many rows, whatever is recorded of the same customer, subscription and product."""
    for number in range(3):
        stage.play(month(number))
    after_three = cost_of(stage, month(3))
    stage.play([told for number in range(4, 40) for told in month(number)])
    after_forty = cost_of(stage, month(40))
    assert stage.ask("select count(*), sum(amount_minor) from commissions") == [(41, 41 * 990)]
    assert after_forty == after_three
