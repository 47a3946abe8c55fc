"""A worker's thread beside the drain: it keeps the schedule, steps on, and outlives a database that goes away."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from sqlalchemy import Engine, text

from infra.clock import system_clock
from infra.reconciliation.reconciler import EVERY
from infra.reconciliation.runs import request, request_due
from infra.settings import Settings, load_settings
from tests.fake_stripe import FakeStripe, Trouble, fake_stripe
from tests.reconciliation.scene import DAY, bought, set_up
from tests.stage import Stage
from tests.stripe_account import StripeAccount
from worker.desk import Desk
from worker.reconciling import Reconciling

HOUR = timedelta(hours=1)
NOW = system_clock()


@pytest.fixture
def fake() -> Iterator[FakeStripe]:
    """A Stripe over HTTP, in whose account somebody bought and paid yesterday."""
    with fake_stripe() as running:
        StripeAccount(running).happens(*bought(1, system_clock() - DAY))
        yield running


@pytest.fixture
def settings(database_url: str, fake: FakeStripe) -> Settings:
    """With a key for the fake."""
    named = {"DATABASE_URL": database_url, "STRIPE_API_KEY": "sk_test_" + "x" * 24, "STRIPE_API_BASE": fake.api_base}
    return load_settings(named, env_file=None)


@contextmanager
def at_work(settings: Settings) -> Iterator[Reconciling]:
    """The thread, until the test is over."""
    closing = threading.Event()
    reconciling = Reconciling(settings, closing, look_every_s=0.05)
    thread = threading.Thread(target=reconciling.run)
    thread.start()
    try:
        yield reconciling
    finally:
        closing.set()
        thread.join(20)
        assert not thread.is_alive()


def eventually(condition: Callable[[], object], stage: Stage) -> None:
    """Drain until it is so."""
    until_s = time.monotonic() + 40
    while not condition():
        assert time.monotonic() < until_s
        stage.drainer.sweep()
        time.sleep(0.05)


def test_the_schedule_is_kept_when_it_is_rung(engine: Engine, settings: Settings, fake: FakeStripe) -> None:
    """A ring makes the run whose time has come, which is done; a second ring makes none."""
    stage = set_up(engine)
    with at_work(settings) as reconciling:
        assert reconciling.has_providers
        reconciling.ring()
        eventually(lambda: stage.ask("select state from reconciliations") == [("finished",)], stage)
        reconciling.ring()
        time.sleep(0.5)
    assert stage.ask("select provider, scope, requested_by from reconciliations") == [("stripe", "whole", "schedule")]
    assert len(stage.commissions()) == 1


def test_a_provider_that_hangs_keeps_no_event_waiting(engine: Engine, settings: Settings, fake: FakeStripe) -> None:
    """While a page takes its time, the inbox is drained as ever."""
    stage = set_up(engine)
    fake.troubles.append(Trouble(delay_s=8))
    with engine.begin() as connection:
        request(connection, "stripe", system_clock(), requested_by="api", scope="events")
    with at_work(settings):
        until_s = time.monotonic() + 10
        while not fake.requests:
            assert time.monotonic() < until_s
            time.sleep(0.02)
        stage.play(bought(2, system_clock() - DAY))
        assert len(stage.commissions()) == 1
        assert stage.ask("select state from reconciliations") == [("requested",)]
        fake.stopping.set()


def test_a_database_that_goes_away_is_waited_for(engine: Engine, settings: Settings) -> None:
    """Its connections cut in the middle, the thread goes on where the run was."""
    stage = set_up(engine)
    with at_work(settings) as reconciling:
        reconciling.ring()
        for _ in range(5):
            with engine.begin() as connection:
                connection.execute(
                    text("""
                        select pg_terminate_backend(pid) from pg_stat_activity
                        where application_name = 'attribution-reconciler' and datname = current_database()
                    """)
                )
            time.sleep(0.1)
        reconciling.ring()
        eventually(lambda: stage.ask("select state from reconciliations") == [("finished",)], stage)
    assert stage.ask("select count(*) from inbox where provider = 'stripe'") == [(3,)]


def test_a_desk_without_a_key_has_nothing_to_reconcile(engine: Engine, database_url: str) -> None:
    """Rung all the same, it asks for no run."""
    settings = load_settings({"DATABASE_URL": database_url}, env_file=None)
    desk = Desk(settings)
    desk.reconcile()
    desk.close()
    assert not Reconciling(settings, threading.Event()).has_providers
    assert Stage(engine).ask("select count(*) from reconciliations") == [(0,)]


def test_gaps_are_looked_for_every_hour_and_everything_every_day(engine: Engine) -> None:
    """A whole run is both; what a person asks for from a moment on, or as a dry run, replaces neither."""
    asked = []
    for hours in range(30):
        now = NOW + hours * HOUR
        with engine.begin() as connection:
            request(connection, "stripe", now, requested_by="cli", since=NOW - DAY, scope="events")
            request(connection, "stripe", now, requested_by="cli", dry_run=True)
            request_due(connection, "stripe", now, EVERY)
            connection.execute(
                text("update reconciliations set state = 'finished', next_attempt_at = null, finished_at = now()")
            )
    asked = Stage(engine).ask("select scope from reconciliations where requested_by = 'schedule' order by id")
    assert [scope for (scope,) in asked] == ["whole", *["events"] * 23, "whole", *["events"] * 5]
