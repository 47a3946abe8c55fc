"""Both sides beside each other, portion by portion, and what to store so that ours becomes as the provider's.

What the provider showed is a moment old. Where an event of ours is younger than that, ours counts.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import msgspec
from sqlalchemy import Connection, text

from domain import ids
from domain.differences import Kind
from domain.errors import CannotProcess
from domain.facts import InvoicePaid, Reversal, Source, SubscriptionSeen
from domain.known import BEGINNING
from domain.periods import Period
from domain.reconcile import (
    OurBooks,
    PaidInvoice,
    PaidLine,
    ProviderBooks,
    RecordedInvoice,
    Repair,
    Report,
    Subscription,
    compare,
    repairs,
    subscription_of,
)
from domain.reversal_books import TakenBack
from domain.reversals import merged
from domain.transactions import transaction_of
from infra.program import ProgramReader
from infra.providers.registry import TRANSLATORS
from infra.reconciliation.ours import (
    described,
    key_of,
    last_seen,
    recorded_invoices,
    recorded_reversals,
    waiting,
    with_payments_here,
)
from infra.reconciliation.provider import ListedEvent, ListedObject, Provider
from infra.reconciliation.runs import Run
from infra.reconciliation.stored import Shown, shown_portion
from infra.unit_of_work import unit_of_work

PORTION: Final = 500
#: How events are called that a reconciliation made of objects.
MADE_UP: Final = "rec"
#: What is made of an object is dated so long before it was shown: a change of the same second comes after it.
_BEFORE_SHOWN: Final = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Compared:
    """What comparing one portion came to."""

    report: Report
    #: Events that would make ours like the provider's.
    events: list[ListedEvent]
    #: The provider's customers whom these are about and whom nothing has described.
    customers: set[str]
    #: Objects that today's code cannot read, each with the reason.
    unreadable: dict[str, str]


#: What an object can be as a fact.
_Told = SubscriptionSeen | InvoicePaid | Reversal


@dataclass(frozen=True, slots=True)
class _Theirs:
    """An object that the provider showed, as facts: a refund may be one for each invoice that it takes from."""

    shown: ListedObject
    listed_at: datetime
    facts: tuple[_Told, ...]

    @property
    def fact(self) -> _Told:
        """The first, and of subscriptions and invoices the only one."""
        return self.facts[0]


class Comparer:
    """Compares portion by portion, each in a transaction of its own that sees one moment."""

    def __init__(self, connection: Connection, provider: Provider, run: Run, reader: ProgramReader) -> None:
        assert run.since is not None and run.until is not None  # set when it started
        self._connection = connection
        self._provider = provider
        self._run = run
        self._reader = reader
        self._window = Period(run.since, run.until)
        self._waiting: dict[Kind, Mapping[str, str]] = {}

    def portions(self) -> Iterator[Compared]:
        """One comparison after the other; between two of them the connection is free."""
        for kind in Kind:
            after: str | None = ""
            while after is not None:
                with unit_of_work(self._connection):
                    self._connection.execute(text("set transaction isolation level repeatable read, read only"))
                    shown = shown_portion(self._connection, self._run.id, kind, after, PORTION)
                    compared = self._compared(kind, shown)
                yield compared
                after = shown[-1].key if shown else None

    def _compared(self, kind: Kind, shown: Sequence[Shown]) -> Compared:
        unreadable: dict[str, str] = {}
        theirs = dict(self._facts(kind, shown, unreadable))
        ours: Mapping[str, SubscriptionSeen | RecordedInvoice | TakenBack]
        keys = [each.key for each in shown if each.key not in unreadable]
        if kind is Kind.SUBSCRIPTION:
            ours = seen = last_seen(self._connection, self._provider.name, keys)
            report = compare(*_subscription_books(self._window, theirs, seen))
        elif kind is Kind.INVOICE:
            program = self._reader.read(self._connection)
            ours = recorded = recorded_invoices(self._connection, self._provider.name, keys, program)
            report = self._invoice_report(theirs, recorded)
        else:
            ours = taken_back = self._taken_back(kind, keys, theirs)
            report = self._reversal_report(kind, theirs, taken_back)
        wrong = [(repair, theirs[repair.key]) for repair in repairs(report) if repair.key in theirs]
        events = [repairing_event(self._provider, repair, their, ours.get(repair.key)) for repair, their in wrong]
        events += self._annulling(shown, report)
        named = (fact.provider_customer_key for _, their in wrong for fact in their.facts)
        people = {key for key in named if key is not None}
        return Compared(report, events, people - described(self._connection, self._provider.name, people), unreadable)

    def _annulling(self, shown: Sequence[Shown], report: Report) -> list[ListedEvent]:
        """Of invoices that are extra here, what the provider itself shows as taken back."""
        found = []
        for each in shown:
            if each.key in report.invoices.extra and each.object is not None and each.listed_at is not None:
                key = ids.derived(MADE_UP, self._provider.name, "annulled", each.key)
                at = each.listed_at - _BEFORE_SHOWN
                event = self._provider.event_of(Kind.INVOICE, each.object, key, at)
                if any(isinstance(fact, Reversal) for fact in _facts_in(self._provider, event)):
                    found.append(event)
        return found

    def _facts(self, kind: Kind, shown: Iterable[Shown], unreadable: dict[str, str]) -> Iterator[tuple[str, _Theirs]]:
        for each in shown:
            if each.object is None or each.listed_at is None:
                continue
            try:
                facts = facts_of(self._provider, kind, each.object, each.listed_at)
            except CannotProcess as error:
                unreadable[each.key] = str(error)
                continue
            if facts:
                yield each.key, _Theirs(each.object, each.listed_at, facts)

    def _invoice_report(self, theirs: Mapping[str, _Theirs], recorded: Mapping[str, RecordedInvoice]) -> Report:
        there = tuple(_paid_invoice(self._provider, their) for their in theirs.values())
        books = ProviderBooks(self._window, invoices=there)
        report = compare(books, OurBooks(invoices=tuple(recorded.values())))
        if not report.invoices.missing:
            return report
        heard = self._heard_of(Kind.INVOICE)
        waits = {key: heard[key] for key in report.invoices.missing if key in heard}
        return compare(books, OurBooks(invoices=tuple(recorded.values()), waiting=waits))

    def _heard_of(self, kind: Kind) -> Mapping[str, str]:
        """The inbox is looked through for what is missing only where something is: seldom, and once."""
        if kind not in self._waiting:
            types = self._provider.told_by[kind]
            self._waiting[kind] = waiting(self._connection, self._provider.name, kind, types)
        return self._waiting[kind]

    def _taken_back(self, kind: Kind, keys: Sequence[str], theirs: Mapping[str, _Theirs]) -> dict[str, TakenBack]:
        """What we have of each object: of one that the provider showed, all the parts that it names."""
        parts = {
            key: [key_of(kind, fact) or key for fact in theirs[key].facts] if key in theirs else [key] for key in keys
        }
        wanted = {part for named in parts.values() for part in named}
        recorded = recorded_reversals(self._connection, self._provider.name, kind, wanted)
        found = {key: tuple(recorded[part] for part in named if part in recorded) for key, named in parts.items()}
        return {
            key: TakenBack(kind, key, max(part.source.occurred_at for part in known), known)
            for key, known in found.items()
            if known
        }

    def _reversal_report(self, kind: Kind, theirs: Mapping[str, _Theirs], ours: Mapping[str, TakenBack]) -> Report:
        shown = {key: self._shown_back(kind, key, their, ours.get(key)) for key, their in theirs.items()}
        lacking = [part for key, each in shown.items() if key not in ours for part in each.parts]
        leading = with_payments_here(self._connection, self._provider.name, lacking)
        shown = {
            key: replace(each, of_ours=any(part.reversal_key in leading for part in each.parts))
            for key, each in shown.items()
        }
        books, known = ProviderBooks(self._window, reversals=tuple(shown.values())), tuple(ours.values())
        report = compare(books, OurBooks(reversals=known))
        if not report.of(kind).missing:
            return report
        heard = self._heard_of(kind)
        waits = {
            key: heard[part.reversal_key]
            for key in report.of(kind).missing
            for part in shown[key].parts
            if part.reversal_key in heard
        }
        return compare(books, OurBooks(reversals=known, reversals_waiting=waits))

    def _shown_back(self, kind: Kind, key: str, their: _Theirs, ours: TakenBack | None) -> TakenBack:
        """The object as it was shown, with what we were told of it since: amounts only grow."""
        told = ours.parts if ours is not None else ()
        since = {part.reversal_key: part for part in told if _told_since(part.source, their.listed_at)}
        parts = [fact for fact in their.facts if isinstance(fact, Reversal)]
        return TakenBack(
            kind,
            key,
            self._provider.holds_since(kind, their.shown) or their.listed_at,
            tuple(merged(part, since.get(part.reversal_key, part)) for part in parts),
        )


def _subscription_books(
    window: Period, theirs: Mapping[str, _Theirs], seen: Mapping[str, SubscriptionSeen]
) -> tuple[ProviderBooks, OurBooks]:
    there, here = [], []
    for key in sorted(theirs.keys() | seen.keys()):
        their, our = theirs.get(key), seen.get(key)
        if their is not None and our is not None and _is_younger(our, their):
            their = replace(their, facts=(our,))
        partly = any(isinstance(side, SubscriptionSeen) and side.items_missing for side in (their and their.fact, our))
        if their is not None and isinstance(their.fact, SubscriptionSeen):
            there.append(_subscription(their.fact, partly=partly))
        if our is not None:
            here.append(_subscription(our, partly=partly))
    return ProviderBooks(window, tuple(there)), OurBooks(tuple(here))


def _is_younger(our: SubscriptionSeen, their: _Theirs) -> bool:
    """By the provider's own numbers, where it has them; else by the clock."""
    if our.source.version != their.fact.source.version:
        return our.source.version > their.fact.source.version
    return _told_since(our.source, their.listed_at)


