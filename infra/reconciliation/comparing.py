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
from domain.errors import CannotProcess
from domain.facts import InvoicePaid, Reversal, Source, SubscriptionSeen
from domain.known import BEGINNING
from domain.periods import Period
from domain.reconcile import (
    Kind,
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
from domain.transactions import transaction_of
from infra.program import ProgramReader
from infra.providers.registry import TRANSLATORS
from infra.reconciliation.ours import described, last_seen, recorded_invoices, waiting_invoices
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


@dataclass(frozen=True, slots=True)
class _Theirs:
    """An object that the provider showed, as a fact."""

    shown: ListedObject
    listed_at: datetime
    fact: SubscriptionSeen | InvoicePaid


class Comparer:
    """Compares portion by portion, each in a transaction of its own that sees one moment."""

    def __init__(self, connection: Connection, provider: Provider, run: Run, reader: ProgramReader) -> None:
        assert run.since is not None and run.until is not None  # set when it started
        self._connection = connection
        self._provider = provider
        self._run = run
        self._reader = reader
        self._window = Period(run.since, run.until)
        self._waiting: Mapping[str, str] | None = None

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
        ours: Mapping[str, SubscriptionSeen | RecordedInvoice]
        keys = [each.key for each in shown if each.key not in unreadable]
        if kind is Kind.SUBSCRIPTION:
            ours = seen = last_seen(self._connection, self._provider.name, keys)
            report = compare(*_subscription_books(self._window, theirs, seen))
        else:
            program = self._reader.read(self._connection)
            ours = recorded = recorded_invoices(self._connection, self._provider.name, keys, program)
            report = self._invoice_report(theirs, recorded)
        wrong = [(repair, theirs[repair.key]) for repair in repairs(report) if repair.key in theirs]
        events = [repairing_event(self._provider, repair, their, ours.get(repair.key)) for repair, their in wrong]
        events += self._annulling(shown, report)
        people = {
            their.fact.provider_customer_key for _, their in wrong if their.fact.provider_customer_key is not None
        }
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
                fact = fact_of(self._provider, kind, each.object, each.listed_at)
            except CannotProcess as error:
                unreadable[each.key] = str(error)
                continue
            if fact is not None:
                yield each.key, _Theirs(each.object, each.listed_at, fact)

    def _invoice_report(self, theirs: Mapping[str, _Theirs], recorded: Mapping[str, RecordedInvoice]) -> Report:
        """The inbox is looked through for what is missing only where something is: seldom, and once."""
        there = tuple(_paid_invoice(self._provider, their) for their in theirs.values())
        books = ProviderBooks(self._window, invoices=there)
        report = compare(books, OurBooks(invoices=tuple(recorded.values())))
        if not report.invoices.missing:
            return report
        if self._waiting is None:
            self._waiting = waiting_invoices(self._connection, self._provider.name, self._provider.paid_types)
        waiting = {key: self._waiting[key] for key in report.invoices.missing if key in self._waiting}
        return compare(books, OurBooks(invoices=tuple(recorded.values()), waiting=waiting))


def _subscription_books(
    window: Period, theirs: Mapping[str, _Theirs], seen: Mapping[str, SubscriptionSeen]
) -> tuple[ProviderBooks, OurBooks]:
    there, here = [], []
    for key in sorted(theirs.keys() | seen.keys()):
        their, our = theirs.get(key), seen.get(key)
        if their is not None and our is not None and _is_younger(our, their):
            their = replace(their, fact=our)
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
    made_up = our.source.event_key.startswith(f"{MADE_UP}_")
    return not made_up and our.source.occurred_at >= their.listed_at - _BEFORE_SHOWN


def _subscription(seen: SubscriptionSeen, *, partly: bool) -> Subscription:
    """Of one side only the first page of items is known: they are not compared."""
    found = subscription_of(seen)
    return replace(found, items=()) if partly else found


def _paid_invoice(provider: Provider, their: _Theirs) -> PaidInvoice:
    assert isinstance(their.fact, InvoicePaid)  # `fact_of` saw to it
    paid = transaction_of(their.fact)
    return PaidInvoice(
        their.fact.invoice_key,
        paid.currency,
        provider.net_minor(their.shown),
        tuple(PaidLine(line.key, line.net_minor) for line in paid.lines),
    )


# What an object says, and the event that says it.


def fact_of(provider: Provider, kind: Kind, shown: ListedObject, at: datetime) -> SubscriptionSeen | InvoicePaid | None:
    """The fact that an object is; None where it is none, such as an invoice that is not paid.

    Raises Unreadable for an object that today's code cannot read.
    """
    wanted = SubscriptionSeen if kind is Kind.SUBSCRIPTION else InvoicePaid
    for fact in _facts_in(provider, provider.event_of(kind, shown, f"{MADE_UP}_", at)):
        if isinstance(fact, wanted):
            return fact
    return None


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
    replaced = ours.source.event_key if isinstance(ours, SubscriptionSeen) else ("" if ours is None else repr(ours))
    key = ids.derived(MADE_UP, provider.name, repair.kind, repair.key, _content(their.fact), replaced)
    return provider.event_of(repair.kind, their.shown, key, at)


def customer_event(provider: Provider, shown: ListedObject, asked_at: datetime) -> ListedEvent:
    """The event that would have described a customer whom nothing has described: what is first said holds from ever."""
    at = provider.holds_since(None, shown) or asked_at
    content = provider.event_of(None, shown, f"{MADE_UP}_", at).body.hex()
    return provider.event_of(None, shown, ids.derived(MADE_UP, provider.name, "customer", shown.key, content), at)


def _content(fact: SubscriptionSeen | InvoicePaid) -> str:
    """What it says, whenever it was looked at."""
    plain = replace(fact, source=Source(fact.source.version, BEGINNING, 0, ""))
    if isinstance(plain, SubscriptionSeen) and not plain.ended:
        plain = replace(plain, effective_at=BEGINNING)
    return msgspec.json.encode(plain).decode()


def is_told(provider: Provider, event: ListedEvent) -> bool:
    """Whether an event says anything here. What cannot be read is for a person to see, so it counts."""
    try:
        return bool(_facts_in(provider, event))
    except CannotProcess:
        return True
