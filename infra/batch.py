"""One batch of claimed envelopes: translate, record, judge, book and mark, in one transaction.

Everything here is set-based; the number of statements does not depend on the number of events. Whoever calls this
decides what happens when it fails (`worker.drain`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection

from domain import ids
from domain.case import Program
from domain.decide import Affected, Booking
from domain.errors import CannotProcess
from domain.facts import (
    COMPANY,
    BillingEvent,
    CatalogueEvent,
    CustomerLinked,
    CustomerSeen,
    Fact,
    InvoicePaid,
    InvoicePayment,
    PriceDescribed,
    ProductClaimed,
    ProductDescribed,
    Reversal,
    SubscriptionSeen,
)
from domain.known import Changes, Known, ProviderCustomerKey
from infra import crashpoint
from infra.catalogue_changes import record_catalogue
from infra.clock import Clock
from infra.inbox import Envelope, InboxState, Mark, mark
from infra.ledger.addresses import address_locks
from infra.ledger.deciding import judge_again, judge_partner, settle
from infra.ledger.held import Held, lock_name
from infra.ledger.postgres import PostgresLedger
from infra.locks import lock_customers, own_program, share_program
from infra.outcomes import marks_of
from infra.program import ProgramReader
from infra.program_changes import (
    CUSTOMERS,
    PARTNER_JOINED,
    Rejudge,
    affected_portion,
    customers_portion,
    request_rejudge,
)
from infra.rows import as_json, fetch
from infra.waking import wake_waiting

#: Transactions judged again in one go because the program changed; the rest follow as inbox rows of their own.
PORTION = 500


@dataclass(frozen=True, slots=True)
class Translated:
    """An envelope and the facts in it: of billing, or of the provider's catalogue."""

    envelope: Envelope
    events: tuple[BillingEvent, ...]
    catalogue: tuple[CatalogueEvent, ...] = ()


def translated(envelope: Envelope, facts: Iterable[Fact]) -> Translated:
    """An envelope with its facts sorted by kind."""
    found = tuple(facts)
    return Translated(
        envelope,
        tuple(fact for fact in found if not isinstance(fact, ProductDescribed | PriceDescribed)),
        tuple(fact for fact in found if isinstance(fact, ProductDescribed | PriceDescribed)),
    )


@dataclass(slots=True)
class BatchResult:
    """What a batch did."""

    marks: list[Mark] = field(default_factory=list)
    #: Not begun: others have their customers. The caller still holds their claims.
    busy: list[Translated] = field(default_factory=list)
    bookings: list[Booking] = field(default_factory=list)
    #: None: nothing was recorded, for what was judged was a change of the program.
    changes: Changes | None = None


def process(connection: Connection, batch: Sequence[Translated], reader: ProgramReader, now: datetime) -> BatchResult:
    """Work on a batch within the caller's transaction.

    A batch that holds descriptions of the provider's catalogue has the program to itself. Raises ClaimLost when another
    worker has taken over: the caller's transaction must then be rolled back.
    """
    described = [event for each in batch for event in each.catalogue]
    (own_program if described else share_program)(connection)
    program = reader.read(connection)
    locked = _lock(connection, batch)
    events = [event for translated in locked.mine for event in translated.events]
    known, changes, bookings = settle(PostgresLedger(connection, program), events, program, _Batch(connection, locked))
    crashpoint.reach("after_effect_before_done")
    wake_waiting(connection, known, changes)
    # Last: what was judged here was judged by the program as it was, and whatever is another now is asked for again.
    entries = record_catalogue(connection, described, now) if described else {}
    worked = [(each.envelope, each.events, each.catalogue) for each in locked.mine]
    result = BatchResult(marks_of(worked, bookings, known, changes, entries, now), locked.busy, bookings, changes)
    mark(connection, result.marks)
    return result


