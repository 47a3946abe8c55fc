"""Histories in which the company states things beside what Stripe tells, in every order."""

from random import Random

import pytest

from tests.memory_addresses import AddressLedger
from tests.simulation.histories import draw
from tests.simulation.in_memory import MemoryStage, events_of
from tests.simulation.stating import Statement, statements
from tests.simulation.world import World

SEEDS = range(0, 60, 12)

Page = list[tuple[object, ...]]


def told(world: World, seed: int) -> list[Statement]:
    """Everything that was told, by Stripe and by the company, in order."""
    events = [*events_of(world), *statements(world, seed)]
    return sorted(events, key=lambda facts: facts[0].source.occurred_at)


def page(stage: MemoryStage) -> Page:
    """What is booked in all on each claim, and where customers stand."""
    booked: dict[tuple[object, ...], int] = {}
    for commission in stage.ledger.commissions.values():
        place = (*vars_of(commission.claimant), commission.particulars and commission.particulars.member_key)
        booked[place] = booked.get(place, 0) + commission.amount_minor
    rows: Page = [(*place, amount) for place, amount in booked.items() if amount]
    rows += [(key, standing) for key, (_, standing) in stage.ledger.standings.items()]
    return sorted(rows, key=repr)


def vars_of(claimant: object) -> tuple[object, ...]:
    """What is claimed, as a row."""
    return tuple(getattr(claimant, name) for name in claimant.__class__.__dataclass_fields__)  # type: ignore[attr-defined]


def stage_of(world: World, *, by_email: bool = False) -> MemoryStage:
    """The program as it stands in the end."""
    stage = MemoryStage()
    if by_email:
        stage.ledger = AddressLedger()
    stage.set(world.changes)
    return stage


def in_order(world: World, events: list[Statement], *, by_email: bool = False) -> MemoryStage:
    """One by one."""
    stage = stage_of(world, by_email=by_email)
    for facts in events:
        stage.play(facts)
    return stage


def shuffled(world: World, events: list[Statement], random: Random, *, by_email: bool = False) -> MemoryStage:
    """In any order, some twice, a few at a time."""
    stage = stage_of(world, by_email=by_email)
    left = [facts for facts in events for _ in range(random.choice([1, 1, 2]))]
    random.shuffle(left)
    while left:
        count = random.choice([1, 2, 7, 30])
        stage.play(fact for facts in left[:count] for fact in facts)
        del left[:count]
    return stage


@pytest.mark.parametrize("by_email", [False, True], ids=["by id", "by email"])
@pytest.mark.parametrize("first", SEEDS)
def test_statements_in_any_order_end_in_the_same_books(first: int, by_email: bool) -> None:
    """In order, shuffled with repeats or at once: the same on every claim, and judging all afresh books nothing."""
    for seed in range(first, first + 12):
        world = draw(seed, 2)
        events = told(world, seed)
        at_once = stage_of(world, by_email=by_email)
        at_once.play(fact for facts in events for fact in facts)
        stages = [
            in_order(world, events, by_email=by_email),
            shuffled(world, events, Random(seed), by_email=by_email),
            at_once,
        ]
        pages = [page(stage) for stage in stages]
        assert pages[0] == pages[1] == pages[2], seed
        afresh = [booking.entry for stage in stages for booking in stage.judge_everything()]
        assert afresh == [], seed


def test_addresses_link_customers_that_nothing_else_links() -> None:
    """In some histories somebody is linked who would not be without, or is linked to somebody else."""
    differing = 0
    for seed in range(40):
        world = draw(seed, 2)
        linked = [
            {
                place: person.customer
                for place, person in in_order(world, told(world, seed), by_email=by_email).ledger.people.items()
            }
            for by_email in (False, True)
        ]
        differing += linked[0] != linked[1]
    assert differing > 2


def test_the_statements_hold_what_they_are_drawn_for() -> None:
    """Posted payments are led to products of both the company's and Stripe's, and some pay on them."""
    led: set[str | None] = set()
    paid = 0
    for seed in range(40):
        world = draw(seed, 2)
        stage = in_order(world, told(world, seed))
        case = stage.ledger.load_case(list(stage.ledger.transactions))
        posted = [each for each in case.transactions.values() if each.provider == "api"]
        led |= {line.product_provider for each in posted for line in each.lines}
        keys = {each.key for each in posted}
        paid += sum(c.claimant.occasion_key in keys and c.claimant.line_key is not None and c.amount_minor > 0
                    for c in stage.ledger.commissions.values())  # fmt: skip
    assert led == {None, "api", "stripe"}
    assert paid > 20
