"""What is written to the outbox: beside the change, in its transaction, for every way a thing can change."""

import ipaddress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from domain.commissions import CommissionState
from infra.ledger.moves import move_commission, release
from infra.outgoing.endpoints import add_endpoint, change_endpoint, delete_endpoint
from infra.outgoing.seals import Seal
from infra.program import ProgramReader
from infra.rows import fetch
from tests.builders import Event, item, line, stripe_events
from tests.infra.told import ten_percent_of_inbox
from tests.stage import Stage

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
PAID_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
ALL = ("commission.created", "commission.updated", "commission.reversed", "commission.paid")
PRODUCTS = ("product.created", "product.updated", "product.deleted")


def registered(stage: Stage, *event_types: str) -> str:
    """An endpoint's key."""
    with stage.engine.begin() as connection:
        url = "http://127.0.0.1:9/"
        return str(add_endpoint(connection, url=url, event_types=event_types, allowed=LOOPBACK, seal=Seal())["key"])


def told(stage: Stage, endpoint: str | None = None) -> list[tuple[str, ...]]:
    """(type, subject...) of everything in the outbox, in the order it was written; the outbox is emptied."""
    with stage.engine.begin() as connection:
        rows = fetch(
            connection,
            """
            with gone as (delete from webhook_deliveries
                where cast(:endpoint as text) is null or endpoint_key = :endpoint returning *)
            select event_type, subject from gone order by id
            """,
            endpoint=endpoint,
        )
    return [(row.event_type, *row.subject) for row in rows]


def subscription(event_key: str, at: datetime, **details: Any) -> Event:
    """What Stripe says of the subscription at some time."""
    items = [item("prod_inbox", amount=3000)]
    return stripe_events.subscription("sub_1", customer="cus_1", items=items, at=at, event_key=event_key, **details)


def story() -> list[Event]:
    """A customer of ada's who pays 30.00 USD for Inbox."""
    return [
        stripe_events.customer("cus_1", customer_key="acme", partner_key="ada", at=PAID_AT),
        subscription("evt_begun", PAID_AT),
        stripe_events.invoice_paid(
            "in_1", customer="cus_1", subscription="sub_1", lines=[line("prod_inbox", 3000)], paid_at=PAID_AT
        ),
    ]


@pytest.fixture
def stage(engine: Engine) -> Stage:
    """A program in which ada earns 10 % of Inbox; nothing has happened yet."""
    return ten_percent_of_inbox(engine)


def moved(stage: Stage, *states: CommissionState) -> None:
    """A person moves the only commission."""
    for state in states:
        with stage.engine.begin() as connection:
            (key,) = [row.key for row in fetch(connection, "select key from commissions")]
            move_commission(connection, ProgramReader(stage.settings), key, state, None, "person:pm")


def test_a_payment_is_told_of_once(stage: Stage) -> None:
    """A commission and a product that come to be are one row each; playing everything again adds none."""
    registered(stage, *ALL, *PRODUCTS)
    stage.play(story())
    (key,) = [row[0] for row in stage.ask("select key from commissions")]
    product = ("stripe", "sub_1", "prod_inbox")
    found = told(stage)
    assert set(found) == {("product.created", *product), ("commission.created", key)}
    assert len(found) == 2
    stage.replay()
    assert told(stage) == []


def test_every_way_a_commission_moves_is_told(stage: Stage) -> None:
    """A person's moves, the hold period's end and a changed trigger each write their own row."""
    registered(stage, *ALL)
    stage.play(story())
    (key,) = [row[0] for row in stage.ask("select key from commissions")]
    assert told(stage) == [("commission.created", key)]
    stage.trigger("ten", "20", effective_from=int(PAID_AT.timestamp() * 1000) - 1, now=PAID_AT + timedelta(days=1))
    stage.drainer.sweep()
    assert told(stage) == [("commission.updated", key)]
    stage.trigger("ten", "20", active=False, effective_from=int(PAID_AT.timestamp() * 1000) - 1, now=PAID_AT)
    stage.drainer.sweep()
    assert told(stage) == [("commission.reversed", key)]
    stage.trigger("ten", "20", effective_from=int(PAID_AT.timestamp() * 1000) - 1, now=PAID_AT)
    stage.drainer.sweep()
    assert told(stage) == [("commission.updated", key)]
    with stage.engine.begin() as connection:
        assert release(connection, PAID_AT + timedelta(days=30), 14) == 1
    assert told(stage) == [("commission.updated", key)]
    moved(stage, CommissionState.PAID)
    assert told(stage) == [("commission.paid", key)]


