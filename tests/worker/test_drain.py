"""Batches with something wrong in them, drains that meet, and asking Stripe for the rest, on a real database."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.exc import OperationalError

from infra.providers.stripe import example_events as stripe
from infra.providers.stripe.example_events import item, line
from infra.settings import load_settings
from tests.fake_stripe import FakeStripe, Trouble, fake_stripe
from tests.worker.one_partner import (
    PAID_AT,
    assert_sums_right,
    customer,
    drain_until_idle,
    one_partner,
    payment,
    states,
)
from worker.drain import BATCH, Drain, DrainReport

# One bad event among many.


@pytest.mark.parametrize("place", [0, 100, BATCH - 1])
def test_one_failing_event_keeps_no_neighbour(engine: Engine, place: int) -> None:
    """Of a full batch in which the database refuses one event, all others are done and that one is dead (F43)."""
    stage = one_partner(engine)
    with engine.begin() as connection:
        connection.execute(text("alter table provider_customers add constraint tripwire check (email <> 'trip@wire')"))
    events = [customer(number) for number in range(BATCH)]
    events[place] = stripe.customer("cus_bad", event_key="evt_bad", email="trip@wire")
    report = stage.play(events)
    assert (report.processed_count, report.failed_count) == (BATCH - 1 + 3, 1)  # and the three program changes
    assert stage.ask("select event_key, state, attempts, reason from inbox where state <> 'processed'") == [
        ("evt_bad", "dead", 1, "the database refused it: CheckViolation 23514 tripwire")
    ]


def test_several_failing_events_are_all_isolated(engine: Engine) -> None:
    """Ten unreadable and ten refused events in one batch end dead, everything else is done."""
    stage = one_partner(engine)
    with engine.begin() as connection:
        connection.execute(text("alter table provider_customers add constraint tripwire check (email <> 'trip@wire')"))
    events = [customer(number) for number in range(100)]
    for number in range(10):
        events[number * 9] = stripe.customer(f"cus_bad{number}", event_key=f"evt_bad{number}", email="trip@wire")
        broken = stripe.customer(f"cus_broken{number}", event_key=f"evt_broken{number}")
        del broken["data"]["object"]["id"]
        events[number * 9 + 1] = broken
    stage.play(events)
    assert states(stage) == {"processed": 80 + 3, "dead": 20}
    assert stage.ask("select count(*) from inbox where state = 'dead' group by fingerprint") == [(10,), (10,)]


def test_a_lost_race_is_run_again_later(engine: Engine) -> None:
    """A unique key that another transaction wrote first postpones the event by seconds, visibly, and it then passes."""
    stage = one_partner(engine)
    with engine.begin() as connection:
        connection.execute(text("create unique index tripwire on provider_customers (email)"))
    stage.play([stripe.customer("cus_1", event_key="evt_1", email="one@wire"),
                stripe.customer("cus_2", event_key="evt_2", email="one@wire")])  # fmt: skip
    ((key, state, attempts, due),) = stage.ask(
        "select event_key, state, attempts, next_attempt_at > now() from inbox where event_key like 'evt%' and state <> 'processed'"  # noqa: E501
    )
    assert (state, attempts, due) == ("received", 1, True)
    with engine.begin() as connection:
        connection.execute(
            text("drop index tripwire; update inbox set next_attempt_at = now() where state = 'received'")
        )
    stage.drainer.sweep()
    assert stage.ask("select state, attempts, reason from inbox where event_key = :key", key=key) == [
        ("processed", 2, None)
    ]


def test_events_of_another_mode_are_ignored_with_the_reason(engine: Engine) -> None:
    """Under STRIPE_MODE=live a test event is stored, ignored, and has no effect (F27)."""
    stage = one_partner(engine, STRIPE_MODE="live")
    stage.play([customer(1), payment(1, 1), {**customer(2), "livemode": True}])
    assert stage.ask("select event_key, state, reason from inbox where provider = 'stripe' order by 1") == [
        ("evt_c1", "ignored", "an event of test mode, and STRIPE_MODE is live"),
        ("evt_c2", "processed", None),
        ("evt_i1", "ignored", "an event of test mode, and STRIPE_MODE is live"),
    ]
    assert stage.ask("select provider_customer_key from provider_customers") == [("cus_2",)]


# When the database itself is the trouble.


def test_a_database_that_goes_away_fails_no_event(engine: Engine) -> None:
    """A connection cut in the middle of a batch raises; nothing is dead, and the next sweep does everything once."""
    stage = one_partner(engine)
    stage.store([customer(number) for number in range(20)] + [payment(number, number) for number in range(20)])

    def cut(connection: Any, *_: object) -> None:
        with engine.connect() as other:
            pid = connection.connection.dbapi_connection.info.backend_pid
            other.execute(text("select pg_terminate_backend(:pid)"), {"pid": pid})

    drain = Drain(engine, stage.settings)
    with _once_before(engine, "insert into commissions", cut), pytest.raises(OperationalError):
        drain.run()
    assert states(stage).get("dead") is None
    drain_until_idle(stage)
    assert states(stage) == {"processed": 43}
    assert_sums_right(stage, 20)


def test_a_database_that_turns_read_only_fails_no_event(engine: Engine) -> None:
    """After a failover to a read-only server events wait, untouched, for the next good connection."""
    stage = one_partner(engine)
    stage.store([customer(number) for number in range(5)])

    def turn(connection: Any, *_: object) -> None:
        connection.connection.dbapi_connection.execute("set transaction read only")

    with _once_before(engine, 'insert into "provider_customers"', turn), pytest.raises(Exception, match="read-only"):
        stage.drainer.run()
    assert states(stage) == {"received": 5, "processed": 3}
    engine.dispose()
    drain_until_idle(stage)
    assert states(stage) == {"processed": 8}


@contextmanager
def _once_before(engine: Engine, start: str, act: Callable[..., None]) -> Iterator[None]:
    """Call `act` before the first statement that begins with `start`."""
    acted = threading.Event()

    def look(connection: Any, cursor: Any, statement: str, *_: object) -> None:
        if statement.strip().startswith(start) and not acted.is_set():
            acted.set()
            act(connection)

    event.listen(engine, "before_cursor_execute", look)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", look)
    assert acted.is_set()


# A drain that was taken for dead.


def test_a_stalled_worker_that_wakes_up_books_nothing_twice(engine: Engine) -> None:
    """Its claim was taken over and its work done by another meanwhile: all of its transaction is rolled back (F40)."""
    stage = one_partner(engine)
    stage.play([customer(1)])
    stage.store([payment(number, 1) for number in range(5)])
    stalled = Drain(engine, stage.settings)

    def overtake(*_: object) -> None:
        with engine.begin() as other:  # the lease runs out, another worker marks them
            other.execute(
                text("""
                    update inbox set state = 'processed', claimed_by = null, next_attempt_at = null
                    where event_key in ('evt_i1', 'evt_i2')
                """)
            )

    with _once_before(engine, "insert into commissions", overtake):
        stalled.run()
    assert stage.ask("select count(*) from commission_entries") == [(3,)]
    assert stage.ask("select max(attempts) from inbox where event_key like 'evt_i%'") == [(1,)]
    stage.replay()
    assert_sums_right(stage, 5)


# The lines an event left out.


def _long_invoice(number: int = 1) -> dict[str, Any]:
    return {
        **stripe.invoice_paid(
            f"in_{number}",
            event_key=f"evt_long{number}",
            customer="cus_1",
            subscription="sub_1",
            lines=[line("prod_inbox", 1000)],
            paid_at=PAID_AT,
            has_more=True,
        )
    }


def _all_lines(number: int = 1) -> Mapping[str, list[dict[str, Any]]]:
    whole = stripe.invoice_paid(
        f"in_{number}", customer="cus_1", subscription="sub_1", lines=[line("prod_inbox", 1000), line("prod_b", 500)]
    )
    return {f"/v1/invoices/in_{number}/lines": whole["data"]["object"]["lines"]["data"]}


def _with_key(fake: FakeStripe) -> dict[str, str]:
    return {"STRIPE_API_KEY": "sk_test_" + "x" * 24, "STRIPE_API_BASE": fake.api_base}


def test_without_a_key_an_invoice_waits_for_its_lines(engine: Engine) -> None:
    """It waits, visible, with the reason; others are done; with a key it is fetched whole and judged."""
    stage = one_partner(engine)
    stage.play([customer(1), _long_invoice(), payment(2, 1)])
    assert stage.ask("select state, reason, next_attempt_at > now() from inbox where event_key = 'evt_long1'") == [
        ("waiting", "invoice in_1 has more lines than the event carries; set STRIPE_API_KEY to fetch the rest", True)
    ]
    assert_sums_right(stage, 1)
    with engine.begin() as connection:
        connection.execute(text("update inbox set next_attempt_at = now() where state = 'waiting'"))
    with fake_stripe() as fake:
        fake.lists.update(_all_lines())
        Drain(engine, load_settings(_with_key(fake), env_file=None)).run()
    assert stage.ask(
        "select line_key, gross_minor from transaction_lines where transaction_key = 'stripe:in_1' order by 1"
    ) == [
        ("sub_1/prod_b", 500),
        ("sub_1/prod_inbox", 1000),
    ]
    assert stage.ask("select sum(amount_minor) from commissions") == [(250,)]


def test_what_stripe_cannot_answer_now_is_asked_again_later(engine: Engine) -> None:
    """After a 500 the first is postponed and the others given back unasked; complete events of the batch are done."""
    with fake_stripe() as fake:
        fake.troubles.append(Trouble(500))
        stage = one_partner(engine, **_with_key(fake))
        report = stage.play([customer(1), *(_long_invoice(number) for number in range(1, 6)), payment(9, 1)])
        assert report.failed_count == 1
        assert len(fake.requests) == 1
    found = stage.ask(
        "select event_key, state, attempts, reason, next_attempt_at > now() from inbox where event_key like 'evt_long%' order by 1"  # noqa: E501
    )
    assert found[0] == ("evt_long1", "received", 1, "Stripe failed at /v1/invoices/in_1/lines with status 500", True)
    assert found[1:] == [(f"evt_long{number}", "received", 0, None, True) for number in range(2, 6)]
    assert states(stage) == {"received": 5, "processed": 5}


def test_an_invoice_that_stripe_does_not_know_is_dead(engine: Engine) -> None:
    """A 404 is final, and keeps no other invoice from being fetched."""
    with fake_stripe() as fake:
        fake.lists.update(_all_lines(2))
        stage = one_partner(engine, **_with_key(fake))
        stage.play([customer(1), _long_invoice(1), _long_invoice(2)])
    assert stage.ask("select event_key, state from inbox where event_key like 'evt_long%' order by 1") == [
        ("evt_long1", "dead"),
        ("evt_long2", "processed"),
    ]


def test_a_slow_stripe_holds_a_batch_no_longer_than_its_budget(engine: Engine) -> None:
    """When the time for asking is over the rest is given back, not begun and not counted."""
    with fake_stripe() as fake:
        stage = one_partner(engine, **_with_key(fake))
        for number in range(1, 7):
            fake.lists.update(_all_lines(number))
            fake.troubles.append(Trouble(delay_s=0.2))
        stage.store([customer(1), *(_long_invoice(number) for number in range(1, 7))])
        began_s = time.monotonic()
        Drain(engine, stage.settings, fetch_budget_s=0.3).run()
        assert time.monotonic() - began_s < 5
        asked = len(fake.requests)
    assert 1 <= asked <= 3
    assert stage.ask(
        "select state, attempts, count(*) from inbox where event_key like 'evt_long%' group by 1, 2 order by 1"
    ) == [("processed", 1, asked), ("received", 0, 6 - asked)]


# Stopping.


def test_a_drain_that_is_told_to_stop_begins_no_further_batch(engine: Engine) -> None:
    """What is not begun stays due for others."""
    stage = one_partner(engine)
    stage.play([])
    stage.store(customer(number) for number in range(BATCH + 50))
    stopping = threading.Event()
    drain = Drain(engine, stage.settings, stopping=stopping)
    with _once_before(engine, 'insert into "provider_customers"', lambda *_: stopping.set()):
        report: DrainReport = drain.run()
    assert report.processed_count == BATCH
    assert stage.ask("select count(*) from inbox where state = 'received' and claimed_by is null") == [(50,)]


def test_replaying_everything_books_nothing(engine: Engine) -> None:
    """Replay of processed events is harmless: not one ledger entry more (F73)."""
    stage = one_partner(engine)
    stage.play([customer(1), *(payment(number, 1) for number in range(5)),
                stripe.subscription("sub_1", customer="cus_1", items=[item("prod_inbox")])])  # fmt: skip
    before = stage.books()
    stage.replay()
    assert stage.books() == before
    assert_sums_right(stage, 5)
