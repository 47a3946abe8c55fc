"""A pool process's desk: slices, stopping, a database out of reach, and processes that die or stall at their worst."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
import structlog
from sqlalchemy import Engine, text

from infra.clock import system_clock
from infra.crashpoint import KILLED_EXIT_CODE
from infra.erasure import request_erasure
from infra.locks import own_program, try_chore
from infra.providers.stripe import example_events as stripe
from infra.providers.stripe.example_events import line
from infra.settings import load_settings
from infra.unit_of_work import unit_of_work_on
from tests.conftest import OF_THIS_DATABASE, REPOSITORY
from tests.stage import LONG_AGO, Stage
from worker.desk import Desk, DeskTimes

_DESK = """
    import signal
    from infra.settings import load_settings
    from worker.desk import Desk, DeskTimes
    Desk(load_settings(), DeskTimes(sweep_every_s=0.1, hangs_after_s=1.0)).open()
    signal.pause()
"""


@pytest.fixture
def stage(engine: Engine) -> Stage:
    """Ten payments of five attributed customers are due, each worth a commission of 1.00."""
    stage = Stage(engine)
    stage.product("Inbox", "prod_inbox")
    stage.partner("ada")
    stage.trigger("ten", "10")
    stage.play([stripe.customer(f"cus_{n}", event_key=f"evt_c{n}", partner_key="ada", at=LONG_AGO) for n in range(5)])
    stage.store(
        stripe.invoice_paid(f"in_{n}", event_key=f"evt_{n}", customer=f"cus_{n % 5}", lines=[line("prod_inbox", 1000)])
        for n in range(10)
    )
    return stage


def _url(stage: Stage) -> str:
    return stage.engine.url.render_as_string(hide_password=False)


@contextmanager
def _desk(url: str, **times: float) -> Iterator[Desk]:
    desk = Desk(load_settings({"DATABASE_URL": url}, env_file=None), DeskTimes(**times))
    yield desk
    desk.close()


@contextmanager
def _process(stage: Stage, **environment: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A desk in a process of its own, which is gone afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(_DESK)],
        env={"PATH": os.defpath, "PYTHONPATH": str(REPOSITORY), "DATABASE_URL": _url(stage), **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _eventually(condition: Callable[[], object], timeout_s: float = 20.0) -> bool:
    until_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > until_s:
            return False
        time.sleep(0.05)
    return True


def _open_count(stage: Stage) -> int:
    return int(stage.ask("select count(*) from inbox where next_attempt_at is not null")[0][0])


def _assert_done_once(stage: Stage) -> None:
    assert _open_count(stage) == 0
    assert stage.ask("select count(*), sum(amount_minor) from commission_entries") == [(10, 1000)]
    assert stage.ask("select count(*) from inbox where state <> 'processed'") == [(0,)]


def _settle(stage: Stage) -> None:
    """What another worker does meanwhile."""

    def swept() -> bool:
        stage.drainer.sweep()
        return _open_count(stage) == 0

    assert _eventually(swept)


# Draining and stopping.


def test_a_ring_does_what_is_due(stage: Stage) -> None:
    """One ring, and everything is done."""
    with _desk(_url(stage)) as desk:
        desk.drain()
    assert _open_count(stage) == 0
    _assert_done_once(stage)


def test_a_second_ring_does_not_wait_for_the_first(stage: Stage) -> None:
    """While a drain is at it, another ring comes back at once; closing waits for the batch at hand."""
    with _desk(_url(stage)) as desk, ThreadPoolExecutor(2) as pool:
        with stage.engine.connect() as holder:
            own_program(holder)
            first = pool.submit(desk.drain)
            assert _eventually(lambda: stage.ask("select count(*) from inbox where claimed_by is not null") == [(10,)])
            pool.submit(desk.drain).result(2)
            assert not first.done()
            closing = pool.submit(desk.close)
            assert not first.done()
        closing.result(10)
        assert first.done()
    _assert_done_once(stage)


def test_a_closed_desk_begins_nothing(stage: Stage) -> None:
    """After closing, a ring claims no row."""
    with _desk(_url(stage)) as desk:
        desk.close()
        desk.drain()
    assert stage.ask("select count(*) from inbox where attempts > 0 and event_type = 'invoice.paid'") == [(0,)]


def test_a_database_out_of_reach_is_complained_of_once() -> None:
    """Ten rings without a database raise nothing and log one line, without the address."""
    with structlog.testing.capture_logs() as logs, _desk("postgresql+psycopg://user:hush@127.0.0.1:1/none") as desk:
        for _ in range(10):
            desk.drain()
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [("database.unreachable", "warning")]
    assert "hush" not in str(logs)


def test_the_inbox_is_watched_by_one_at_a_time(stage: Stage) -> None:
    """Of those asked at the same time one says how the inbox stands, louder when something is late or dead."""
    with _desk(_url(stage)) as desk:
        with stage.engine.connect() as other, structlog.testing.capture_logs() as logs:
            assert try_chore(other, 1)
            desk.watch()
        assert logs == []
        assert _watched(desk) == ("info", 10, 0, False)
        with stage.engine.begin() as connection:
            connection.execute(
                text("update inbox set next_attempt_at = now() - interval '2 min' where state = 'received'")
            )
        assert _watched(desk) == ("warning", 10, 0, True)


def _watched(desk: Desk) -> tuple[Any, ...]:
    with structlog.testing.capture_logs() as logs:
        desk.watch()
    (entry,) = logs
    return tuple(entry[key] for key in ("log_level", "received", "dead", "late"))


def test_a_transaction_that_is_left_open_is_complained_of(stage: Stage) -> None:
    """What keeps vacuum away for long is named, with whose it is; once it has ended nothing is said of it (F48)."""
    with _desk(_url(stage), held_after_s=0.3) as desk, stage.engine.connect() as forgotten:
        forgotten.execute(text("set application_name = 'somebody'; set transaction isolation level repeatable read"))
        forgotten.execute(text("select count(*) from inbox"))
        time.sleep(0.4)
        with structlog.testing.capture_logs() as logs:
            desk.watch()
        (held,) = [entry for entry in logs if entry["event"] == "database.held"]
        assert held["log_level"] == "warning"
        assert held["by"].startswith("somebody, process ")
        forgotten.rollback()
        with structlog.testing.capture_logs() as logs:
            desk.watch()
        assert [entry["event"] for entry in logs] == ["inbox.watched"]


def test_the_books_are_checked_by_one_at_a_time(stage: Stage) -> None:
    """A ring checks everything and says so in one line; a breach is an error that names it; asked again, it waits."""
    with _desk(_url(stage)) as desk:
        desk.drain()
        with stage.engine.connect() as other, structlog.testing.capture_logs() as logs:
            assert try_chore(other, 3)
            desk.check()
        assert logs == []
        assert _checked(desk) == [("info", "books.checked", 10, 0)]
        assert _checked(desk) == []
        stage.tamper("update commissions set amount_minor = 101 where transaction_key = 'stripe:in_3'")
        stage.tamper("update checks set started_at = started_at - interval '2 hours'")
        broken, checked = _checked(desk)
    assert broken[:2] == ("error", "invariant.broken")
    assert checked == ("error", "books.checked", 10, 1)


def test_whom_somebody_asked_to_erase_is_erased(stage: Stage) -> None:
    """A ring does all that was asked for, and says so by key; with nothing asked for it does nothing."""
    with _desk(_url(stage)) as desk:
        desk.drain()
        ((customer,),) = stage.ask("select key from customers order by key limit 1")
        with unit_of_work_on(stage.engine) as connection:
            request_erasure(connection, customer, "person:grace@example.com", system_clock())
        with structlog.testing.capture_logs() as logs:
            desk.erase()
            desk.erase()
        assert [(each["event"], each["customer"]) for each in logs] == [("customer.erased", customer)]
    assert stage.ask("select customer, outcome is not null from erasures") == [(customer, True)]


def _checked(desk: Desk) -> list[tuple[Any, ...]]:
    with structlog.testing.capture_logs() as logs:
        desk.check()
    return [tuple(each.get(key) for key in ("log_level", "event", "transactions", "breaches")) for each in logs]


# Processes that die or stall.


@pytest.mark.parametrize("place", ["after_claim", "after_effect_before_done"])
def test_a_process_killed_at_its_worst_costs_nothing(stage: Stage, place: str) -> None:
    """Killed after the claim, or with all effects written and none committed: each event is done once (F39)."""
    with _process(stage, CRASHPOINT=place) as process:
        assert process.wait(20) == KILLED_EXIT_CODE
    assert stage.ask("select count(*) from commission_entries") == [(0,)]
    assert stage.ask("select distinct attempts from inbox where event_type = 'invoice.paid'") == [(1,)]
    began_s = time.monotonic()
    _settle(stage)
    assert time.monotonic() - began_s < 5
    _assert_done_once(stage)


def test_a_stopped_process_does_not_hold_its_customers_for_ever(stage: Stage) -> None:
    """SIGSTOP amid a transaction: the server ends it, another does the work, and waking up changes nothing (F40)."""
    with _process(stage) as process:
        with stage.engine.connect() as holder:
            own_program(holder)  # so that it stops where it has claimed and holds nothing yet
            waiting = "select count(*) from pg_locks where locktype = 'advisory' and not granted" + OF_THIS_DATABASE
            assert _eventually(lambda: stage.ask(waiting) == [(1,)])
            process.send_signal(signal.SIGSTOP)
        # Its backend goes on without it, and is left in its transaction.
        _settle(stage)
        process.send_signal(signal.SIGCONT)
        # It finds its connection closed, or its watchdog finds it hung: either way it books nothing.
        time.sleep(1)
        _assert_done_once(stage)


def test_a_desk_sweeps_by_itself(stage: Stage) -> None:
    """Without a single ring everything gets done."""
    with _process(stage):
        assert _eventually(lambda: _open_count(stage) == 0)
    _assert_done_once(stage)
