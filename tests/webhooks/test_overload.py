"""More deliveries than can be committed, and a receiver replaced by another amid them."""

import asyncio
import resource
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.webhooks.conftest import Query
from tests.webhooks.receiver_process import (
    STRIPE,
    ReceiverProcess,
    event_body,
    free_port,
    post_head,
    running,
    running_at,
    signature,
)

#: At once: more than the receiver lets in.
_SENDERS = 800
_DELIVERIES = 1600

#: Makes each batch take a second: with two flushers of 256 rows, about 500 rows a second at most.
_SLOW = """
    create function slowly() returns trigger language plpgsql as $$ begin perform pg_sleep(1); return null; end $$;
    create trigger slowly before insert on inbox for each statement execute function slowly();
"""


@dataclass
class Flood:
    """What became of a flood."""

    statuses: Counter[int] = field(default_factory=Counter)
    #: Of deliveries that got their 200.
    took_s: list[float] = field(default_factory=list)
    #: How late this process itself was, at worst: so much of the time above was not the receiver's.
    lag_s: float = 0.0


async def flood(port: int) -> Flood:
    """Everything at once; who is turned away sends again after a moment, until all have their 200."""
    found = Flood()
    left = iter(range(_DELIVERIES))

    async def send() -> None:
        for number in left:
            body = event_body(f"evt_{number}", padding="x" * 4000)
            while True:
                began_s = time.monotonic()
                status = await _deliver(port, body)
                found.statuses[status] += 1
                if status == httpx.codes.OK:
                    found.took_s.append(time.monotonic() - began_s)
                    break
                await asyncio.sleep(0.5)

    async def watch_lag() -> None:
        while True:
            began_s = time.monotonic()
            await asyncio.sleep(0.05)
            found.lag_s = max(found.lag_s, time.monotonic() - began_s - 0.05)

    watching = asyncio.create_task(watch_lag())
    await asyncio.gather(*(send() for _ in range(_SENDERS)))
    watching.cancel()
    return found


async def _deliver(port: int, body: bytes) -> int:
    """One delivery by hand: an HTTP client for that many at once would itself be what is too slow.

    Who is turned away before the body is read may find the connection closed while sending it: that is 503 too.
    """
    headers = [f"Stripe-Signature: {signature(body)['stripe-signature']}", "Connection: close"]
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post_head(len(body), headers) + body)
        answer = await reader.readline()
        writer.close()
    except ConnectionError:
        return 503
    return int(answer.split()[1]) if answer else 503


def test_what_is_too_much_is_turned_away_and_comes_again(own_receiver: ReceiverProcess, own_stored: Query) -> None:
    """Flooded with more than it can commit, it answers 503 to some and the others in time, keeps its size, loses none.

    (F21)
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(4096, hard)), hard))
    own_stored(_SLOW)
    before_kb = own_receiver.resident_kb()
    highest_kb = [before_kb]
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.1):
            highest_kb.append(own_receiver.resident_kb())

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        found = asyncio.run(flood(own_receiver.port))
    finally:
        ended.set()
        watching.join()
    assert set(found.statuses) == {200, 503}
    assert found.statuses[200] == _DELIVERIES
    assert statistics.quantiles(found.took_s, n=100)[98] < 5.5 + found.lag_s
    assert max(highest_kb) - before_kb < 64 * 1024
    assert own_stored("select count(*), count(distinct event_key) from inbox") == [(_DELIVERIES, _DELIVERIES)]
    assert own_receiver.metric("webhook_in_flight") == 0


def test_a_deploy_turns_nobody_away(database_url: str, redis_url: str, own_stored: Query, tmp_path: Path) -> None:
    """Twice another receiver takes over and the former is told to stop: all deliveries get 200, once (F22)."""
    settings = {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
    with ExitStack() as stack:
        taking = [stack.enter_context(running(tmp_path, **settings))]
        with delivering(taking) as statuses:
            for _ in range(2):
                following = stack.enter_context(running(tmp_path, **settings))
                before, taking[:] = taking[0], [following]
                before.process.terminate()
                assert before.process.wait(15) == 0
                _wait_for_more(statuses)
    assert set(statuses) <= {200, "ConnectError"}
    assert own_stored("select count(*) from inbox") == [(statuses.count(200),)]


def test_ten_restarts_at_one_port_leave_nobody_without_an_answer(
    database_url: str, redis_url: str, own_stored: Query, tmp_path: Path
) -> None:
    """Who connects gets 200 and a row, over new connections and kept ones; who cannot connect is refused (F22)."""
    settings = {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
    port = free_port()
    with ExitStack() as stack:
        taking = [stack.enter_context(running_at(port, tmp_path, **settings))]
        with delivering(taking) as statuses:
            for _ in range(10):
                taking[0].process.terminate()
                assert taking[0].process.wait(15) == 0
                taking[:] = [stack.enter_context(running_at(port, tmp_path, **settings))]
                _wait_for_more(statuses)
    assert set(statuses) <= {200, "ConnectError"}
    assert own_stored("select count(*) from inbox") == [(statuses.count(200),)]


@contextmanager
def delivering(taking: list[ReceiverProcess]) -> Iterator[list[object]]:
    """Four at once deliver to whichever receiver is in `taking`; gives what becomes of their deliveries."""
    statuses: list[object] = []
    ended = threading.Event()
    threads = [threading.Thread(target=_deliver_on, args=(n, taking, statuses, ended.is_set)) for n in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield statuses
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def _wait_for_more(statuses: list[object], count: int = 25) -> None:
    """Until so many more deliveries have got their 200."""
    wanted, until_s = statuses.count(200) + count, time.monotonic() + 30
    while statuses.count(200) < wanted:
        assert time.monotonic() < until_s, f"only {Counter(statuses)} in half a minute"
        time.sleep(0.02)


def _deliver_on(
    thread: int, taking: list[ReceiverProcess], statuses: list[object], has_ended: Callable[[], bool]
) -> None:
    """To whichever receiver is taking deliveries, as a load balancer does; a refused connect is tried again.

    Every other thread keeps its connection between two deliveries.
    """
    count = 0
    with httpx.Client(timeout=15, limits=httpx.Limits(max_keepalive_connections=thread % 2)) as client:
        while not has_ended():
            body = event_body(f"evt_{thread}_{count}")
            address = f"http://127.0.0.1:{taking[0].port}{STRIPE}"
            try:
                statuses.append(client.post(address, content=body, headers=signature(body)).status_code)
                count += 1
            except httpx.TransportError as error:
                statuses.append(type(error).__name__)