def test_a_clawback_is_a_commission_of_its_own(stage: Stage) -> None:
    """What takes back a paid commission is told as created; the paid one, which stands, is not told of."""
    registered(stage, *ALL)
    stage.play(story())
    moved(stage, CommissionState.APPROVED, CommissionState.PAID)
    told(stage)
    stage.trigger("ten", "5", effective_from=int(PAID_AT.timestamp() * 1000) - 1, now=PAID_AT)
    stage.drainer.sweep()
    (adjusting,) = [row[0] for row in stage.ask("select key from commissions where part = 1")]
    assert told(stage) == [("commission.created", adjusting)]


def test_a_product_that_changes_is_told_and_one_that_stays_is_not(stage: Stage) -> None:
    """A status that changes is told; an event that shows the same subscription again is not."""
    registered(stage, *PRODUCTS)
    product = ("stripe", "sub_1", "prod_inbox")
    stage.play(story())
    told(stage)
    stage.play([subscription("evt_same", PAID_AT + timedelta(days=1))])
    assert told(stage) == []
    ended = PAID_AT + timedelta(days=2)
    stage.play([subscription("evt_end", ended, status="canceled", ended_at=ended)])
    assert told(stage) == [("product.updated", *product)]


def test_when_a_product_was_first_seen_is_filled_in_silently(stage: Stage) -> None:
    """Rows of before there was such a column get it without anybody being told; another beginning is told."""
    registered(stage, *PRODUCTS)
    stage.play(story())
    told(stage)
    ((seen_at,),) = stage.ask("select seen_at from products")
    assert seen_at == PAID_AT
    for value, heard in (("null", []), (f"'{PAID_AT}'", []), ("now()", ["product.updated"])):
        stage.tamper(f"update products set seen_at = {value}")
        assert [kind for kind, *_ in told(stage)] == heard


def test_each_endpoint_hears_what_it_asked_for(stage: Stage) -> None:
    """Types are chosen per endpoint, one that is idle or deleted hears nothing, each row has a key of its own."""
    money, both = registered(stage, "commission.created"), registered(stage, "commission.created", "product.created")
    idle, deleted = registered(stage, *ALL), registered(stage, *ALL)
    with stage.engine.begin() as connection:
        change_endpoint(connection, idle, active=False, allowed=LOOPBACK)
        delete_endpoint(connection, deleted)
    stage.play(story())
    keys = [row[0] for row in stage.ask("select key from webhook_deliveries")]
    assert len(keys) == len(set(keys)) == 3
    assert [row[0] for row in told(stage, money)] == ["commission.created"]
    assert sorted(row[0] for row in told(stage, both)) == ["commission.created", "product.created"]
    assert told(stage) == []


def test_nobody_registered_nothing_written(stage: Stage) -> None:
    """Without an endpoint the outbox stays empty, and one registered later hears of later changes alone."""
    stage.play(story())
    assert told(stage) == []
    registered(stage, *ALL, *PRODUCTS)
    assert told(stage) == []
    moved(stage, CommissionState.APPROVED)
    assert [row[0] for row in told(stage)] == ["commission.updated"]


def test_what_is_rolled_back_is_not_told(stage: Stage) -> None:
    """Change and telling commit together: undone, neither is there; done, both are."""
    registered(stage, *ALL)
    stage.play(story())
    told(stage)
    approved = text("update commissions set state = 'approved'")
    with stage.engine.connect() as connection:
        with connection.begin() as undone:
            connection.execute(approved)
            assert fetch(connection, "select count(*) as n from webhook_deliveries")[0].n == 1
            undone.rollback()
        assert fetch(connection, "select count(*) as n from webhook_deliveries")[0].n == 0
    assert stage.ask("select state from commissions") == [("pending",)]
    with stage.engine.begin() as connection:
        connection.execute(approved)
    assert [row[0] for row in told(stage)] == ["commission.updated"]
