"""What every ledger promises: asked the same, PostgreSQL's and the one in memory answer and book the same."""

from random import Random

import pytest
from sqlalchemy import Engine

from domain.commissions import CommissionState
from domain.decide import Booking
from domain.facts import BillingEvent
from infra.ledger.bookings import book
from infra.ledger.case_files import load_booked, load_case_file
from infra.ledger.deciding import settle
from infra.ledger.postgres import PostgresLedger
from infra.program import ProgramReader
from infra.rows import fetch
from infra.settings import load_settings
from tests.domain.tables import read
from tests.domain.test_stories_of_money import PROGRAM, TWO_STEPS_AWAY
from tests.memory_addresses import AddressLedger
from tests.simulation.histories import draw
from tests.simulation.in_memory import LONG_AGO, MemoryStage, TableTrigger, events_of
from tests.simulation.retelling import passed_on, retold
from tests.simulation.stating import statements
from tests.simulation.trial import settings_of
from tests.simulation.world import PartnerTerms, World
from tests.stage import Stage

Page = list[tuple[object, ...]]


def in_portions(random: Random, events: list[tuple[BillingEvent, ...]]) -> list[list[BillingEvent]]:
    """The events in any order, some twice, a few at a time."""
    told = [event for event in events for _ in range(random.choice([1, 1, 2]))]
    random.shuffle(told)
    portions = []
    while told:
        count = random.choice([1, 3, 12])
        portions.append([fact for event in told[:count] for fact in event])
        del told[:count]
    return portions


def page(bookings: list[Booking]) -> Page:
    """What was booked, in an order of its own."""
    return sorted(
        (
            (b.entry.commission_key, b.entry.amount_minor, b.entry.balance_minor, b.entry.state, b.cause, b.subject,
             b.entry.desired, b.entry.adjusts)
            for b in bookings
        ),
        key=repr,
    )  # fmt: skip


def played(stage: Stage, facts: list[BillingEvent]) -> Page:
    """One portion on PostgreSQL."""
    with stage.engine.begin() as connection:
        program = ProgramReader(stage.settings).read(connection)
        return page(settle(PostgresLedger(connection, program), facts, program)[2])


def _play_changes(stage: Stage, world: World) -> None:
    """What people set, and the judging again that it asks for."""
    for change in world.changes:
        change.play(stage)
    stage.drainer.sweep()


@pytest.mark.parametrize("seed", range(200, 208))
def test_portion_by_portion_both_book_the_same_entries(engine: Engine, seed: int) -> None:
    """The same facts in the same portions lead to the same entries, states, arithmetic and causes in both."""
    world, random = draw(seed, 2), Random(seed)
    memory, stage = MemoryStage(world.basis), Stage(engine, settings_of(world))
    memory.set(world.changes)
    _play_changes(stage, world)
    for facts in in_portions(random, events_of(world)):
        assert played(stage, facts) == page(memory.play(facts))
    rows = stage.ask("select key, amount_minor, state, part from commissions order by key")
    kept = memory.ledger.commissions.items()
    assert rows == [(key, c.amount_minor, c.state, c.part) for key, c in sorted(kept)]
    standings = stage.ask("select transaction_key, customer, number, revenue from standings order by 1")
    assert standings == [
        (key, customer, standing.number, standing.revenue)
        for key, (customer, standing) in sorted(memory.ledger.standings.items())
    ]


@pytest.mark.parametrize(("seed", "by_email"), [(seed, seed % 2 == 0) for seed in range(220, 228)])
def test_what_the_company_states_is_booked_alike(engine: Engine, seed: int, by_email: bool) -> None:
    """Statements among Stripe's events: links, claims and posted lines lead to the same entries in both."""
    world, random = draw(seed, 2), Random(seed)
    settings = load_settings({"MATCH_CUSTOMERS_BY_EMAIL": str(by_email)}, env_file=None)
    memory, stage = MemoryStage(), Stage(engine, settings)
    if by_email:
        memory.ledger = AddressLedger()
    memory.set(world.changes)
    _play_changes(stage, world)
    for facts in in_portions(random, [*events_of(world), *statements(world, seed)]):
        assert played(stage, facts) == page(memory.play(facts))
    claims = stage.ask("select subject, cause, partner_key, effective_from from claims order by 1, 2")
    assert claims == sorted(
        (c.subject, c.cause, c.partner_key, c.effective_from) for c in memory.ledger.claims.values()
    )
    assert any(subject.startswith(("api:", "stripe:product:")) for subject, *_ in claims)
    links = stage.ask("select provider, provider_customer_key, customer from provider_customers order by 1, 2")
    assert links == sorted((*place, person.customer) for place, person in memory.ledger.people.items())
    keys = [key for (key,) in stage.ask("select key from transactions")]
    with engine.connect() as connection:
        led = load_case_file(connection, keys).transactions
    assert led == memory.ledger.load_case(keys).transactions


