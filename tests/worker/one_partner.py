"""A program with one partner, one product and ten percent on it: customers come, and pay."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine

from infra.providers.stripe import example_events as stripe
from infra.providers.stripe.example_events import line
from infra.settings import load_settings
from tests.stage import LONG_AGO, Stage
from worker.drain import Drain

PAID_AT = datetime(2026, 4, 1, tzinfo=UTC)


def one_partner(engine: Engine, **settings: str) -> Stage:
    """A program with one partner, one product and ten percent on it."""
    stage = Stage(engine, load_settings(settings, env_file=None))
    stage.product("Inbox", "prod_inbox")
    stage.partner("ada")
    stage.trigger("ten", "10")
    return stage


def customer(number: int) -> dict[str, Any]:
    """Comes, brought by the partner."""
    return stripe.customer(f"cus_{number}", event_key=f"evt_c{number}", partner_key="ada", at=LONG_AGO)


def payment(number: int, customer: int, *, amount: int = 1000) -> dict[str, Any]:
    """A paid invoice of one line."""
    return stripe.invoice_paid(
        f"in_{number}",
        event_key=f"evt_i{number}",
        customer=f"cus_{customer}",
        subscription=f"sub_{customer}",
        lines=[line("prod_inbox", amount)],
        paid_at=PAID_AT + timedelta(minutes=number),
    )


def states(stage: Stage) -> dict[str, int]:
    """How many rows of the inbox are in which state."""
    return dict(stage.ask("select state, count(*) from inbox group by 1"))


def assert_sums_right(stage: Stage, payments: int, *, each: int = 100) -> None:
    """As many commissions as payments, each booked once, and each what its entries add up to."""
    assert stage.ask("select count(*), sum(amount_minor) from commissions") == [(payments, payments * each)]
    assert stage.ask("select count(*), sum(amount_minor) from commission_entries") == [(payments, payments * each)]


def drain_until_idle(stage: Stage) -> None:
    """What a worker does: sweep until nothing is due or held."""
    drain = Drain(stage.engine, stage.settings)
    until_s = time.monotonic() + 60
    while stage.ask("select count(*) from inbox where state = 'received'") != [(0,)]:
        drain.sweep()
        assert time.monotonic() < until_s, "the inbox does not get idle"
