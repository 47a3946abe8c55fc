"""A clock that is wrong: ours, or the sender's. It is counted apart, and somebody is told."""

import asyncio
import time

import httpx
import pytest
import structlog

from infra.health import Health
from infra.settings import load_settings
from tests.webhooks.receiver_process import SECRET, STRIPE, ReceiverProcess, event_body, signature
from tests.webhooks.test_batcher import ScriptedWriter
from webhooks.batcher import Batcher
from webhooks.clock_watch import DOUBTFUL_S, LAST_COUNT, ClockWatch
from webhooks.doors import doors_of
from webhooks.metrics import Metrics
from webhooks.receiver import Receiver


def receiver_with_clock(ahead_s: float, metrics: Metrics) -> Receiver:
    """A receiver whose clock is ahead; nothing can be stored with it."""
    settings = load_settings({"STRIPE_WEBHOOK_SECRETS": SECRET}, env_file=None)
    health = Health(lambda: True)
    return Receiver(doors_of(settings), Batcher(ScriptedWriter), health, metrics, clock=lambda: time.time() + ahead_s)


async def _deliver(receiver: Receiver, count: int, secret: str) -> list[int]:
    transport = httpx.ASGITransport(app=receiver)
    async with httpx.AsyncClient(transport=transport, base_url="http://receiver") as client:
        bodies = [event_body(f"evt_{number}") for number in range(count)]
        return [
            (await client.post(STRIPE, content=body, headers=signature(body, secret))).status_code for body in bodies
        ]


@pytest.mark.parametrize(("ahead_s", "reason"), [(600, "too_old"), (-600, "too_new")])
def test_a_clock_that_is_off_lets_nothing_in_and_says_so(ahead_s: int, reason: str) -> None:
    """Ten minutes ahead or behind: 400, to be sent again; counted as that, and an alarm that says by how much."""
    metrics = Metrics()
    with structlog.testing.capture_logs() as logs:
        statuses = asyncio.run(_deliver(receiver_with_clock(ahead_s, metrics), 10, SECRET))
    assert statuses == [400] * 10
    said = metrics.exposition().decode()
    assert f'webhook_deliveries_total{{provider="stripe",reason="{reason}",status="400"}} 10.0' in said
    assert abs(_gauge(said) - ahead_s) < 2
    alarms = [entry for entry in logs if entry["event"] == "clock.doubted"]
    assert [(entry["log_level"], abs(entry["skew_s"] - ahead_s) < 2) for entry in alarms] == [("error", True)]


def _gauge(said: str) -> float:
    return float(said.split("\nwebhook_clock_ahead_seconds ")[1].split()[0])


def test_nobody_without_the_secret_raises_the_alarm() -> None:
    """Forged signatures with a wrong time are forged, and say nothing about our clock."""
    with structlog.testing.capture_logs() as logs:
        statuses = asyncio.run(_deliver(receiver_with_clock(600, Metrics()), 5, "whsec_of_somebody_else"))
    assert statuses == [400] * 5
    assert not [entry for entry in logs if entry["event"] == "clock.doubted"]


def test_an_hour_off_is_an_alarm_once_a_minute() -> None:
    """However many deliveries say so."""
    now_s = [1000.0]
    watch = ClockWatch(lambda: now_s[0])
    with structlog.testing.capture_logs() as logs:
        for _ in range(500):
            now_s[0] += 0.25
            watch.signed(3600)
    assert len(logs) == 3
    assert watch.skew_s == 3600


def test_a_few_old_captures_are_no_alarm() -> None:
    """Requests that somebody recorded and sends again are outvoted, as is one sender whose own clock is wrong."""
    watch = ClockWatch()
    with structlog.testing.capture_logs() as logs:
        for number in range(10 * LAST_COUNT):
            watch.signed(9_999 if number % 3 == 0 else 0.5)
        watch.signed(DOUBTFUL_S + 1)
    assert logs == []
    assert watch.skew_s == 0.5


def test_a_right_clock_is_near_nothing(receiver: ReceiverProcess) -> None:
    """After good deliveries the running receiver shows a difference of a second or so."""
    for number in range(4):
        assert receiver.deliver(event_body(f"evt_clock_{number}")).status_code == 200
    assert abs(receiver.metric("webhook_clock_ahead_seconds")) < DOUBTFUL_S
    assert '"clock.doubted"' not in receiver.log()
