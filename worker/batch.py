"""One batch of claimed envelopes: translate, record, judge, book and mark, in one transaction.

Everything here is set-based; the number of statements does not depend on the number of events. Whoever calls this
decides what happens when it fails (`worker.drain`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection

from domain import ids
from domain.case import Program
from domain.commissions import Entry, bookings
from domain.errors import CannotProcess, TryLater
from domain.facts import BillingEvent, CustomerSeen, InvoicePaid, SubscriptionSeen
from domain.judge import desired
from domain.known import Changes, Known, ProviderCustomerKey
from domain.record import record
from infra import crashpoint
from infra.clock import Clock
from infra.inbox import Envelope, InboxState, Mark, give_back, mark
from infra.ledger.bookings import book
from infra.ledger.case_files import load_case_file
from infra.ledger.changes import affected, apply_changes
from infra.ledger.known import load_known
from infra.locks import lock_customers, share_program
from infra.program import ProgramReader
from infra.program_changes import Rejudge, affected_portion, request_rejudge
from infra.rows import as_json, fetch

#: How soon an envelope is due again whose customer another worker was busy with.
BUSY_DELAY = timedelta(milliseconds=50)
#: Transactions judged again in one go because the program changed; the rest follow as inbox rows of their own.
PORTION = 500


@dataclass(frozen=True, slots=True)
class Translated:
    """An envelope and the facts in it."""

    envelope: Envelope
    events: tuple[BillingEvent, ...]


@dataclass(slots=True)
class BatchResult:
    """What a batch did."""

    marks: list[Mark] = field(default_factory=list)
    busy: list[Envelope] = field(default_factory=list)
    entries: list[tuple[Entry, str]] = field(default_factory=list)


def process(connection: Connection, batch: Sequence[Translated], reader: ProgramReader) -> BatchResult:
    """Work on a batch within the caller's transaction.

    Raises ClaimLost when another worker has taken over: the caller's transaction must then be rolled back.
    """
    share_program(connection)
    program = reader.read(connection)
    locked = _lock(connection, batch)
    events = [event for translated in locked.mine for event in translated.events]
    known = load_known(connection, events, program.catalogue)
    _refuse_moved(known, locked)
    changes = record(events, known, program.lookback)
    apply_changes(connection, changes)
    entries = judge_again(connection, affected(connection, changes.touched), _knowing(program, changes))
    crashpoint.reach("after_effect_before_done")
    result = BatchResult(_marks(locked.mine, entries), locked.busy, entries)
    mark(connection, result.marks)
    if locked.busy:
        give_back(connection, locked.busy, BUSY_DELAY)
    return result


def _knowing(program: Program, changes: Changes) -> Program:
    """The program with the entries this batch added to its catalogue."""
    if not changes.entries:
        return program
    return replace(program, catalogue=program.catalogue.with_entries(changes.entries.values()))


def judge_again(connection: Connection, touched: Mapping[str, str], program: Program) -> list[tuple[Entry, str]]:
    """Judge transactions (key to cause) and book what each commission lacks or has too much; the entries written."""
    if not touched:
        return []
    case = load_case_file(connection, list(touched))
    entries = [
        (entry, cause)
        for key, cause in touched.items()
        if key in case.transactions
        for entry in bookings(desired(key, case, program), case.booked.get(key, ()))
    ]
    book(connection, entries)
    return entries


def rejudge(connection: Connection, envelope: Envelope, reader: ProgramReader, clock: Clock) -> BatchResult:
    """Judge the portion of history that a change of the program asks for, and ask for the next portion."""
    share_program(connection)
    program = reader.read(connection)
    try:
        work = msgspec.json.decode(envelope.body(), type=Rejudge)
    except msgspec.MsgspecError as error:
        raise CannotProcess(f"not a request to judge again: {error}") from error
    asked = affected_portion(connection, work, PORTION)
    touched = _until_busy(connection, asked)
    if asked and not touched:
        give_back(connection, [envelope], BUSY_DELAY)
        return BatchResult(busy=[envelope])
    entries = judge_again(connection, {row.key: envelope.cause for row in touched}, program)
    if len(touched) == PORTION or len(touched) < len(asked):
        next_portion = Rejudge(work.kind, work.key, work.since, touched[-1].key)
        request_rejudge(connection, next_portion, envelope.event_key, clock())
    outcome = {"commissions": sorted({entry.commission_key for entry, _ in entries})}
    marks = [Mark(envelope.id, envelope.attempts, InboxState.PROCESSED, outcome=outcome)]
    mark(connection, marks)
    return BatchResult(marks, [], entries)


def _until_busy(connection: Connection, asked: Sequence[Any]) -> Sequence[Any]:
    """The transactions before the first whose customer another worker has: in live traffic somebody is always busy."""
    names = [
        {lock_name(row.provider, row.provider_customer_key), *((row.customer,) if row.customer is not None else ())}
        for row in asked
    ]
    locked = lock_customers(connection, {name for each in names for name in each})
    free = next((place for place, each in enumerate(names) if not each <= locked), len(names))
    return asked[:free]


# Locks.


@dataclass(frozen=True, slots=True)
class _Locked:
    """Envelopes whose customers are ours for this transaction, those whose are not, and what is locked."""

    mine: list[Translated]
    busy: list[Envelope]
    names: set[str]


def _lock(connection: Connection, batch: Sequence[Translated]) -> _Locked:
    """Lock every customer the batch is about, under all names; envelopes of busy customers are left for later."""
    linked = _linked(connection, batch)
    needed = {translated.envelope.id: _names(translated.events, linked) for translated in batch}
    locked = lock_customers(connection, {name for names in needed.values() for name in names})
    return _Locked(
        mine=[translated for translated in batch if needed[translated.envelope.id] <= locked],
        busy=[translated.envelope for translated in batch if not needed[translated.envelope.id] <= locked],
        names=locked,
    )


def _names(events: Iterable[BillingEvent], linked: Mapping[ProviderCustomerKey, str]) -> set[str]:
    names: set[str] = set()
    for event in events:
        place = (event.provider, event.provider_customer_key or "")
        names.add(lock_name(*place))
        if place in linked:
            names.add(linked[place])
        if isinstance(event, CustomerSeen) and event.customer_key is not None:
            names.add(ids.customer_key(event.customer_key))
    return names


def lock_name(provider: str, provider_customer_key: str | None) -> str:
    """What is locked for a customer nobody may have linked; a linked one is locked by our own key as well."""
    return ids.provider_customer_subject(provider, provider_customer_key or "")


def _linked(connection: Connection, batch: Sequence[Translated]) -> dict[ProviderCustomerKey, str]:
    places = {
        (event.provider, event.provider_customer_key)
        for translated in batch
        for event in translated.events
        if event.provider_customer_key is not None
    }
    rows = fetch(
        connection,
        """
        select p.provider, p.provider_customer_key, p.customer
        from json_to_recordset(cast(:places as json)) as w(provider text, key text)
        join provider_customers p on p.provider = w.provider and p.provider_customer_key = w.key
        where p.customer is not null
        """,
        places=as_json({"provider": provider, "key": key} for provider, key in places),
    )
    return {(row.provider, row.provider_customer_key): row.customer for row in rows}


def _refuse_moved(known: Known, locked: _Locked) -> None:
    """A customer that was linked while its lock was being taken is locked under one name only: start again."""
    for translated in locked.mine:
        for event in translated.events:
            person = known.provider_customers.get((event.provider, event.provider_customer_key or ""))
            if person is not None and person.customer is not None and person.customer not in locked.names:
                raise TryLater("the customer was linked at this very moment")


# Marks.


def _marks(batch: Iterable[Translated], entries: Iterable[tuple[Entry, str]]) -> list[Mark]:
    caused: dict[str, set[str]] = {}
    for entry, cause in entries:
        caused.setdefault(cause, set()).add(entry.commission_key)
    return [
        Mark(
            translated.envelope.id,
            translated.envelope.attempts,
            InboxState.PROCESSED,
            outcome=_outcome(translated.events, caused.get(translated.envelope.cause, set())),
        )
        for translated in batch
    ]


def _outcome(events: Iterable[BillingEvent], commissions: set[str]) -> dict[str, list[str]]:
    """What an event is about, and the commissions it was the first to cause."""
    found: dict[str, list[str]] = {}
    for event in events:
        match event:
            case CustomerSeen():
                found.setdefault("customers", []).append(event.provider_customer_key)
            case SubscriptionSeen():
                found.setdefault("subscriptions", []).append(event.subscription_key)
            case InvoicePaid():
                found.setdefault("transactions", []).append(ids.transaction_key(event.provider, event.invoice_key))
    return found | ({"commissions": sorted(commissions)} if commissions else {})
