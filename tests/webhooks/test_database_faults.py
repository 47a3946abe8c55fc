"""What the receiver does while its database is gone, hangs or only reads: 503 in time, and back again by itself."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import psycopg
import pytest
from sqlalchemy import make_url

from tests.webhooks.conftest import Query
from tests.webhooks.receiver_process import ReceiverProcess, event_body

RECOVERS_WITHIN_S = 10


@pytest.fixture
def admin(server_url: str) -> Iterator[psycopg.Connection]:
    """A connection to another database of the same server."""
    with psycopg.connect(server_url.replace("+psycopg", ""), autocommit=True) as connection:
        yield connection


@pytest.fixture
def name(database_url: str) -> str:
    """The name of this test's database."""
    return str(make_url(database_url).database)


def cut_sessions(admin: psycopg.Connection, name: str) -> None:
    """End the receiver's sessions, as a stopping server does."""
    ended = "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s and application_name like %s"
    admin.execute(ended, (name, "webhooks%"))


@contextmanager
def unreachable(admin: psycopg.Connection, name: str) -> Iterator[None]:
    """The database takes no connections, and has ended those there were."""
    admin.execute(f'alter database "{name}" allow_connections false')
    try:
        cut_sessions(admin, name)
        yield
    finally:
        admin.execute(f'alter database "{name}" allow_connections true')


@contextmanager
def hanging(admin: psycopg.Connection, name: str) -> Iterator[None]:
    """The receiver's sessions are stopped in the middle of whatever they do: the server neither answers nor closes."""
    query = "select pid from pg_stat_activity where datname = %s and application_name = 'webhooks'"
    pids = [int(pid) for (pid,) in admin.execute(query, (name,))]
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def deliver_until_accepted(receiver: ReceiverProcess, body: bytes) -> float:
    """Send again and again, as a provider does; gives the seconds until the 200."""
    began_s = time.monotonic()
    while receiver.deliver(body).status_code != 200:
        assert time.monotonic() - began_s < RECOVERS_WITHIN_S
        time.sleep(0.05)
    return time.monotonic() - began_s


def timed(receiver: ReceiverProcess, body: bytes) -> tuple[httpx.Response, float]:
    """One delivery, and the seconds it took."""
    began_s = time.monotonic()
    return receiver.deliver(body), time.monotonic() - began_s


def test_without_a_database_the_answer_is_503_at_once(
    own_receiver: ReceiverProcess, own_stored: Query, admin: psycopg.Connection, name: str
) -> None:
    """With the database gone nothing is acknowledged, 503 comes fast, memory stays; then it recovers by itself."""
    assert own_receiver.deliver(event_body("evt_before")).status_code == 200
    before_kb = own_receiver.resident_kb()
    with unreachable(admin, name), ThreadPoolExecutor(8) as threads:
        bodies = [event_body(f"evt_{number}") for number in range(300)]
        answers = list(threads.map(lambda body: timed(own_receiver, body), bodies))
        assert own_receiver.client.get("/readyz").status_code == 503
        assert own_receiver.client.get("/healthz").status_code == 200
    assert {answer.status_code for answer, _ in answers} == {503}
    assert all(answer.headers["retry-after"] for answer, _ in answers)
    assert max(took_s for _, took_s in answers) < 2
    assert own_receiver.resident_kb() - before_kb < 16 * 1024
    deliver_until_accepted(own_receiver, event_body("evt_after"))
    keys = {key for (key,) in own_stored("select event_key from inbox")}
    assert keys == {"evt_before", "evt_after"}


def test_a_restarted_database_costs_no_delivery(
    own_receiver: ReceiverProcess, admin: psycopg.Connection, name: str
) -> None:
    """Sessions that ended while nothing was sent are noticed and replaced before anybody is turned away."""
    assert own_receiver.deliver(event_body("evt_1")).status_code == 200
    cut_sessions(admin, name)
    time.sleep(0.2)
    assert [own_receiver.deliver(event_body(f"evt_{number}")).status_code for number in (2, 3, 4)] == [200] * 3


