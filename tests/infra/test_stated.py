"""Statements beside workers, on a real database: nobody passes anybody by, and a replay says the same."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest
from sqlalchemy import Engine

from domain.errors import TryLater
from infra.locks import lock_customers
from infra.providers.stripe import example_events as stripe
from infra.providers.stripe.example_events import line
from infra.settings import Settings, load_settings
from infra.stated.customers import state_customer
from infra.stated.telling import Telling, tell
from infra.stated.transactions import state_transaction
from tests.stage import LONG_AGO, Stage
from worker.drain import Drain

NOW = datetime(2026, 4, 1, tzinfo=UTC)
BY_EMAIL = load_settings({"MATCH_CUSTOMERS_BY_EMAIL": "true"}, env_file=None)

T = TypeVar("T")


def program(engine: Engine, settings: Settings = BY_EMAIL) -> Stage:
    """One partner, ten percent on everything."""
    stage = Stage(engine, settings)
    stage.partner("ada")
    stage.trigger("ten", "10")
    stage.drainer.sweep()
    return stage


def say(stage: Stage, work: Callable[[Telling], T], patience_s: float = 20) -> T:
    """State something in a transaction of its own."""
    with stage.engine.begin() as connection:
        return tell(connection, stage.settings, NOW, work, patience_s=patience_s)


def acme(**said: Any) -> Callable[[Telling], Any]:
    """Acme as the company knows it, ada's since long ago."""
    given = {"customer_key": "acme", "partner_key": "ada", "attributed_at": LONG_AGO, **said}
    return lambda telling: state_customer(telling, given)


def events(number: int, email: str) -> list[dict[str, Any]]:
    """One of Stripe's customers, and a payment of theirs."""
    return [
        stripe.customer(f"cus_{number}", event_key=f"evt_c{number}", email=email, at=LONG_AGO),
        stripe.invoice_paid(f"in_{number}", event_key=f"evt_i{number}", customer=f"cus_{number}", subscription=None,
                            lines=[line("prod_x", 1000)], paid_at=NOW),
    ]  # fmt: skip


@pytest.mark.parametrize("settings", [BY_EMAIL, load_settings({}, env_file=None)], ids=["on", "off"])
def test_an_address_links_a_customer_where_the_program_says_so(engine: Engine, settings: Settings) -> None:
    """Told before or after; off, which is how it comes, nobody is linked by an address."""
    stage = program(engine, settings)
    stage.play(events(1, "Ann@Acme.com"))
    assert stage.commissions() == []
    say(stage, acme(email="ann@acme.com "))
    stage.play(events(2, "ANN@acme.com"))
    paid = [row[1] for row in stage.commissions()]
    assert paid == (["stripe:in_1", "stripe:in_2"] if settings.match_customers_by_email else [])
    before = stage.books()
    stage.replay()
    assert stage.books() == before


def test_whoever_shares_an_address_at_the_same_time_is_found(engine: Engine) -> None:
    """Workers take in Stripe's customers while the company states its own: in the end every one of them is linked."""
    stage = program(engine)
    count = 6
    stage.store([event for number in range(count) for event in events(number, f"{number}@acme.com")])
    ready = threading.Barrier(count + 2)

    def state(number: int) -> None:
        ready.wait()
        say(stage, acme(customer_key=f"acme_{number}", email=f"{number}@acme.com"))

    def drain() -> None:
        ready.wait()
        Drain(engine, stage.settings).sweep()

    with ThreadPoolExecutor(count + 2) as pool:
        work = [pool.submit(state, number) for number in range(count)] + [pool.submit(drain) for _ in range(2)]
        for each in work:
            each.result()
    while stage.ask("select from inbox where next_attempt_at is not null"):
        stage.drainer.sweep()
    assert [row[1] for row in stage.commissions()] == [f"stripe:in_{number}" for number in range(count)]


def test_what_was_begun_in_vain_is_undone(engine: Engine) -> None:
    """While another has the customer patience ends; the caller's own work stays, the statement leaves nothing."""
    stage = program(engine)
    with engine.begin() as other:
        assert lock_customers(other, ["api:customer:acme"])
        with engine.begin() as connection:
            assert lock_customers(connection, ["somebody"])
            with pytest.raises(TryLater):
                tell(connection, stage.settings, NOW, acme(), patience_s=0.2)
            assert connection.exec_driver_sql("select 1").scalar() == 1
    assert stage.ask("select count(*) from inbox where provider = 'api'") == [(0,)]
    say(stage, acme())
    assert stage.ask("select state from inbox where provider = 'api'") == [("processed",)]


def test_the_same_payment_stated_at_the_same_time_is_one(engine: Engine) -> None:
    """Two transactions with one key and other words for its customer: one is there, the other is told so."""
    stage = program(engine)
    say(stage, acme())
    given = {"key": "order-1", "amount": 1000, "currency": "usd", "customer_key": "acme"}

    def post(_: int) -> tuple[str, bool, str | None]:
        return say(stage, lambda telling: state_transaction(telling, given))

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(post, range(4)))
    assert sorted(is_new for _, is_new, _ in answers) == [False, False, False, True]
    assert stage.commissions() == [("ten", "order-1", None, "ada", 100, "usd")]


def test_customers_with_the_same_reference_wait_for_nobody(engine: Engine) -> None:
    """What a posted line refers to is each customer's own: two who call a product alike are posted at the same time."""
    stage = program(engine)
    for name in ("acme", "other"):
        say(stage, acme(customer_key=name))

    def post(name: str) -> Callable[[Telling], Any]:
        line = {"amount": 1000, "subscription_key": "monthly"}
        given = {"key": f"order-{name}", "amount": 1000, "currency": "usd", "customer_key": name, "lines": [line]}
        return lambda telling: state_transaction(telling, given)

    with engine.begin() as one:
        tell(one, stage.settings, NOW, post("acme"))
        say(stage, post("other"), patience_s=0)
    assert [row[1] for row in stage.commissions()] == ["order-acme", "order-other"]