def rejudge(connection: Connection, envelope: Envelope, reader: ProgramReader, clock: Clock) -> BatchResult:
    """Judge the portion of history that a change of the program asks for, and ask for the next portion."""
    share_program(connection)
    program = reader.read(connection)
    try:
        work = msgspec.json.decode(envelope.body(), type=Rejudge)
    except msgspec.MsgspecError as error:
        raise CannotProcess(f"not a request to judge again: {error}") from error
    ledger = PostgresLedger(connection, program)
    if work.kind in (CUSTOMERS, PARTNER_JOINED):
        judged = _judge_occasions(connection, ledger, work, program, envelope.cause)
        if judged is None:
            return BatchResult(busy=[Translated(envelope, ())])
        bookings, after = judged
    else:
        asked = affected_portion(connection, work, PORTION)
        touched, locked = _until_busy(connection, asked)
        if asked and not touched:
            return BatchResult(busy=[Translated(envelope, ())])
        affected = Affected(dict.fromkeys((row.key for row in touched), envelope.cause))
        bookings = judge_again(ledger, affected, program, Held(connection, locked))
        after = touched[-1].key if len(touched) == PORTION or len(touched) < len(asked) else None
    if after is not None:
        request_rejudge(connection, msgspec.structs.replace(work, after=after), envelope.event_key, clock())
    outcome = {"commissions": sorted({booking.entry.commission_key for booking in bookings})}
    marks = [Mark(envelope.id, envelope.attempts, InboxState.PROCESSED, outcome=outcome)]
    mark(connection, marks)
    return BatchResult(marks, [], bookings)


def _judge_occasions(
    connection: Connection, ledger: PostgresLedger, work: Rejudge, program: Program, cause: str
) -> tuple[list[Booking], str | None] | None:
    """The next portion of customers' other occasions, or one partner's joining; and where the next portion begins.

    None: another worker is busy with the first of them.
    """
    if work.kind == PARTNER_JOINED:
        if not lock_customers(connection, {ids.partner_subject(work.key)}):
            return None
        return judge_partner(ledger, work.key, cause, program), None
    asked = customers_portion(connection, work, PORTION)
    locked = lock_customers(connection, set(asked))
    free = next((place for place, key in enumerate(asked) if key not in locked), len(asked))
    if asked and not free:
        return None
    judged = asked[:free]
    bookings = judge_again(ledger, Affected(customers=dict.fromkeys(judged, cause)), program)
    return bookings, judged[-1] if len(judged) == PORTION or free < len(asked) else None


def _until_busy(connection: Connection, asked: Sequence[Any]) -> tuple[Sequence[Any], set[str]]:
    """The transactions before the first whose customer another worker has, for in live traffic somebody is always busy;
    and what is locked.
    """
    names = [
        {lock_name(row.provider, row.provider_customer_key), *((row.customer,) if row.customer is not None else ())}
        for row in asked
    ]
    locked = lock_customers(connection, {name for each in names for name in each})
    free = next((place for place, each in enumerate(names) if not each <= locked), len(names))
    return asked[:free], locked


# Locks.


@dataclass(frozen=True, slots=True)
class _Locked:
    """Envelopes whose customers are ours for this transaction, those whose are not, and what is locked."""

    mine: list[Translated]
    busy: list[Translated]
    names: set[str]


def _lock(connection: Connection, batch: Sequence[Translated]) -> _Locked:
    """Lock every customer the batch is about, under all names; what is about busy customers is left for later."""
    events = [event for translated in batch for event in translated.events]
    named = {(e.provider, e.provider_customer_key) for e in events if e.provider_customer_key is not None}
    linked, owners = _linked(connection, named), _owners(connection, batch)
    needed = {t.envelope.id: _names(t.events, linked) | owners.get(t.envelope.id, set()) for t in batch}
    locked = lock_customers(connection, {name for names in needed.values() for name in names})
    return _Locked(
        mine=[translated for translated in batch if needed[translated.envelope.id] <= locked],
        busy=[translated for translated in batch if not needed[translated.envelope.id] <= locked],
        names=locked,
    )


def _names(events: Iterable[BillingEvent], linked: Mapping[ProviderCustomerKey, str]) -> set[str]:
    names: set[str] = set()
    for event in events:
        place = (event.provider, event.provider_customer_key or "")
        names.add(lock_name(*place))
        names |= _money_names(event) | _subscription_names(event)
        if place in linked:
            names.add(linked[place])
        names |= {ids.customer_key(key) for key in _company_keys(event) if key is not None}
    return names


def _company_keys(event: BillingEvent) -> tuple[str | None, ...]:
    """The company's own ids of customers that an event can make known."""
    named = (event.customer_key,) if isinstance(event, CustomerSeen | CustomerLinked) else ()
    return (*named, event.provider_customer_key) if event.provider == COMPANY else named


def _money_names(event: BillingEvent) -> set[str]:
    """A refund and its invoice must not pass each other by: both lock what may lead from one to the other."""
    if not isinstance(event, InvoicePaid | InvoicePayment | Reversal):
        return set()
    names = {f"{event.provider}:payment:{key}" for key in event.payment_keys}
    return names | ({f"{event.provider}:invoice:{event.invoice_key}"} if event.invoice_key is not None else set())


