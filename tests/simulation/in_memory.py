"""Play a history on the ledger in memory: the same facts, the same path, no server. Thousands of histories a minute."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from domain import ids
from domain.case import Program
from domain.catalogue import Catalogue, EntryName
from domain.catalogue import Entry as BookEntry
from domain.commissions import Claimant, CommissionState, move, released
from domain.decide import Affected, Booking
from domain.facts import BillingEvent, PriceDescribed, ProductDescribed
from domain.fields import TriggerEvent
from domain.invariants import breaches
from domain.partners import Partner, PartnerVersion
from domain.transactions import Basis
from domain.triggers import Trigger, parse_trigger
from infra.ledger.deciding import judge_again, judge_partner, settle
from infra.providers.stripe import example_events
from infra.providers.stripe.translate import translate
from tests.memory_books import books_of
from tests.memory_ledger import MemoryLedger
from tests.simulation.histories import END, START, draw
from tests.simulation.oracle import LOOKBACK, expected, understood
from tests.simulation.program import document
from tests.simulation.world import Change, Named, Offer, PartnerTerms, World

#: Before anything else.
LONG_AGO = datetime(2025, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class TableTrigger:
    """One version of a trigger as its document."""

    key: str
    version: int
    since: datetime
    document: dict[str, Any]


class MemoryStage:
    """One company's program and ledger in memory."""

    def __init__(self, basis: str = "net") -> None:
        self.basis = Basis(basis)
        self.ledger = MemoryLedger()
        self.triggers: list[TableTrigger] = []
        self.terms: list[PartnerTerms] = []
        self.names: list[Named] = []
        self.program = self._program()

    def set(self, changes: Iterable[Change]) -> None:
        """What a person changed: the program, and everything judged again."""
        self.say(*(change.said for change in changes))

    def say(self, *said: Offer | PartnerTerms | Named | TableTrigger) -> None:
        """The same, one by one."""
        for each in said:
            match each:
                case Offer():
                    self.triggers.append(TableTrigger(each.key, each.version, each.since, document(each)))
                case TableTrigger():
                    self.triggers.append(each)
                case PartnerTerms():
                    self.terms.append(each)
                case Named():
                    self.names.append(each)
        self.program = self._program()
        self.judge_everything()

    def judge_everything(self) -> list[Booking]:
        """Every payment, customer and partner again; what that booked."""
        everything = Affected(
            dict.fromkeys(self.ledger.transactions, "program"),
            dict.fromkeys(self.ledger.people, "program"),
            dict.fromkeys(self.ledger.customers, "program"),
        )
        booked = judge_again(self.ledger, everything, self.program)
        for partner_key in self.program.partners:
            booked += judge_partner(self.ledger, partner_key, "program", self.program)
        return booked

    def play(self, events: Iterable[BillingEvent]) -> list[Booking]:
        """One batch."""
        return settle(self.ledger, list(events), self.program)[2]

    def _program(self) -> Program:
        return Program(
            Catalogue().with_entries(self._entries()) if not self._aliases() else self._catalogue(),
            self._triggers(),
            self._partners(),
            self.basis,
            LOOKBACK,
            ZoneInfo("UTC"),
        )

    def _catalogue(self) -> Catalogue:
        plain = Catalogue().with_entries(self._entries())
        return Catalogue(plain.entries, {**plain.by_external_key, **self._aliases()})

    def _aliases(self) -> dict[str, str]:
        return {alias: _book_key(named.product) for named in self.names for alias in named.aliases}

    def _entries(self) -> list[BookEntry]:
        """Later names replace what they reach back over."""
        history: dict[str, list[EntryName]] = {}
        for named in self.names:
            known = history.setdefault(named.product, [])
            since = named.since or (None if not known else LONG_AGO)
            history[named.product] = [
                k for k in known if since is not None and (k.effective_from is None or k.effective_from < since)
            ] + [EntryName(since, named.name)]
        return [BookEntry(_book_key(product), tuple(names), product) for product, names in history.items()]

    def _triggers(self) -> dict[str, tuple[Trigger, ...]]:
        found: dict[str, tuple[Trigger, ...]] = {}
        for each in self.triggers:
            draft = parse_trigger(each.document)
            found[each.key] = (*found.get(each.key, ()), draft.as_version(each.key, each.version, each.since))
        return found

    def _partners(self) -> dict[str, Partner]:
        history: dict[str, list[PartnerVersion]] = {}
        for terms in self.terms:
            since = terms.since
            kept = [
                known
                for known in history.get(terms.partner, [])
                if since is not None and (known.effective_from is None or known.effective_from < since)
            ]
            history[terms.partner] = [*kept, PartnerVersion(since, terms.group, frozenset(terms.tags))]
        return {key: Partner(key, LONG_AGO, tuple(versions)) for key, versions in history.items()}


def _book_key(product: str) -> str:
    return ids.product_book_key("stripe", product)


