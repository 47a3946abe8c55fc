"""Several drains at once: each effect happens once, and nobody waits who need not, on a real database."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.exc import OperationalError

from infra.ledger.held import lock_name
from infra.locks import lock_customers
from tests.worker.one_partner import assert_sums_right, customer, drain_until_idle, one_partner, payment, states
from worker.drain import BATCH, PUT_OFF_S
from worker.hands import Hands


def _in_threads(count: int, work: Callable[[int], Any]) -> list[Any]:
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(work, range(count)))


def _eventually(condition: Callable[[], bool]) -> None:
    until_s = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until_s
        time.sleep(0.05)


def test_four_drains_on_one_hot_customer_do_everything_once(engine: Engine) -> None:
    """500 payments of one customer: judged one batch at a time, no event fails, the ledger's sums are right (F37)."""
    stage = one_partner(engine)
    stage.store([customer(1), *(payment(number, 1) for number in range(500))])
    _in_threads(4, lambda _: drain_until_idle(stage))
    assert states(stage) == {"processed": 504}
    assert_sums_right(stage, 500)
    assert stage.ask("select max(attempts) from inbox") == [(1,)]


def test_four_drains_on_many_customers_do_everything_once(engine: Engine) -> None:
    """500 events of 100 customers, in no order, over four drains: each effect exactly once."""
    stage = one_partner(engine)
    stage.store([payment(number, number % 100) for number in range(400)] + [customer(number) for number in range(100)])
    _in_threads(4, lambda _: drain_until_idle(stage))
    assert states(stage) == {"processed": 503}
    assert_sums_right(stage, 400)


def test_a_held_customer_delays_no_other(engine: Engine) -> None:
    """While one customer is worked on elsewhere, others' events are done, and its own wait, uncounted (F44)."""
    stage = one_partner(engine)
    stage.play([customer(1), customer(2)])
    stage.store([payment(1, 1), payment(2, 2)])
    with engine.connect() as holder:
        assert lock_customers(holder, [lock_name("stripe", "cus_1")])
        stage.drainer.run(slice_s=0.2)
        assert stage.ask("select event_key, state, attempts from inbox where event_key like 'evt_i%' order by 1") == [
            ("evt_i1", "received", 0),
            ("evt_i2", "processed", 1),
        ]
    time.sleep(0.1)
    stage.drainer.run()
    assert_sums_right(stage, 2)


def test_what_is_busy_is_done_as_soon_as_it_is_free(engine: Engine) -> None:
    """What is about a busy customer stays claimed while the rest is done, and is done in the same run."""
    stage = one_partner(engine)
    stage.play([customer(1), customer(2)])
    stage.store([payment(1, 1), payment(2, 2)])
    with engine.connect() as holder, ThreadPoolExecutor(1) as pool:
        assert lock_customers(holder, [lock_name("stripe", "cus_1")])
        running = pool.submit(stage.drainer.run)
        _eventually(lambda: states(stage)["processed"] == 6)
        assert not running.done()
        assert stage.ask("select attempts, claimed_by is not null from inbox where event_key = 'evt_i1'") == [(1, True)]
        holder.rollback()
        assert running.result().processed_count == 2
    assert_sums_right(stage, 2)


def test_what_stays_busy_is_given_back(engine: Engine) -> None:
    """A claim is not kept for long: whoever has time later takes it, with the attempt not counted."""
    stage = one_partner(engine)
    stage.play([customer(1)])
    stage.store([payment(1, 1)])
    with engine.connect() as holder:
        assert lock_customers(holder, [lock_name("stripe", "cus_1")])
        began_s = time.monotonic()
        assert stage.drainer.run().processed_count == 0
        assert PUT_OFF_S < time.monotonic() - began_s < PUT_OFF_S + 10
    assert stage.ask("select state, attempts, claimed_by from inbox where event_key = 'evt_i1'") == [
        ("received", 0, None)
    ]


# Two hands of one process.


