"""The pace at which a provider is asked, on a real Redis and without one."""

import time

import pytest

from domain.errors import TryLater
from infra.pace import Pace


class Sleeps:
    """Counts what somebody would have slept; a sleep takes no time."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.slept.append(seconds)


def test_what_goes_beyond_waits_its_turn_and_not_for_long() -> None:
    """Three a second are free, the fourth waits, and is given up after its patience."""
    sleeps = Sleeps()
    pace = Pace("stripe", 3, patience_s=1.0, sleep=sleeps)
    for _ in range(3):
        pace.take()
    assert sleeps.slept == []
    with pytest.raises(TryLater, match="asked 3 times a second"):
        pace.take()
    assert 0.9 < sum(sleeps.slept) < 1.5


def test_a_turn_comes_back_after_a_second() -> None:
    """Whoever waits gets a turn as soon as one is free again."""
    pace = Pace("stripe", 2, patience_s=5.0)
    began_s = time.monotonic()
    for _ in range(3):
        pace.take()
    assert 0.4 < time.monotonic() - began_s < 4


def test_all_processes_share_one_count(redis_url: str) -> None:
    """Two that use the same name and Redis have one pace between them; another name has its own."""
    sleeps = Sleeps()
    one, other = (Pace("stripe", 2, redis_url, patience_s=0.5, sleep=sleeps) for _ in range(2))
    one.take()
    other.take()
    with pytest.raises(TryLater):
        one.take()
    Pace("chargebee", 2, redis_url, sleep=sleeps).take()


def test_without_redis_each_counts_for_itself() -> None:
    """A Redis that is out of reach holds nobody up, and does not lift the limit either."""
    sleeps = Sleeps()
    pace = Pace("stripe", 2, "redis://127.0.0.1:1/0", patience_s=0.5, sleep=sleeps)
    pace.take()
    pace.take()
    with pytest.raises(TryLater):
        pace.take()