def events_of(world: World) -> list[tuple[BillingEvent, ...]]:
    """Each of a world's events as the facts in it."""
    found: list[tuple[BillingEvent, ...]] = []
    for event in world.events:
        at = datetime.fromtimestamp(event["created"], UTC)
        facts = translate(event["type"], event["id"], at, example_events.body(event))
        assert isinstance(facts, tuple)
        found.append(tuple(fact for fact in facts if not isinstance(fact, ProductDescribed | PriceDescribed)))
    return found + [(fact,) for fact in world.facts]


def play_in_order(world: World) -> MemoryStage:
    """As it happened, one event at a time."""
    stage = MemoryStage(world.basis)
    told = dict(zip(map(id, world.events), events_of(world), strict=False))
    moments: list[tuple[datetime, int, Change | tuple[BillingEvent, ...]]] = []
    moments += [(change.at, 0, change) for change in world.changes]
    moments += [(datetime.fromtimestamp(e["created"], UTC), 1, told[id(e)]) for e in world.events]
    moments += [(fact.source.occurred_at, 2, (fact,)) for fact in world.facts]
    for _, _, entry in sorted(moments, key=lambda moment: moment[:2]):
        if isinstance(entry, Change):
            stage.set([entry])
        else:
            stage.play(entry)
    return stage


def play_shuffled(world: World, random: Random) -> MemoryStage:
    """Events in any order, up to three times each, in batches of any size; changes in their own order, any time."""
    stage = MemoryStage(world.basis)
    events = [event for event in events_of(world) for _ in range(random.randint(1, 3))]
    random.shuffle(events)
    changes = list(world.changes)
    while events or changes:
        move_some(stage, random)
        if changes and random.random() < 0.4:
            count = random.choice([1, 1, len(changes)])
            stage.set(changes[:count])
            del changes[:count]
        count = random.choice([1, 2, 5, 20, 60])
        stage.play(fact for facts in events[:count] for fact in facts)
        del events[:count]
    return stage


def play_at_once(world: World) -> MemoryStage:
    """Everything in one batch, then everything again."""
    stage = MemoryStage(world.basis)
    stage.set(world.changes)
    events = [fact for facts in events_of(world) for fact in facts]
    stage.play(events)
    assert stage.play(events) == []
    return stage


def move_some(stage: MemoryStage, random: Random) -> None:
    """The calendar releases what is due, and people approve and pay: whatever comes later adjusts that."""
    now = START + (END - START) * random.random() * 3
    for key, commission in list(stage.ledger.commissions.items()):
        state = released(commission, now, random.choice([None, 0, 30]))
        if state is CommissionState.PENDING and random.random() < 0.3:
            state = move(commission if state is commission.state else replace(commission, state=state),
                         CommissionState.APPROVED)  # fmt: skip
        if state is CommissionState.APPROVED and random.random() < 0.5:
            state = move(replace(commission, state=state), CommissionState.PAID)
        stage.ledger.set_state(key, state)


def faults(stage: MemoryStage, world: World) -> list[str]:
    """What is wrong with the books, one sentence each; empty when all is well."""
    known = understood(world)
    booked: dict[tuple[object, ...], int] = {}
    for commission in stage.ledger.commissions.values():
        c = commission.claimant
        if c.trigger_key in known:
            place = (c.trigger_key, _occasion(stage, c), c.line_key, c.partner_key, c.currency, c.instalment)
            booked[place] = booked.get(place, 0) + commission.amount_minor
    wanted: dict[tuple[object, ...], int] = {(*row[:4], row[5], row[6]): row[4] for row in expected(world)}
    return (
        [
            f"{place} should amount to {wanted.get(place, 0)}, and does to {booked.get(place, 0)}"
            for place in sorted({*booked, *wanted}, key=repr)
            if wanted.get(place, 0) != booked.get(place, 0)
        ]
        + _breaches(stage)
        + [f"judged again, {b.entry.amount_minor} on {b.entry.claimant}" for b in stage.judge_everything()]
    )


def _breaches(stage: MemoryStage) -> list[str]:
    """What does not hold of the books; nothing is overdue before the first payment."""
    books = books_of(stage.ledger, dict(stage.program.triggers))
    return [f"{each.invariant}: {each.subject}: {each.message}" for each in breaches(books, START)]


def _occasion(stage: MemoryStage, claimant: Claimant) -> str:
    """A customer is named by the company's own id."""
    if claimant.event is TriggerEvent.CUSTOMER_CREATED:
        return stage.ledger.customers[claimant.occasion_key].customer_key
    return claimant.occasion_key


def faults_of_seed(seed: int, customers_max: int = 3, basis: str | None = None) -> list[str]:
    """One history in every way, on its own basis if no other is asked for; a sentence per fault, with the way that
    has it.
    """
    world = draw(seed, customers_max, basis)
    return [
        f"{name}: {fault}"
        for name, play in (("in order", play_in_order), ("shuffled", _shuffled_by_seed), ("at once", play_at_once))
        for fault in faults(play(world), world)
    ]


def _shuffled_by_seed(world: World) -> MemoryStage:
    return play_shuffled(world, Random(world.seed))
