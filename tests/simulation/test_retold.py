"""Payments that are told once more, otherwise: the newest word counts, whatever is heard first."""

from random import Random

import pytest

from tests.simulation.histories import draw
from tests.simulation.in_memory import MemoryStage, events_of
from tests.simulation.retelling import Told, retold

SEEDS = range(0, 60, 12)


def played(seed: int, portions: list[list[Told]]) -> MemoryStage:
    """The program as it ends up, then events portion by portion."""
    stage = MemoryStage()
    stage.set(draw(seed, 3).changes)
    for portion in portions:
        stage.play(fact for facts in portion for fact in facts)
    return stage


def owed(stage: MemoryStage) -> dict[object, int]:
    """What each commission amounts to, all its parts together."""
    found: dict[object, int] = {}
    for commission in stage.ledger.commissions.values():
        found[commission.claimant] = found.get(commission.claimant, 0) + commission.amount_minor
    return {claimant: amount for claimant, amount in found.items() if amount}


@pytest.mark.parametrize("first", SEEDS)
def test_payments_told_otherwise_end_in_the_same_books_in_any_order(first: int) -> None:
    """In order, shuffled with repeats or at once: the same on every claim, and judging all afresh books nothing."""
    for seed in range(first, first + 12):
        random = Random(f"retold {seed}")
        events = events_of(draw(seed, 3))
        events += retold(events, random)
        in_order = sorted(events, key=lambda facts: facts[0].source.occurred_at)
        shuffled = events + random.sample(events, len(events) // 2)
        random.shuffle(shuffled)
        stages = [
            played(seed, [[facts] for facts in in_order]),
            played(seed, [shuffled[place : place + 7] for place in range(0, len(shuffled), 7)]),
            played(seed, [events]),
        ]
        books = [owed(stage) for stage in stages]
        assert books[0] == books[1] == books[2], seed
        assert [booking.entry for stage in stages for booking in stage.judge_everything()] == [], seed