def test_two_hands_share_a_backlog(engine: Engine) -> None:
    """In a backlog both take batches, and what they come to is one report; each effect happens once."""
    stage = one_partner(engine)
    stage.play([customer(number) for number in range(4 * BATCH)])
    stage.store(payment(number, number) for number in range(4 * BATCH))
    took = _backends_that_mark(engine)
    report = Hands(engine, stage.settings).run()
    assert (report.processed_count, report.failed_count) == (4 * BATCH, 0)
    assert len(took) == 2
    assert_sums_right(stage, 4 * BATCH)


def test_the_second_hand_rests_unless_a_batch_is_full(engine: Engine) -> None:
    """What one batch holds, one connection does: a quiet program is no busier than with one drain."""
    stage = one_partner(engine)
    stage.store(customer(number) for number in range(BATCH - 10))
    took = _backends_that_mark(engine)
    hands = Hands(engine, stage.settings)
    assert hands.run().processed_count == BATCH - 10 + 3
    assert len(took) == 1
    assert hands.busy_since_s is None


def test_the_second_hand_gives_way_where_the_first_has_the_customers(engine: Engine) -> None:
    """On a backlog of few customers one works, and the other does not keep trying: few events are claimed twice."""
    stage = one_partner(engine)
    stage.play([customer(1)])
    stage.store(payment(number, 1) for number in range(4 * BATCH))
    claims: list[int] = []
    event.listen(
        engine,
        "after_cursor_execute",
        lambda connection, cursor, statement, *_: (
            claims.append(cursor.rowcount) if "with due as" in statement else None
        ),
    )
    assert Hands(engine, stage.settings).run(slice_s=60).processed_count == 4 * BATCH
    assert 4 * BATCH <= sum(claims) <= 6 * BATCH
    assert_sums_right(stage, 4 * BATCH)


def test_trouble_of_the_second_hand_is_trouble_of_both(engine: Engine) -> None:
    """Its database gone, the caller hears of it, after the first has finished; the next run does the rest."""
    stage = one_partner(engine)
    stage.play([])
    stage.store(customer(number) for number in range(2 * BATCH))
    hands = Hands(engine, stage.settings)

    cut: list[int] = []

    def cut_second(connection: Connection, cursor: Any, *_: object) -> None:
        if threading.current_thread().name == "second-drain" and not cut:
            cut.append(cursor.connection.info.backend_pid)
            with engine.connect() as other:
                other.execute(text("select pg_terminate_backend(:pid)"), {"pid": cut[0]})

    event.listen(engine, "before_cursor_execute", cut_second)
    with pytest.raises(OperationalError):
        hands.run()
    event.remove(engine, "before_cursor_execute", cut_second)
    engine.dispose()
    drain_until_idle(stage)
    assert states(stage) == {"processed": 2 * BATCH + 3}


def test_hands_that_are_told_to_stop_both_stop(engine: Engine) -> None:
    """Neither begins another batch; what is left is due, with nothing claimed."""
    stage = one_partner(engine)
    stage.play([])
    stage.store(customer(number) for number in range(6 * BATCH))
    stopping = threading.Event()
    hands = Hands(engine, stage.settings, stopping=stopping)
    event.listen(engine, "commit", lambda connection: stopping.set() if hands.busy_since_s else None)
    report = hands.run()
    assert 0 < report.processed_count <= 2 * BATCH
    assert stage.ask("select count(*) from inbox where state = 'received' and claimed_by is null") == [
        (6 * BATCH - report.processed_count,)
    ]


def _backends_that_mark(engine: Engine) -> set[int]:
    """Filled with the backends that mark anything from now on."""
    found: set[int] = set()

    def look(connection: Connection, cursor: Any, statement: str, *_: object) -> None:
        if statement.lstrip().startswith("update inbox set state"):
            found.add(cursor.connection.info.backend_pid)

    event.listen(engine, "before_cursor_execute", look)
    return found