def _told_since(source: Source, listed_at: datetime) -> bool:
    """Whether an event told it that is younger than the list; what was made of an earlier list is not."""
    made_up = source.event_key.startswith(f"{MADE_UP}_")
    return not made_up and source.occurred_at >= listed_at - _BEFORE_SHOWN


def _subscription(seen: SubscriptionSeen, *, partly: bool) -> Subscription:
    """Of one side only the first page of items is known: they are not compared."""
    found = subscription_of(seen)
    return replace(found, items=()) if partly else found


def _paid_invoice(provider: Provider, their: _Theirs) -> PaidInvoice:
    assert isinstance(their.fact, InvoicePaid)  # `facts_of` saw to it
    paid = transaction_of(their.fact)
    return PaidInvoice(
        their.fact.invoice_key,
        paid.currency,
        provider.net_minor(their.shown),
        tuple(PaidLine(line.key, line.net_minor) for line in paid.lines),
    )


# What an object says, and the event that says it.


def facts_of(provider: Provider, kind: Kind, shown: ListedObject, at: datetime) -> tuple[_Told, ...]:
    """What an object says of its kind; nothing where it says nothing, such as an invoice that is not paid.

    Raises Unreadable for an object that today's code cannot read.
    """
    told = _facts_in(provider, provider.event_of(kind, shown, f"{MADE_UP}_", at))
    return tuple(fact for fact in told if isinstance(fact, _Told) and key_of(kind, fact) is not None)


