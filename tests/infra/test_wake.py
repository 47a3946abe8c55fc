"""The wake: coalesced, bounded, and never anybody's problem but its own."""

import json
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import redis

from infra.broker import DRAIN_TASK, MESSAGES_WAITING_MAX, QUEUE, WAKE_EXPIRES_S, Wake, make_celery


@pytest.fixture
def queue(redis_url: str) -> Iterator[redis.Redis]:
    """A client that can look into the broker."""
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def mute_broker() -> Iterator[str]:
    """A broker that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0"


def wait_for_length(queue: redis.Redis, length: int) -> int:
    """The queue's length once it has reached `length`, or after three seconds."""
    until_s = time.monotonic() + 3
    while queue.llen(QUEUE) < length and time.monotonic() < until_s:
        time.sleep(0.01)
    return int(queue.llen(QUEUE))


def test_a_ring_sends_one_message_that_says_nothing(redis_url: str, queue: redis.Redis) -> None:
    """One ring is one message: the task's name, no arguments, JSON, and an end to its life."""
    wake = Wake(redis_url)
    wake.start()
    wake.ring()
    assert wait_for_length(queue, 1) == 1
    wake.stop()
    [sent] = queue.lrange(QUEUE, 0, -1)
    message = json.loads(sent)
    assert message["headers"]["task"] == DRAIN_TASK
    assert message["headers"]["ignore_result"] is True
    assert message["headers"]["expires"] is not None
    assert message["content-type"] == "application/json"
    assert message["headers"]["argsrepr"] == "()"
    assert WAKE_EXPIRES_S <= 60


def test_many_rings_are_few_messages(redis_url: str, queue: redis.Redis) -> None:
    """Ten thousand rings never pile up more messages than keep the workers busy."""
    wake = Wake(redis_url)
    wake.start()
    for _ in range(10_000):
        wake.ring()
    time.sleep(0.5)
    wake.stop()
    assert 1 <= int(queue.llen(QUEUE)) <= MESSAGES_WAITING_MAX


def test_rings_after_the_queue_was_emptied_are_sent_again(redis_url: str, queue: redis.Redis) -> None:
    """A full queue silences the wake only while it is full."""
    queue.rpush(QUEUE, *["waiting"] * MESSAGES_WAITING_MAX)
    wake = Wake(redis_url)
    wake.start()
    wake.ring()
    time.sleep(0.3)
    assert int(queue.llen(QUEUE)) == MESSAGES_WAITING_MAX
    queue.delete(QUEUE)
    wake.ring()
    assert wait_for_length(queue, 1) == 1
    wake.stop()


@pytest.mark.parametrize("is_mute", [True, False], ids=["half open", "refusing"])
def test_a_broker_that_is_gone_costs_the_caller_nothing(mute_broker: str, is_mute: bool) -> None:
    """Rings return at once, failures are counted, and the thread ends when told to."""
    errors: list[float] = []
    url = mute_broker if is_mute else "redis://127.0.0.1:1/0"
    wake = Wake(url, timeout_s=0.3, on_error=lambda: errors.append(time.monotonic()))
    wake.start()
    slowest_s = 0.0
    until_s = time.monotonic() + 1.5
    while time.monotonic() < until_s:
        began_s = time.monotonic()
        wake.ring()
        slowest_s = max(slowest_s, time.monotonic() - began_s)
        time.sleep(0.001)
    began_s = time.monotonic()
    wake.stop(timeout_s=5)
    assert time.monotonic() - began_s < 3
    assert slowest_s < 0.2
    assert 1 <= len(errors) <= 10
    assert "wake" not in {thread.name for thread in threading.enumerate()}


def test_a_broker_that_comes_back_is_rung_again(redis_url: str, queue: redis.Redis) -> None:
    """Connections the broker has ended are replaced without losing the thread."""
    wake = Wake(redis_url)
    wake.start()
    wake.ring()
    wait_for_length(queue, 1)
    queue.client_kill_filter(_type="normal", skipme=True)
    queue.delete(QUEUE)
    until_s = time.monotonic() + 5
    while not queue.llen(QUEUE) and time.monotonic() < until_s:
        wake.ring()
        time.sleep(0.05)
    wake.stop()
    assert int(queue.llen(QUEUE)) >= 1


def test_the_celery_app_takes_json_only_and_keeps_nothing(redis_url: str) -> None:
    """What the worker shares: JSON in and out, late acknowledgement, one message at a time, no results."""
    configuration = make_celery(redis_url).conf
    assert configuration.accept_content == ["json"]
    assert configuration.task_serializer == "json"
    assert configuration.result_backend is None
    assert configuration.task_acks_late
    assert configuration.task_ignore_result
    assert configuration.worker_prefetch_multiplier == 1
    assert configuration.task_default_queue == QUEUE
