"""What people ask to see, from a real database: the inbox, a customer's products, commissions."""

import json
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine

from domain.windows import epoch_ms
from infra.reports import list_commissions, list_events, list_products
from tests.builders import item, line, stripe_events
from tests.stage import Stage

BOUGHT_AT = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
CANCELLED_AT = datetime(2026, 3, 20, 16, 30, tzinfo=UTC)


@pytest.fixture
def stage(engine: Engine) -> Stage:
    """acme, referred by ada, bought Inbox and Live Chat, paid, and cancelled Live Chat."""
    stage = Stage(engine)
    stage.product("Inbox", "prod_inbox")
    stage.partner("ada")
    stage.partner("grace")
    stage.trigger(
        "trg_all", "10", rules={"field": "line.amount", "op": "gt", "value": {"amount": 0, "currency": "usd"}}
    )
    both = [item("prod_inbox", amount=9900), item("prod_chat", amount=4900)]
    stage.play(
        [
            stripe_events.customer("cus_1", at=BOUGHT_AT, customer_key="acme", partner_key="ada"),
            stripe_events.subscription("sub_1", customer="cus_1", items=both, at=BOUGHT_AT),
            stripe_events.invoice_paid(
                "in_1",
                customer="cus_1",
                subscription="sub_1",
                paid_at=BOUGHT_AT,
                lines=[line("prod_inbox", 9900), line("prod_chat", 4900)],
            ),
            stripe_events.subscription(
                "sub_1", customer="cus_1", items=both[:1], at=CANCELLED_AT, started_at=BOUGHT_AT, change="updated"
            ),
        ]
    )
    return stage


def test_the_inbox_is_listed_newest_first_without_bodies(stage: Stage) -> None:
    """Every envelope has what identifies it, its state and outcome as JSON can say it, and never its body."""
    with stage.engine.connect() as connection:
        found = list_events(connection, limit=250)
    assert [row["id"] for row in found] == sorted((row["id"] for row in found), reverse=True)
    assert json.loads(json.dumps(found)) == found
    for row in found:
        assert set(row) == {
            *("id", "provider", "event_key", "event_type", "livemode", "state", "attempts", "reason", "fingerprint"),
            *("occurred_at", "received_at", "next_attempt_at", "finished_at", "outcome", "erased"),
            *("key", "type"),  # as the API calls them
        }
        assert row["state"] == "processed"
        assert row["next_attempt_at"] is None
    (customer,) = [row for row in found if row["event_type"] == "customer.created"]
    assert customer["occurred_at"] == epoch_ms(BOUGHT_AT)


def test_the_inbox_is_filtered_and_cut(stage: Stage) -> None:
    """State, type and limit each narrow the list; what nothing matches, not even in spelling, gives none."""
    stage.store([stripe_events.customer("cus_2")])
    with stage.engine.connect() as connection:
        assert [row["event_type"] for row in list_events(connection, state="received")] == ["customer.created"]
        assert len(list_events(connection, event_type="customer.created")) == 2
        assert len(list_events(connection, event_type="customer.created", state="processed")) == 1
        assert len(list_events(connection, limit=3)) == 3
        assert list_events(connection, event_type="no.such") == []
        assert list_events(connection, event_type="in\udcff\0") == []


def test_a_customers_products_come_with_their_history(stage: Stage) -> None:
    """Each product has its name, status, amount and every change of status with its time; others have none."""
    with stage.engine.connect() as connection:
        chat, inbox = list_products(connection, "cus_1")
        assert list_products(connection, "cus_2") == []
    assert (chat["name"], chat["status"]) == ("prod_chat", "churned")
    assert (inbox["name"], inbox["status"], inbox["amount_minor"], inbox["currency"]) == (
        "Inbox",
        "active",
        9900,
        "usd",
    )
    assert inbox["purchased_at"] == epoch_ms(BOUGHT_AT)
    assert chat["history"] == [
        {"status": "active", "effective_at": epoch_ms(BOUGHT_AT)},
        {"status": "churned", "effective_at": epoch_ms(CANCELLED_AT)},
    ]
    assert [step["status"] for step in inbox["history"]] == ["active"]


def test_commissions_that_amount_to_something_are_listed_per_partner(stage: Stage) -> None:
    """Both commissions are ada's, in full; grace has none, and one that was taken back whole is not listed."""
    with stage.engine.connect() as connection:
        found = list_commissions(connection)
        assert found == list_commissions(connection, "ada")
        assert list_commissions(connection, "grace") == []
    assert sorted((row["line_key"], row["amount_minor"]) for row in found) == [
        ("sub_1/prod_chat", 490),
        ("sub_1/prod_inbox", 990),
    ]
    assert {(row["customer_key"], row["transaction_key"], row["state"]) for row in found} == {
        ("acme", "stripe:in_1", "pending")
    }
    with stage.engine.begin() as connection:
        connection.exec_driver_sql("""
            insert into commission_entries select key, 2, -amount_minor, 0, 'stripe:evt_x' from commissions
            where line_key = 'sub_1/prod_chat'
        """)
        connection.exec_driver_sql("update commissions set amount_minor = 0 where line_key = 'sub_1/prod_chat'")
    with stage.engine.connect() as connection:
        assert [row["line_key"] for row in list_commissions(connection)] == ["sub_1/prod_inbox"]
