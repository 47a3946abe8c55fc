"""Play a history in different ways and hold the books against each other, the oracle and the ledger's own laws."""

from collections.abc import Sequence
from random import Random
from typing import Any

from domain.commissions import bookings
from domain.facts import BillingEvent, SubscriptionSeen
from domain.judge import desired
from domain.known import SubscriptionKey
from domain.products import Evidence, ProductVersion, SubscriptionState, fold
from infra.checks import check_all
from infra.ledger.case_files import load_case_file
from infra.ledger.deciding import settle
from infra.ledger.known_money import load_transactions
from infra.ledger.postgres import PostgresLedger
from infra.ledger.shapes import snapshot_of, version_of
from infra.program import ProgramReader
from infra.rows import fetch
from tests.simulation.oracle import expected, understood
from tests.simulation.world import Change, World
from tests.stage import LONG_AGO, Stage

#: A Stripe event, or a fact that none of ours tells.
Told = dict[str, Any] | BillingEvent
Books = dict[str, list[tuple[object, ...]]]


def play_in_order(stage: Stage, world: World) -> None:
    """As it happened, one event at a time."""
    for entry in world.in_order():
        if isinstance(entry, Change):
            entry.play(stage)
        else:
            _play(stage, [entry])
    stage.drainer.sweep()


def play_shuffled(stage: Stage, world: World, random: Random) -> None:
    """Events in any order, up to three times each, in batches of any size; changes in their own order, any time."""
    events: list[Told] = [event for event in (*world.events, *world.facts) for _ in range(random.randint(1, 3))]
    random.shuffle(events)
    changes = list(world.changes)
    while events or changes:
        if changes and random.random() < 0.4:
            changes.pop(0).play(stage)
        count = random.choice([1, 2, 5, 20, 60])
        _play(stage, events[:count])
        del events[:count]
    stage.drainer.sweep()


def play_at_once(stage: Stage, world: World) -> None:
    """Everything in one batch, then everything again."""
    for change in world.changes:
        change.play(stage)
    _play(stage, [*world.events, *world.facts])
    _play(stage, world.facts)
    stage.replay()


def _play(stage: Stage, told: Sequence[Told]) -> None:
    """Events by way of the inbox; facts that no Stripe event of ours tells by the path behind it."""
    stage.play([each for each in told if isinstance(each, dict)])
    facts = [each for each in told if not isinstance(each, dict)]
    if facts:
        with stage.engine.begin() as connection:
            program = ProgramReader(stage.settings).read(connection)
            settle(PostgresLedger(connection, program), facts, program)


def told_by(stage: Stage) -> Books:
    """What must not depend on the order. A customer without any link left says nothing, and an entry of the product
    book is called by its provider's id: its key tells who was first, the person or the payment.
    """
    books = stage.books()
    books["inbox"] = stage.ask("select event_key, state, reason from inbox where provider <> 'program' order by 1")
    books["customers"] = stage.ask(
        "select key, customer_key from customers where key in (select customer from provider_customers) order by 1"
    )
    books["said"] = stage.ask("""
        select trigger_key, occasion_key, line_key, partner_key, instalment, member_key, customer, trigger_version,
            state, amount_minor, arithmetic, earned_at, due_at, subject
        from commissions where amount_minor <> 0 order by 1, 2, 3, 4, 5
    """)
    books["book"] = stage.ask("select external_key, needs_review from product_book order by 1")
    return books


def faults(stage: Stage, world: World) -> list[str]:
    """What is wrong with the books, one sentence each; empty when all is well."""
    found = [f"event {row[0]} is {row[1]}: {row[2]}" for row in stage.ask(_UNSETTLED)]
    found += [f"commission {row[0]} is not the sum of its entries" for row in stage.ask(_WRONG_SUMS)]
    found += [f"commission {row[0]} has an entry of zero" for row in stage.ask(_ZEROES)]
    known = understood(world)
    booked = {tuple(row) for row in stage.ask(BOOKED) if row[0] in known}
    found += [f"booked, and not expected: {row}" for row in sorted(booked - expected(world), key=repr)]
    found += [f"expected, and not booked: {row}" for row in sorted(expected(world) - booked, key=repr)]
    # A portion of seven cuts most customers' histories in two.
    broken = check_all(stage.engine, lambda: LONG_AGO, portion=7).breaches
    found += [f"{each.invariant}: {each.subject}: {each.message}" for each in broken]
    return found + _unsettled_judgements(stage) + histories_that_differ(stage)


#: What each cause came to, as the oracle says it.
BOOKED = """
    select trigger_key, coalesce(c.customer_key, occasion_key), line_key, partner_key, sum(amount_minor)::bigint,
        currency, instalment
    from commissions left join customers c on c.key = occasion_key and event = 'customer_created'
    group by trigger_key, coalesce(c.customer_key, occasion_key), line_key, partner_key, currency, instalment
    having sum(amount_minor) <> 0
"""
_UNSETTLED = "select event_key, state, reason from inbox where state <> 'processed'"
_ZEROES = "select commission_key from commission_entries where amount_minor = 0"
_WRONG_SUMS = """
    select key from commissions c where amount_minor <> (
        select coalesce(sum(amount_minor), 0) from commission_entries e where e.commission_key = c.key)
"""


def _unsettled_judgements(stage: Stage) -> list[str]:
    """Judged afresh, every transaction asks for exactly what is booked on it."""
    with stage.engine.connect() as connection:
        program = ProgramReader(stage.settings).read(connection)
        keys = [row.key for row in fetch(connection, "select key from transactions")]
        case = load_case_file(connection, keys, program.horizon)
    return [
        f"judging {key} afresh books {entry.amount_minor} on {entry.claimant}"
        for key in keys
        for entry in bookings(desired(key, case, program), case.booked.get(key, ()))
    ]


def histories_that_differ(stage: Stage) -> list[str]:
    """Folded from scratch, every subscription has the history that windows left behind."""
    snapshots: dict[SubscriptionKey, list[SubscriptionSeen]] = {}
    evidence: dict[SubscriptionKey, list[Evidence]] = {}
    stored: dict[SubscriptionKey, dict[str, tuple[ProductVersion, ...]]] = {}
    with stage.engine.connect() as connection:
        for row in fetch(connection, "select * from subscription_snapshots"):
            snapshots.setdefault((row.provider, row.subscription_key), []).append(snapshot_of(row))
        keys = [row.key for row in fetch(connection, "select key from transactions")]
        for paid in load_transactions(connection, keys).values():
            for line in paid.lines:
                if line.subscription_key and line.product_key and line.net_minor > 0:
                    proof = Evidence(line.product_key, paid.occurred_at, line.recurring, paid.currency, line.price_keys)
                    evidence.setdefault((paid.provider, line.subscription_key), []).append(proof)
        for row in fetch(connection, "select * from product_history order by effective_at"):
            history = stored.setdefault((row.provider, row.subscription_key), {})
            history[row.product_key] = (*history.get(row.product_key, ()), version_of(row))
    return [
        f"the stored history of {place} is not what all its facts make"
        for place in sorted({*snapshots, *evidence, *stored})
        if fold(SubscriptionState(), snapshots.get(place, ()), evidence.get(place, ())) != stored.get(place, {})
    ]
