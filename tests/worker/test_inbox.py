"""Claims on the inbox, with real connections that race, stall and vanish."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, Engine, text

from domain.errors import CannotProcess
from infra.database import make_engine
from infra.inbox import (
    CLAIMS_LOST_MAX,
    LEASE,
    SUSPECTS_AGAIN_MAX,
    SUSPECTS_MAX,
    ClaimLost,
    Envelope,
    InboxState,
    Mark,
    claim,
    claim_suspects,
    counts,
    due_count,
    give_back,
    mark,
    release_orphans,
)
from infra.providers.stripe import example_events as stripe
from infra.unit_of_work import unit_of_work
from tests.conftest import new_database
from tests.stage import Stage

LATER = datetime(2999, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def shared_engine(server_url: str, template_database: str) -> Iterator[Engine]:
    """One database for all tests here; a fresh one each would take longer than they do."""
    with new_database(server_url, template_database) as url:
        engine = make_engine(url, application_name="tests", pool_size=10, statement_timeout_s=60)
        yield engine
        engine.dispose()


@pytest.fixture
def engine(shared_engine: Engine) -> Engine:
    """With an empty inbox."""
    with shared_engine.begin() as connection:
        connection.execute(text("delete from inbox; delete from customers"))
    return shared_engine


def _stored(engine: Engine, count: int) -> Stage:
    stage = Stage(engine)
    stage.store(stripe.customer(f"cus_{number}", event_key=f"evt_{number}") for number in range(count))
    return stage


def _age(stage: Stage, by: timedelta = LEASE + timedelta(seconds=1)) -> None:
    """Let time pass for every lease."""
    with stage.engine.begin() as connection:
        connection.execute(text("update inbox set next_attempt_at = next_attempt_at - :by"), {"by": by})


@contextmanager
def _gone_afterwards(engine: Engine) -> Iterator[Connection]:
    """A connection of its own whose backend has ended when the block is left."""
    with engine.connect() as connection:
        pid = connection.scalar(text("select pg_backend_pid()"))
        connection.rollback()
        yield connection
        connection.invalidate()
    with engine.connect() as other:
        for _ in range(500):
            if not other.scalar(text("select count(*) from pg_stat_activity where pid = :pid"), {"pid": pid}):
                return
            other.rollback()
            other.scalar(text("select pg_sleep(0.01)"))
    pytest.fail("the backend did not end")


def _claim(connection: Connection, count: int = 200) -> list[Envelope]:
    with unit_of_work(connection):
        return claim(connection, count)


def _suspect(connection: Connection) -> list[Envelope]:
    with unit_of_work(connection):
        return claim_suspects(connection)


def _done(envelope: Envelope) -> Mark:
    return Mark(envelope.id, envelope.attempts, InboxState.PROCESSED)


def _book_and_mark(connection: Connection, envelopes: list[Envelope]) -> None:
    """An effect and the marks, together."""
    with unit_of_work(connection):
        connection.execute(text("insert into customers (key, customer_key) values ('cust_x', 'x')"))
        mark(connection, [_done(envelope) for envelope in envelopes])


def test_two_claims_at_the_same_time_never_share_a_row(engine: Engine) -> None:
    """While one claim is not committed yet, another passes over its rows without waiting."""
    _stored(engine, 5)
    with engine.connect() as one, engine.connect() as two, unit_of_work(one):
        first = claim(one, 3)
        second = _claim(two)
        assert len(first) == 3
        assert len(second) == 2
        assert not {envelope.id for envelope in first} & {envelope.id for envelope in second}


def test_an_attempt_counts_before_the_work_begins(engine: Engine) -> None:
    """A claim that was committed has counted, whatever becomes of its worker."""
    stage = _stored(engine, 1)
    with engine.connect() as connection:
        (envelope,) = _claim(connection)
    assert envelope.attempts == 1
    assert stage.ask("select attempts, state from inbox") == [(1, "received")]


def test_a_claim_that_was_not_committed_never_happened(engine: Engine) -> None:
    """Rolled back, the row is due and its attempt not counted."""
    stage = _stored(engine, 1)
    with engine.connect() as connection:
        claim(connection, 10)
        connection.rollback()
        assert stage.ask("select attempts, claimed_by from inbox") == [(0, None)]
        assert len(_claim(connection)) == 1


def test_the_oldest_due_come_first(engine: Engine) -> None:
    """A limited claim takes what has been due longest."""
    stage = _stored(engine, 3)
    with engine.begin() as connection:
        connection.execute(
            text("update inbox set next_attempt_at = now() - interval '1 hour' where event_key = 'evt_2'")
        )
    with stage.engine.connect() as connection:
        assert [envelope.event_key for envelope in _claim(connection, 1)] == ["evt_2"]


def test_a_leased_row_is_nobody_elses_until_the_lease_runs_out(engine: Engine) -> None:
    """Neither as due nor as suspect before, as suspect after."""
    stage = _stored(engine, 1)
    with engine.connect() as one, engine.connect() as two:
        _claim(one)
        assert (_claim(two), _suspect(two)) == ([], [])
        _age(stage)
        assert _claim(two) == []
        assert [envelope.attempts for envelope in _suspect(two)] == [2]


def test_a_stalled_worker_cannot_mark_what_was_taken_over(engine: Engine) -> None:
    """Its mark raises, with everything that it did in the same transaction undone; the new owner's holds (F40)."""
    stage = _stored(engine, 2)
    with engine.connect() as stalled, engine.connect() as other:
        taken = _claim(stalled)
        _age(stage)
        suspect, _ = _suspect(other)
        with pytest.raises(ClaimLost):
            _book_and_mark(stalled, taken)
        with unit_of_work(other):
            mark(other, [_done(suspect)])
    assert stage.ask("select count(*) from customers") == [(0,)]
    assert stage.ask("select state, count(*) from inbox group by 1 order by 1") == [("processed", 1), ("received", 1)]


