"""What breaks when: drawn from a seed, so that a campaign can be run again."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from random import Random

#: A fault about this often, in seconds.
EVERY_S = 3.0


class Kind(StrEnum):
    """What is done to the program or to its world."""

    #: kill -9 of the receiver: whoever had no answer sends again.
    RECEIVER_KILLED = "receiver killed"
    #: kill -9 of one of two workers and of its pool.
    WORKER_KILLED = "worker killed"
    BEAT_KILLED = "beat killed"
    #: SIGTERM, as a deploy sends it: what is in flight is finished.
    RECEIVER_TERMINATED = "receiver told to stop"
    #: SIGSTOP: alive, and doing nothing.
    RECEIVER_STALLED = "receiver stalled"
    WORKER_STALLED = "worker stalled"
    #: Connections to PostgreSQL are reset, and new ones too.
    DATABASE_CUT = "database cut off"
    #: They stay open, and nothing passes.
    DATABASE_HELD = "database half open"
    #: What is sent arrives, and the answer is lost: a commit may have happened.
    DATABASE_MUTE = "database answers lost"
    #: `pg_ctl -m immediate stop`, and a start with crash recovery.
    DATABASE_CRASHED = "database crashed"
    #: FLUSHALL.
    BROKER_WIPED = "broker wiped"
    BROKER_CUT = "broker cut off"
    BROKER_HELD = "broker half open"
    #: SIGSTOP of the Redis server.
    BROKER_STALLED = "broker stalled"
    BROKER_KILLED = "broker killed"


#: How long each lasts at least and at most, in seconds; what is over at once lasts nothing.
_LASTS_S: dict[Kind, tuple[float, float]] = {
    Kind.RECEIVER_STALLED: (2, 6),
    Kind.WORKER_STALLED: (2, 10),
    Kind.DATABASE_CUT: (0.2, 4),
    Kind.DATABASE_HELD: (1, 8),
    Kind.DATABASE_MUTE: (0.2, 2),
    Kind.BROKER_CUT: (0.2, 6),
    Kind.BROKER_HELD: (2, 8),
    Kind.BROKER_STALLED: (2, 8),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: from `at_s` after the beginning of the load, for `lasts_s`."""

    at_s: float
    kind: Kind
    lasts_s: float
    #: Which of the two workers.
    worker: int


def draw_faults(seed: int, duration_s: float) -> list[Fault]:
    """The faults of a campaign, in order: each kind once before any comes again, all over before the load is."""
    random = Random(seed)
    return list(_drawn(random, duration_s))


def _drawn(random: Random, duration_s: float) -> Iterator[Fault]:
    at_s = random.uniform(0.5, 1.5) * EVERY_S / 2
    left: list[Kind] = []
    while at_s < duration_s:
        left = left or random.sample(sorted(Kind), len(Kind))
        kind = left.pop()
        low_s, high_s = _LASTS_S.get(kind, (0.0, 0.0))
        lasts_s = min(random.uniform(low_s, high_s), duration_s - at_s)
        yield Fault(at_s, kind, lasts_s, random.randint(1, 2))
        at_s += random.uniform(0.5, 1.5) * EVERY_S
