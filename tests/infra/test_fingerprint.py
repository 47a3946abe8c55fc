"""The state's hash: blind to how facts came, and to nothing that the API shows."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from infra.database import make_engine
from infra.fingerprint import SECTIONS, Fingerprint, fingerprint
from infra.unit_of_work import unit_of_work_on
from tests.builders import item, line, stripe_events
from tests.chargebee_life import Life
from tests.conftest import new_database
from tests.stage import Stage

BOUGHT_AT = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
REFUND = (
    "insert into reversals select 'stripe', 'refund', 're', 0, now(), 0, 'e', 'usd', 1, 0, 0, null, '{}', '[]', null"
)


def set_up(engine: Engine) -> Stage:
    """One offer of ada's on everything that is sold."""
    stage = Stage(engine)
    stage.product("Inbox", "prod_inbox", aliases=["price_old"])
    stage.partner("ada")
    stage.trigger("trg_all", "10", rules={"field": "line.quantity", "op": "gte", "value": 1})
    return stage


def story() -> list[stripe_events.Event]:
    """Referred, bought, renewed, cancelled."""
    sold: dict[str, Any] = {"customer": "cus_1", "items": [item("prod_inbox", amount=9900)]}
    paid: dict[str, Any] = {"customer": "cus_1", "subscription": "sub_1", "lines": [line("prod_inbox", 9900)]}
    return [
        stripe_events.customer("cus_1", at=BOUGHT_AT, partner_key="ada", name="Acme"),
        stripe_events.customer("cus_1", at=BOUGHT_AT + HOUR, change="updated", customer_key="acme", partner_key="ada"),
        stripe_events.subscription("sub_1", at=BOUGHT_AT, **sold),
        stripe_events.invoice_paid("in_1", paid_at=BOUGHT_AT, **paid),
        stripe_events.invoice_paid("in_1", paid_at=BOUGHT_AT, change="payment_succeeded", **paid),
        stripe_events.subscription(
            "sub_1", at=BOUGHT_AT + 9 * HOUR, started_at=BOUGHT_AT, status="canceled", change="deleted", **sold
        ),
    ]


def state(engine: Engine) -> Fingerprint:
    """The hash as it is now."""
    with unit_of_work_on(engine) as connection:
        return fingerprint(connection)


@contextmanager
def told(server_url: str, template: str, events: Sequence[stripe_events.Event]) -> Iterator[Fingerprint]:
    """What another database hashes to that was told these events one by one."""
    with new_database(server_url, template) as url:
        engine = make_engine(url, application_name="tests", pool_size=2)
        try:
            stage = set_up(engine)
            for event in events:
                stage.play([event])
            yield state(engine)
        finally:
            engine.dispose()


def test_order_and_repetition_do_not_show(engine: Engine, server_url: str, template_database: str) -> None:
    """Told all at once, or one by one, backwards and then again: section by section the same hash."""
    stage = set_up(engine)
    stage.play(story())
    assert [section.count for section in state(engine).sections if section.name == "commissions"] == [1]
    backwards = story()[::-1]
    with told(server_url, template_database, [*backwards, *backwards]) as other:
        assert other == state(engine)


def test_a_price_that_was_sold_before_its_item_was_told_does_not_show(
    engine: Engine, server_url: str, template_database: str
) -> None:
    """A life at Chargebee backwards, the catalogue last of all: section by section the hash of the life in order."""
    set_up(engine).play(Life(2).events())
    with told(server_url, template_database, Life(2).events()[::-1]) as other:
        assert other == state(engine)


def test_a_replay_does_not_show(engine: Engine) -> None:
    """Working on every event again changes nothing."""
    stage = set_up(engine)
    stage.play(story())
    before = state(engine)
    stage.replay()
    assert state(engine) == before


@pytest.mark.parametrize(
    ("section", "change"),
    [
        ("book", "update product_book_names set name = 'Post'"),
        ("book", "update product_book_aliases set alias = 'price_new'"),
        ("customers", "update customers set country = 'FR' where customer_key = 'acme'"),
        ("provider_customers", "update provider_customers set name = 'Somebody'"),
        ("attributions", "update claims set partner_key = 'grace'"),
        ("products", "update products set amount_minor = 1"),
        ("products", "update product_history set effective_at = effective_at + interval '1 second'"),
        ("transactions", "update transactions set metadata = '{}'::jsonb || jsonb_build_object('a', 'b')"),
        ("transactions", "update transaction_lines set reversed_minor = 1"),
        ("reversals", REFUND),
        ("commissions", "update commissions set arithmetic = 'because'"),
    ],
)  # fmt: skip
def test_everything_that_is_shown_counts(engine: Engine, section: str, change: str) -> None:
    """Whatever differs changes the hash of its section, of the whole, and of nothing else."""
    set_up(engine).play(story())
    before = state(engine)
    with engine.begin() as connection:
        connection.execute(text(change))
    after = state(engine)
    assert after.digest != before.digest
    assert [one.name for one, other in zip(after.sections, before.sections, strict=True) if one != other] == [section]


def test_nothing_is_left_out_silently() -> None:
    """Each section reads the tables it is named for, and there are as many as things the API shows."""
    assert list(SECTIONS) == [
        *("book", "customers", "provider_customers", "attributions"),
        *("products", "transactions", "reversals", "commissions"),
    ]
