"""The broker is a doorbell: whatever state it is in, deliveries are taken at the usual pace."""

import socket
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from infra.broker import QUEUE
from tests.webhooks.conftest import Query
from tests.webhooks.receiver_process import ReceiverProcess, event_body, running


@pytest.fixture
def mute_broker() -> Iterator[str]:
    """A broker that takes connections and never says a word, like a stopped one."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0"


def test_a_mute_broker_changes_nothing_for_the_sender(
    database_url: str, own_stored: Query, mute_broker: str, tmp_path: Path
) -> None:
    """With the broker half open every delivery is stored and answered in milliseconds, and the failures are counted."""
    took_s: list[float] = []
    with running(tmp_path, DATABASE_URL=database_url, REDIS_URL=mute_broker) as receiver:
        until_s = time.monotonic() + 2.5
        while time.monotonic() < until_s:
            began_s = time.monotonic()
            assert receiver.deliver(event_body(f"evt_{len(took_s)}")).status_code == 200
            took_s.append(time.monotonic() - began_s)
        assert receiver.metric("webhook_wake_errors_total") >= 1
        assert '"wake.failed"' in receiver.log()
        assert receiver.stop() == 0
    assert own_stored("select count(*) from inbox") == [(len(took_s),)]
    assert statistics.median(took_s) < 0.1


def test_a_delivery_rings_after_its_commit(own_receiver: ReceiverProcess, own_stored: Query, redis_url: str) -> None:
    """A wake reaches the broker for a new event, once its row is there, and none for a duplicate."""
    with redis.Redis.from_url(redis_url) as client:
        own_receiver.deliver(event_body("evt_1"))
        until_s = time.monotonic() + 5
        while not client.llen(QUEUE) and time.monotonic() < until_s:
            time.sleep(0.01)
        assert client.llen(QUEUE) == 1
        client.delete(QUEUE)
        own_receiver.deliver(event_body("evt_1"))
        time.sleep(0.3)
        assert client.llen(QUEUE) == 0
    assert own_stored("select count(*) from inbox") == [(1,)]