@pytest.mark.parametrize("seed", range(230, 234))
def test_payments_told_otherwise_are_booked_alike(engine: Engine, seed: int) -> None:
    """A payment that moves in time or to another customer has both judge the same payments again."""
    world, random = draw(seed, 2), Random(seed)
    memory, stage = MemoryStage(world.basis), Stage(engine, settings_of(world))
    memory.set(world.changes)
    _play_changes(stage, world)
    events = events_of(world)
    for facts in in_portions(random, [*events, *retold(events, random)]):
        assert played(stage, facts) == page(memory.play(facts))


@pytest.mark.parametrize("seed", [2, 40, 61])
def test_credits_on_what_another_customer_paid_are_booked_alike(engine: Engine, seed: int) -> None:
    """Single payments become another customer's: both judge the credits of the rest again, whoever they are."""
    world, random = draw(seed, 3), Random(f"single {seed}")
    memory, stage = MemoryStage(world.basis), Stage(engine, settings_of(world))
    memory.set(world.changes)
    _play_changes(stage, world)
    events = events_of(world)
    passed = passed_on(events, random)
    for facts in [
        *in_portions(random, events),
        *(list(told) for told in passed),
        *in_portions(random, events),
    ]:
        assert played(stage, facts) == page(memory.play(facts))
    assert memory.judge_everything() == []


@pytest.mark.parametrize("order", range(4))
@pytest.mark.parametrize("story", TWO_STEPS_AWAY)
def test_credits_two_steps_away_are_booked_alike(engine: Engine, story: str, order: int) -> None:
    """Fact by fact, in several orders, both book the same on credits that share only a charge with what is told."""
    facts = [step.fact for step in read(PROGRAM + TWO_STEPS_AWAY[story]) if step.fact is not None]
    random = Random(order)
    told = random.sample(facts, len(facts)) if order else facts
    memory, stage = MemoryStage(), Stage(engine)
    for partner in ("ada", "bob"):
        memory.say(PartnerTerms(partner, None, None, ()))
        stage.partner(partner)
    document = {"name": "all", "event": "transaction_created", "action": {"type": "percent", "percent": "10"}}
    memory.say(TableTrigger("all", 1, LONG_AGO, document))
    stage.trigger("all", "10")
    stage.drainer.sweep()
    owed: dict[str, int] = {}
    for fact in told:
        booked = memory.play([fact])
        assert [(row[0], row[1]) for row in played(stage, [fact])] == [(row[0], row[1]) for row in page(booked)]
        for booking in booked:
            claimed = booking.entry.claimant.occasion_key
            owed[claimed] = owed.get(claimed, 0) + booking.entry.amount_minor
    assert {row[1]: row[4] for row in stage.commissions()} == {key: minor for key, minor in owed.items() if minor}
    assert memory.judge_everything() == []


@pytest.mark.parametrize("seed", range(208, 212))
def test_both_adjust_what_was_approved(engine: Engine, seed: int) -> None:
    """After half the history everything pending is approved in both; the rest adjusts it alike."""
    world = draw(seed, 2)
    memory, stage = MemoryStage(world.basis), Stage(engine, settings_of(world))
    memory.set(world.changes)
    _play_changes(stage, world)
    events = events_of(world)
    for number, facts in enumerate(events):
        assert played(stage, list(facts)) == page(memory.play(facts))
        if number == len(events) // 2:
            with engine.begin() as connection:
                fetch(connection, "update commissions set state = 'approved' where state = 'pending' returning key")
            for key, commission in list(memory.ledger.commissions.items()):
                if commission.state is CommissionState.PENDING:
                    memory.ledger.set_state(key, CommissionState.APPROVED)
    parts = stage.ask("select key, part, adjusts, amount_minor from commissions where part > 0 order by key")
    ours = memory.ledger
    assert parts == [
        (k, c.part, ours.adjusts[k], c.amount_minor) for k, c in sorted(ours.commissions.items()) if c.part
    ]


def test_what_is_booked_is_loaded_as_it_was_booked(engine: Engine) -> None:
    """A commission comes back from both with the same claimant, state and particulars."""
    world = draw(23, 2)
    memory, stage = MemoryStage(world.basis), Stage(engine, settings_of(world))
    memory.set(world.changes)
    _play_changes(stage, world)
    facts = [fact for event in events_of(world) for fact in event]
    played(stage, facts)
    memory.play(facts)
    keys = sorted(memory.ledger.transactions)
    with engine.connect() as connection:
        booked = load_booked(connection, keys)
        book(connection, [])
    ours = memory.ledger.load_case(keys).booked
    assert {k: sorted(v, key=repr) for k, v in booked.items()} == {k: sorted(v, key=repr) for k, v in ours.items() if v}
    assert booked
