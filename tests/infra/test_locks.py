"""Advisory locks between real connections: who waits, who does something else first."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, text

from infra.database import make_engine
from infra.locks import lock_customers, own_program, share_program, try_chore
from tests.conftest import OF_THIS_DATABASE


@pytest.fixture
def engine(server_url: str) -> Iterator[Engine]:
    """Locks need no tables: the server's own database will do."""
    engine = make_engine(server_url, application_name="tests", statement_timeout_s=60)
    yield engine
    engine.dispose()


def test_a_customer_is_locked_by_one_transaction_at_a_time(engine: Engine) -> None:
    """The second gets the others at once, and the held one after the first has ended."""
    with engine.connect() as one, engine.connect() as two:
        assert lock_customers(one, ["a", "b"]) == {"a", "b"}
        assert lock_customers(two, ["b", "c"]) == {"c"}
        one.rollback()
        assert lock_customers(two, ["b"]) == {"b"}


def test_locking_again_what_is_ones_own_succeeds(engine: Engine) -> None:
    """A transaction may name its customers twice."""
    with engine.connect() as connection:
        assert lock_customers(connection, ["a"]) == {"a"}
        assert lock_customers(connection, ["a", "a"]) == {"a"}
        assert lock_customers(connection, []) == set()


def test_opposite_orders_never_wait_for_each_other(engine: Engine) -> None:
    """Two transactions that want the same customers in opposite orders both come back, without a deadlock."""
    names = [f"customer-{number}" for number in range(100)]
    meet = threading.Barrier(2)

    def take(wanted: list[str]) -> int:
        with engine.connect() as connection:
            meet.wait(10)
            got = len(lock_customers(connection, wanted))
            meet.wait(10)
            return got

    with ThreadPoolExecutor(2) as pool:
        got = list(pool.map(take, [names, names[::-1]]))
    assert sum(got) == 100


def test_any_text_is_a_name(engine: Engine) -> None:
    """Names are hashed: their length and their characters do not matter."""
    names = {"", "ü" * 10_000, "'; drop table inbox; --", "a\x00b"}
    with engine.connect() as connection:
        assert lock_customers(connection, names) == names


def test_many_judge_by_the_program_at_once(engine: Engine) -> None:
    """Sharing never waits for sharing."""
    with engine.connect() as one, engine.connect() as two:
        share_program(one)
        two.execute(text("set local lock_timeout = '100ms'"))
        share_program(two)
        shared = "select count(*) from pg_locks where locktype = 'advisory' and mode = 'ShareLock'" + OF_THIS_DATABASE
        held = two.scalar(text(shared))
        assert held == 2


@pytest.mark.parametrize("owner_first", [True, False])
def test_a_change_of_the_program_and_judging_by_it_exclude_each_other(engine: Engine, owner_first: bool) -> None:
    """Whoever comes second waits until the first has committed."""
    first, second = (own_program, share_program) if owner_first else (share_program, own_program)
    ended = threading.Event()

    def follow() -> bool:
        with engine.connect() as connection:
            second(connection)
            return ended.is_set()

    with engine.connect() as connection, ThreadPoolExecutor(1) as pool:
        first(connection)
        waiting = pool.submit(follow)
        connection.execute(text("select pg_sleep(0.2)"))
        assert not waiting.done()
        ended.set()
        connection.rollback()
        assert waiting.result(10)


def test_a_chore_is_done_by_one(engine: Engine) -> None:
    """The second is told at once; chores of other numbers and customers' locks are no hindrance."""
    with engine.connect() as one, engine.connect() as two:
        assert try_chore(one, 1)
        assert not try_chore(two, 1)
        assert try_chore(two, 2)
        own_program(two)
        one.rollback()
        assert try_chore(two, 1)