def test_a_hanging_database_is_given_up_after_five_seconds(
    own_receiver: ReceiverProcess, own_stored: Query, admin: psycopg.Connection, name: str
) -> None:
    """503 comes at the deadline, the event loop answers others at once, and the receiver recovers without help."""
    assert own_receiver.deliver(event_body("evt_0")).status_code == 200
    assert own_receiver.deliver(event_body("evt_0")).status_code == 200
    with hanging(admin, name), ThreadPoolExecutor(4) as threads:
        waiting = [threads.submit(timed, own_receiver, event_body(f"evt_{number}")) for number in range(1, 4)]
        slowest_s = 0.0
        while not all(each.done() for each in waiting):
            began_s = time.monotonic()
            assert own_receiver.client.get("/healthz").status_code == 200
            slowest_s = max(slowest_s, time.monotonic() - began_s)
            time.sleep(0.05)
        answers = [each.result() for each in waiting]
        deliver_until_accepted(own_receiver, event_body("evt_after"))
    assert {answer.status_code for answer, _ in answers} == {503}
    assert all(4.5 < took_s < 6 for _, took_s in answers)
    assert slowest_s < 0.5
    for number in range(1, 4):
        assert deliver_until_accepted(own_receiver, event_body(f"evt_{number}")) < 1
    assert own_stored("select count(*), count(distinct event_key) from inbox") == [(5, 5)]


def test_a_database_that_only_reads_gets_503_and_a_new_connection(
    own_receiver: ReceiverProcess, own_stored: Query, admin: psycopg.Connection, name: str
) -> None:
    """After a failover to a node that refuses writes nothing is acknowledged; once it takes them again, all is."""
    admin.execute(f'alter database "{name}" set default_transaction_read_only = on')
    cut_sessions(admin, name)
    answers = [own_receiver.deliver(event_body("evt_1")).status_code for _ in range(5)]
    assert answers == [503] * 5
    admin.execute(f'alter database "{name}" reset default_transaction_read_only')
    deliver_until_accepted(own_receiver, event_body("evt_1"))
    assert own_stored("select count(*) from inbox") == [(1,)]


def test_an_unmigrated_database_is_not_ready_and_takes_nothing(
    own_receiver: ReceiverProcess, own_stored: Query
) -> None:
    """With migrations missing `/readyz` says so, and deliveries get 503."""
    own_stored("alter table inbox rename to elsewhere")
    own_stored("delete from alembic_version")
    assert own_receiver.deliver(event_body("evt_1")).status_code == 503
    time.sleep(1.1)
    answer = own_receiver.client.get("/readyz")
    assert (answer.status_code, answer.text) == (503, "migrations not current\n")


def test_a_server_without_a_free_connection_gets_503_and_a_new_try(
    own_receiver: ReceiverProcess, own_stored: Query, admin: psycopg.Connection, name: str
) -> None:
    """With every connection taken by others nobody waits and memory stays; with one free again all goes on (F11)."""
    assert own_receiver.deliver(event_body("evt_before")).status_code == 200
    before_kb = own_receiver.resident_kb()
    admin.execute(f'alter database "{name}" connection limit 1')  # the one that looks
    cut_sessions(admin, name)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda number: timed(own_receiver, event_body(f"evt_{number}")), range(200)))
    admin.execute(f'alter database "{name}" connection limit -1')
    assert {answer.status_code for answer, _ in answers} == {503}
    assert max(took_s for _, took_s in answers) < 2
    assert own_receiver.resident_kb() - before_kb < 16 * 1024
    deliver_until_accepted(own_receiver, event_body("evt_after"))
    assert own_stored("select count(*) from inbox") == [(2,)]


def test_a_server_that_may_forget_is_complained_of(
    own_receiver: ReceiverProcess, own_stored: Query, admin: psycopg.Connection, name: str
) -> None:
    """Whenever it connects, the receiver says loudly that a crash of such a server could take back a 200 (F05)."""
    assert own_receiver.deliver(event_body("evt_1")).status_code == 200
    assert '"database.unsafe"' not in own_receiver.log()
    admin.execute(f'alter database "{name}" set synchronous_commit = off')
    cut_sessions(admin, name)
    began_s = time.monotonic()
    while '"database.unsafe"' not in own_receiver.log():  # a session that is being ended may take one more
        assert time.monotonic() - began_s < RECOVERS_WITHIN_S
        deliver_until_accepted(own_receiver, event_body("evt_2"))
        time.sleep(0.05)
    for line in own_receiver.log().splitlines():
        if '"database.unsafe"' in line:
            assert '"level": "error"' in line
            assert '"off": ["synchronous_commit"]' in line