def _facts_in(provider: Provider, event: ListedEvent) -> tuple[object, ...]:
    told = TRANSLATORS[provider.name](event.event_type, event.event_key, event.occurred_at, event.body)
    return told if isinstance(told, tuple) else ()


def repairing_event(provider: Provider, repair: Repair, their: _Theirs, ours: object | None) -> ListedEvent:
    """The event that would have told what we lack, or what we have otherwise.

    Its key is derived from what it says and what that replaces: to repair the same once more stores nothing. What we
    lack is dated to when it is known to have come about, what we have otherwise to just before it was shown.
    """
    shown_at = their.listed_at - _BEFORE_SHOWN
    at = (provider.holds_since(repair.kind, their.shown) or shown_at) if ours is None else shown_at
    content = "".join(_content(fact) for fact in their.facts)
    key = ids.derived(MADE_UP, provider.name, repair.kind, repair.key, content, _replaced(ours))
    return provider.event_of(repair.kind, their.shown, key, at)


def _replaced(ours: object | None) -> str:
    """What we have: of a reversal its amounts, whichever event told them last."""
    match ours:
        case None:
            return ""
        case SubscriptionSeen():
            return ours.source.event_key
        case TakenBack():
            return repr([replace(part, source=_NO_SOURCE) for part in ours.parts])
    return repr(ours)


def customer_event(provider: Provider, shown: ListedObject, asked_at: datetime) -> ListedEvent:
    """The event that would have described a customer whom nothing has described: what is first said holds from ever."""
    at = provider.holds_since(None, shown) or asked_at
    content = provider.event_of(None, shown, f"{MADE_UP}_", at).body.hex()
    return provider.event_of(None, shown, ids.derived(MADE_UP, provider.name, "customer", shown.key, content), at)


_NO_SOURCE: Final = Source(0, BEGINNING, 0, "")


def _content(fact: _Told) -> str:
    """What it says, whenever it was looked at."""
    plain = replace(fact, source=replace(_NO_SOURCE, version=fact.source.version))
    if isinstance(plain, SubscriptionSeen) and not plain.ended:
        plain = replace(plain, effective_at=BEGINNING)
    return msgspec.json.encode(plain).decode()


def is_told(provider: Provider, event: ListedEvent) -> bool:
    """Whether an event says anything here. What cannot be read is for a person to see, so it counts."""
    try:
        return bool(_facts_in(provider, event))
    except CannotProcess:
        return True