def _subscription_names(event: BillingEvent) -> set[str]:
    """Nor a charge and what credits it, a product and what was paid for it: they may be told of two customers. What a
    posted line refers to is its own customer's.
    """
    match event:
        case InvoicePaid() if event.provider != COMPANY:
            keys = {line.subscription_key for line in event.lines}
        case SubscriptionSeen() | ProductClaimed():
            keys = {event.subscription_key}
        case _:
            keys = set()
    return {ids.subscription_subject(event.provider, key) for key in keys if key is not None}


#: Whose payment a refund, a dispute or a link leads to, and under which name of ours they are locked.
_OWNERS = """
    with named as (
        select * from json_to_recordset(cast(:named as json)) as n(id bigint, provider text, invoice_key text, payment_key text)
    ), led as (
        select id, provider, invoice_key from named where invoice_key is not null
        union
        select n.id, n.provider, l.invoice_key from named n join payment_links l using (provider, payment_key)
    )
    select led.id, t.provider, t.provider_customer_key, p.customer from led
    join transactions t on t.key = case led.provider when 'api' then '' else led.provider || ':' end || led.invoice_key
    left join provider_customers p on p.provider = t.provider and p.provider_customer_key = t.provider_customer_key
"""  # noqa: E501


def _owners(connection: Connection, batch: Sequence[Translated]) -> dict[int, set[str]]:
    """Per envelope the lock names of customers whose payments it can change without naming them."""
    named = [
        {"id": translated.envelope.id, "provider": e.provider, "invoice_key": e.invoice_key, "payment_key": key}
        for translated in batch
        for e in translated.events
        if isinstance(e, InvoicePayment | Reversal)
        for key in (*e.payment_keys, None)
    ]
    owners: dict[int, set[str]] = {}
    for row in fetch(connection, _OWNERS, named=as_json(named)) if named else ():
        names = {lock_name(row.provider, row.provider_customer_key), row.customer}
        owners.setdefault(row.id, set()).update(name for name in names if name is not None)
    return owners


def _linked(connection: Connection, places: Iterable[ProviderCustomerKey]) -> dict[ProviderCustomerKey, str]:
    wanted = [{"provider": provider, "key": key} for provider, key in sorted(places)]
    if not wanted:
        return {}
    rows = fetch(
        connection,
        """
        select p.provider, p.provider_customer_key, p.customer
        from json_to_recordset(cast(:places as json)) as w(provider text, key text)
        join provider_customers p on p.provider = w.provider and p.provider_customer_key = w.key
        where p.customer is not null
        """,
        places=as_json(wanted),
    )
    return {(row.provider, row.provider_customer_key): row.customer for row in rows}


class _Batch(Held):
    """What is locked for a batch. Whoever else turns out to be concerned is locked as well: a customer may have been
    linked meanwhile, or what is recorded of a refund leads to a payment that it does not name.
    """

    def __init__(self, connection: Connection, locked: _Locked) -> None:
        super().__init__(connection, locked.names)
        self._events = [event for translated in locked.mine for event in translated.events]

    def for_recording(self, known: Known) -> bool:
        """Everybody whose facts this batch can change, under every name, and the subscriptions of retold payments."""
        people = {p: person.customer for p, person in known.provider_customers.items()}
        named = {(e.provider, e.provider_customer_key or "") for e in self._events}
        sharing = (known.descriptions or {}).keys()
        owners = {(paid.provider, paid.provider_customer_key or "") for paid in known.transactions.values()}
        people |= _linked(self.connection, owners - people.keys())
        needed = {lock_name(*place) for place in owners | sharing}
        needed |= {key for place in named | owners | sharing if (key := people.get(place)) is not None}
        if known.descriptions is not None:
            needed |= address_locks(self._events, known.descriptions)
        return self.take(needed | self._subscriptions_before(known))

    def _subscriptions_before(self, known: Known) -> set[str]:
        told = [e for e in self._events if isinstance(e, InvoicePaid) and e.provider != COMPANY]
        recorded = [known.transactions.get(ids.transaction_key(e.provider, e.invoice_key)) for e in told]
        return {
            ids.subscription_subject(paid.provider, line.subscription_key)
            for paid in recorded
            if paid is not None
            for line in paid.lines
            if line.subscription_key is not None
        }