def test_a_claim_of_one_worker_is_not_marked_by_another(engine: Engine) -> None:
    """Attempts alone would let a worker mark a row that was given back and claimed by somebody else."""
    _stored(engine, 1)
    with engine.connect() as one, engine.connect() as two:
        (mine,) = _claim(one)
        with unit_of_work(one):
            give_back(one, [mine], timedelta(0))
        (theirs,) = _claim(two)
        assert theirs.attempts == mine.attempts
        with pytest.raises(ClaimLost):
            _book_and_mark(one, [mine])


def test_giving_back_counts_no_attempt_and_keeps_the_wait(engine: Engine) -> None:
    """What was not begun is due again after the delay, as if it had never been claimed."""
    stage = _stored(engine, 2)
    with engine.connect() as connection:
        first, second = _claim(connection)
        with unit_of_work(connection):
            give_back(connection, [first], timedelta(hours=1))
            give_back(connection, [second], timedelta(0))
        assert stage.ask("select attempts, claimed_by from inbox") == [(0, None), (0, None)]
        assert [envelope.id for envelope in _claim(connection)] == [second.id]


def test_claims_of_a_connection_that_is_gone_are_due_at_once(engine: Engine) -> None:
    """Nobody waits for the lease of a dead worker; what a living one holds stays."""
    _stored(engine, 4)
    with engine.connect() as living:
        _claim(living, 2)
        with _gone_afterwards(engine) as dying:
            _claim(dying, 2)
        with unit_of_work(living):
            assert release_orphans(living) == 2
        with unit_of_work(living):
            assert release_orphans(living) == 0
        assert len(_suspect(living)) == 2
        assert _suspect(living) == []


def test_a_backend_younger_than_a_claim_did_not_make_it(engine: Engine) -> None:
    """After a restart of the server another connection may have the claim's process id: still an orphan."""
    stage = _stored(engine, 1)
    with engine.connect() as connection:
        _claim(connection)
        _age(stage, timedelta(hours=1))
        with engine.begin() as other:  # the lease of a claim made before this connection began
            other.execute(
                text("""
                    update inbox set next_attempt_at = (
                        select backend_start from pg_stat_activity where pid = claimed_by) + :lease - interval '1 ms'
                """),
                {"lease": LEASE},
            )
        with unit_of_work(connection):
            assert release_orphans(connection) == 1


def test_suspects_come_in_ever_smaller_company(engine: Engine) -> None:
    """All that a lost worker had, then some, then few, then each alone; the least suspicious first."""
    stage = _stored(engine, 60)
    sizes = []
    with engine.connect() as connection:
        _claim(connection)
        for _ in range(3):
            _age(stage)
            taken = _suspect(connection)
            sizes.append(len(taken))
            with unit_of_work(connection):  # those that stay behind are none of this
                mark(connection, [_done(envelope) for envelope in taken[:-10]])
                connection.execute(
                    text("delete from inbox where not id = any(:ids)"), {"ids": [envelope.id for envelope in taken]}
                )
    assert sizes == [SUSPECTS_MAX, SUSPECTS_AGAIN_MAX, 1]


