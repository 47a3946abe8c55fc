"""Which failures are worth another attempt, when it comes, and that there is an end to it."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError

from infra.database import make_engine
from infra.retries import (
    ATTEMPTS_MAX,
    connection_was_lost,
    is_transient,
    next_attempt,
    retry_transient_database,
    sqlstate_of,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def wait_s(attempts: int, jitter: float = 0.5) -> float | None:
    due = next_attempt(attempts, NOW, jitter)
    return None if due is None else (due - NOW).total_seconds()


def test_waits_grow_to_about_a_day_and_end() -> None:
    """The nominal waits are 2 s, 8 s, 30 s, 2 min, 10 min, 30 min and so on; after the last attempt there is none."""
    waits = [wait_s(attempts) for attempts in range(1, ATTEMPTS_MAX)]
    assert waits[:6] == [2, 8, 30, 120, 600, 1800]
    assert timedelta(hours=20) < timedelta(seconds=sum(filter(None, waits))) < timedelta(hours=28)
    assert wait_s(ATTEMPTS_MAX) is None
    assert wait_s(ATTEMPTS_MAX + 1) is None


@given(st.integers(1, ATTEMPTS_MAX - 1), st.floats(0, 1, exclude_max=True))
def test_jitter_spreads_a_wait_by_a_quarter_either_way(attempts: int, jitter: float) -> None:
    """Whatever the draw, a wait stays within a quarter of its nominal length and is never in the past."""
    nominal, drawn = wait_s(attempts), wait_s(attempts, jitter)
    assert nominal is not None
    assert drawn is not None
    assert 0.749 * nominal <= drawn <= 1.251 * nominal


def test_a_row_that_never_failed_has_no_next_attempt() -> None:
    """Asking with zero failures is a mistake of the caller and says so."""
    with pytest.raises(ValueError, match="from 1; got 0"):
        next_attempt(0, NOW, 0.5)


@pytest.mark.parametrize("code", ["40001", "40P01", "25006", "57P01", "08006", "53300"])
def test_contention_and_loss_are_transient(engine: Engine, code: str) -> None:
    """Deadlock, serialization failure, a read-only server and a server going away deserve another attempt."""
    with engine.connect() as connection, pytest.raises(DBAPIError) as caught:
        connection.execute(text(f"do $$ begin raise exception 'no' using errcode = '{code}'; end $$"))
    assert sqlstate_of(caught.value) == code
    assert is_transient(caught.value)


def test_mistakes_and_timeouts_are_not_transient(engine: Engine) -> None:
    """A wrong statement, a broken constraint and a statement's own timeout would only fail again."""
    with engine.connect() as connection:
        with pytest.raises(ProgrammingError) as wrong:
            connection.execute(text("select nothing_of_the_kind"))
        connection.rollback()
        connection.execute(text("set local statement_timeout = 10"))
        with pytest.raises(OperationalError) as slow:
            connection.execute(text("select pg_sleep(5)"))
    assert not is_transient(wrong.value)
    assert sqlstate_of(slow.value) == "57014"
    assert not is_transient(slow.value)
    assert not is_transient(RuntimeError("unrelated"))


def test_a_server_that_is_not_there_is_transient() -> None:
    """A refused connection has no code of PostgreSQL's and still deserves another attempt."""
    engine = make_engine("postgresql+psycopg://nobody@127.0.0.1:1/none", application_name="tests")
    with pytest.raises(OperationalError) as caught:
        engine.connect()
    assert sqlstate_of(caught.value) is None
    assert connection_was_lost(caught.value)


def test_a_killed_connection_is_replaced(engine: Engine) -> None:
    """Work whose connection is cut runs again on a new one and succeeds."""
    attempts = []

    def work() -> int:
        with engine.connect() as connection:
            attempts.append(connection.scalar(text("select pg_backend_pid()")))
            if len(attempts) == 1:
                connection.execute(text("select pg_terminate_backend(pg_backend_pid())"))
            return len(attempts)

    assert retry_transient_database(work, engine=engine, sleep=lambda seconds: None) == 2
    assert len(set(attempts)) == 2


def test_retrying_ends_with_the_last_error() -> None:
    """After the last attempt the error itself is raised, and the waits in between grew."""
    waits: list[float] = []
    calls: list[int] = []

    def work() -> None:
        calls.append(1)
        raise psycopg.errors.DeadlockDetected("again")

    with pytest.raises(psycopg.errors.DeadlockDetected):
        retry_transient_database(work, attempts_max=4, sleep=waits.append)
    assert len(calls) == 4
    assert waits == sorted(waits)
    assert 0 < waits[0] < waits[-1] < 1.5


def test_other_errors_are_raised_at_once() -> None:
    """What no retry can help is not tried again."""
    calls: list[int] = []

    def work() -> None:
        calls.append(1)
        raise psycopg.errors.UniqueViolation("exists")

    with pytest.raises(psycopg.errors.UniqueViolation):
        retry_transient_database(work)
    assert calls == [1]