def test_two_claims_of_suspects_at_the_same_time_never_share_a_row(engine: Engine) -> None:
    """Suspects, too, are passed over while somebody takes them."""
    stage = _stored(engine, 40)
    with engine.connect() as lost, engine.connect() as one, engine.connect() as two:
        _claim(lost)
        _age(stage)
        with unit_of_work(one):
            first = claim_suspects(one)
            second = _suspect(two)
    assert len(first) == SUSPECTS_MAX
    assert len(second) == 40 - SUSPECTS_MAX
    assert not {envelope.id for envelope in first} & {envelope.id for envelope in second}


def test_what_kills_its_workers_is_dead_after_some(engine: Engine) -> None:
    """After `CLAIMS_LOST_MAX` lost workers in a row the event is dead, with a reason and a group."""
    stage = _stored(engine, 1)
    for number in range(CLAIMS_LOST_MAX):
        with _gone_afterwards(engine) as dying:
            taken = _suspect(dying) if number else _claim(dying)
            assert [envelope.attempts for envelope in taken] == [number + 1]
        with engine.begin() as connection:
            assert release_orphans(connection) == 1
    with engine.connect() as connection:
        assert _suspect(connection) == []
    assert stage.ask("select state, attempts, reason, fingerprint, next_attempt_at, claimed_by from inbox") == [
        (
            "dead",
            CLAIMS_LOST_MAX,
            f"its worker died or hung with it {CLAIMS_LOST_MAX} times",
            "stripe customer.created WorkerLost",
            None,
            None,
        )
    ]


def test_attempts_that_ended_in_a_mark_are_no_lost_workers(engine: Engine) -> None:
    """One lost worker does not bury an event that had been postponed often before."""
    stage = _stored(engine, 1)
    with engine.begin() as connection:
        connection.execute(text("update inbox set attempts = 9"))
    with engine.connect() as connection:
        _claim(connection)
        _age(stage)
        (suspect,) = _suspect(connection)
        assert suspect.attempts == 11


def test_a_mark_ends_the_count_of_lost_workers(engine: Engine) -> None:
    """A postponed event that lost workers before begins again at none."""
    stage = _stored(engine, 1)
    with engine.connect() as connection:
        _claim(connection)
        _age(stage)
        (suspect,) = _suspect(connection)
        assert stage.ask("select jsonb_array_length(outcome -> 'claims_lost') from inbox") == [(1,)]
        with unit_of_work(connection):
            mark(connection, [Mark(suspect.id, suspect.attempts, InboxState.RECEIVED, LATER, "later")])
    assert stage.ask("select outcome, claimed_by from inbox") == [(None, None)]


def test_waiting_is_no_failure(engine: Engine) -> None:
    """However often an event was looked at in vain, its later failures get their full number of attempts."""
    stage = _stored(engine, 1)
    with engine.connect() as connection:
        (envelope,) = _claim(connection)
        with unit_of_work(connection):
            mark(connection, [Mark(envelope.id, envelope.attempts, InboxState.WAITING, LATER, "lines")])
    assert stage.ask("select state, attempts, reason from inbox") == [("waiting", 0, "lines")]


def test_an_erased_body_is_dead_at_once(engine: Engine) -> None:
    """No retry brings a body back."""
    stage = _stored(engine, 1)
    with engine.begin() as connection:
        connection.execute(text("update inbox set body = null"))
    with engine.connect() as connection:
        (envelope,) = _claim(connection)
        with pytest.raises(CannotProcess, match="erased"):
            envelope.body()
        connection.rollback()
        with unit_of_work(connection):
            give_back(connection, [envelope], timedelta(0))
    stage.drainer.sweep()
    assert stage.ask("select state, reason from inbox") == [("dead", "its body was erased")]


def test_idle_means_nothing_due_and_nothing_held(engine: Engine) -> None:
    """A claimed row is not idle, a waiting or a finished one is."""
    stage = _stored(engine, 3)
    with engine.connect() as connection:
        assert due_count(connection) == 3
        connection.rollback()
        one, two, three = _claim(connection)
        assert due_count(connection) == 3
        connection.rollback()
        with unit_of_work(connection):
            mark(
                connection,
                [
                    _done(one),
                    Mark(two.id, 1, InboxState.DEAD, reason="no"),
                    Mark(three.id, 1, InboxState.WAITING, LATER),
                ],
            )
        assert due_count(connection) == 0
        found = counts(connection)
    assert {state: found[state] for state in ("received", "waiting", "processed", "dead")} == {
        "received": 0,
        "waiting": 1,
        "processed": 1,
        "dead": 1,
    }
    assert found["oldest_due_s"] == 0
    assert stage.ask("select count(*) from inbox where finished_at is not null") == [(2,)]
