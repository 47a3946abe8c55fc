"""Reconciliation: a provider's books beside ours, what differs, and money that ties out to the cent.

Every line of every paid invoice at the provider stands in exactly one bucket. What differs is fetched again and goes
through the same path as any event: nothing here repairs by itself.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import assert_never

from domain.differences import NOTHING, REVERSALS, Comparison, Difference, Kind, beside
from domain.facts import ProductStatus, SubscriptionItem, SubscriptionSeen
from domain.periods import Period
from domain.reversal_books import TakenBack, compare_reversals

# The books of both sides.


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription as its last snapshot shows it: before payments count as evidence of anything."""

    #: The provider's id.
    key: str
    status: ProductStatus
    provider_status: str
    ended: bool
    #: In any order, one per product. Of an ended subscription they are not compared.
    items: tuple[SubscriptionItem, ...] = ()


def subscription_of(seen: SubscriptionSeen) -> Subscription:
    """What a snapshot says, be it the provider's answer or the newest one we recorded."""
    return Subscription(seen.subscription_key, seen.status, seen.provider_status, seen.ended, seen.items)


@dataclass(frozen=True, slots=True)
class PaidLine:
    """A line of a paid invoice, netted per product like a transaction's; see `domain.ids.line_key`."""

    key: str
    #: After discounts, without tax; negative for credits.
    net_minor: int


@dataclass(frozen=True, slots=True)
class PaidInvoice:
    """A paid invoice as the provider has it."""

    #: The provider's id.
    key: str
    currency: str
    #: The invoice's own total without tax, not added up from its lines.
    net_minor: int
    lines: tuple[PaidLine, ...]


class Bucket(StrEnum):
    """What became of a line. Each says what puts a line there."""

    #: A trigger fired on it, or on the whole payment.
    COMMISSIONED = "commissioned"
    #: Judged, and for a stated reason no trigger fired.
    EXCLUDED = "excluded"
    #: Not judged yet, for a stated reason: nobody has linked the customer.
    WAITING = "waiting"
    #: The provider has it and we do not.
    MISSING = "missing"
    #: Recorded otherwise than the provider has it, or without a reason for what became of it.
    UNEXPLAINED = "unexplained"


@dataclass(frozen=True, slots=True)
class RecordedLine:
    """A line of one of our transactions, and what became of it."""

    key: str
    net_minor: int
    #: Commissioned, excluded or waiting; unexplained where nothing tells.
    bucket: Bucket
    #: Why it is excluded or waiting.
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class RecordedInvoice:
    """One of our transactions, under the provider's invoice id."""

    key: str
    currency: str
    paid_at: datetime
    lines: tuple[RecordedLine, ...]
    #: Whether every charge of it was taken back: the provider need not call it paid any more.
    taken_back: bool = False


@dataclass(frozen=True, slots=True)
class ProviderBooks:
    """What the provider answered when asked for a window. The same object may be listed twice: pages overlap."""

    window: Period
    subscriptions: tuple[Subscription, ...] = ()
    invoices: tuple[PaidInvoice, ...] = ()
    reversals: tuple[TakenBack, ...] = ()


@dataclass(frozen=True, slots=True)
class OurBooks:
    """What we have of the window, and of everything else that the provider's answer names."""

    subscriptions: tuple[Subscription, ...] = ()
    invoices: tuple[RecordedInvoice, ...] = ()
    #: Invoices we have heard of and cannot record yet, by id: what each waits for.
    waiting: Mapping[str, str] = field(default_factory=dict)
    reversals: tuple[TakenBack, ...] = ()
    #: The same of refunds, credit notes and disputes.
    reversals_waiting: Mapping[str, str] = field(default_factory=dict)


# What is reported.


@dataclass(frozen=True, slots=True)
class Placement:
    """Where one line of the provider's stands."""

    invoice_key: str
    #: None: the part of an invoice's total that its lines do not add up to.
    line_key: str | None
    currency: str
    amount_minor: int
    bucket: Bucket
    reason: str | None


@dataclass(frozen=True, slots=True)
class Tally:
    """The lines of one currency that stand in one bucket for one reason."""

    bucket: Bucket
    reason: str | None
    lines_count: int
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Total:
    """All money of one currency."""

    currency: str
    #: The totals of the provider's invoices.
    provider_minor: int
    #: Our lines, those of invoices that are extra here included.
    ours_minor: int
    #: In the order of their buckets, then reasons.
    tallies: tuple[Tally, ...]

    def amount_minor(self, bucket: Bucket) -> int:
        """What stands in one bucket, for whatever reason."""
        return sum(tally.amount_minor for tally in self.tallies if tally.bucket is bucket)

    @property
    def ties_out(self) -> bool:
        """Whether the buckets make up the provider's total to the cent."""
        return self.provider_minor == sum(tally.amount_minor for tally in self.tallies)


@dataclass(frozen=True, slots=True)
class Report:
    """Both sides compared."""

    window: Period
    subscriptions: Comparison
    invoices: Comparison
    #: One per currency, in order.
    money: tuple[Total, ...]
    refunds: Comparison = NOTHING
    credit_notes: Comparison = NOTHING
    disputes: Comparison = NOTHING

    def of(self, kind: Kind) -> Comparison:
        """The comparison of one kind."""
        match kind:
            case Kind.SUBSCRIPTION:
                return self.subscriptions
            case Kind.INVOICE:
                return self.invoices
            case Kind.REFUND:
                return self.refunds
            case Kind.CREDIT_NOTE:
                return self.credit_notes
            case Kind.DISPUTE:
                return self.disputes
            case _:
                assert_never(kind)


@dataclass(frozen=True, slots=True, order=True)
class Repair:
    """Something to fetch again from the provider."""

    kind: Kind
    key: str


@dataclass(frozen=True, slots=True)
class Repaired:
    """What fetching again has put right, and what is still to do (found since, maybe)."""

    done: tuple[Repair, ...]
    left: tuple[Repair, ...]


def compare(provider: ProviderBooks, ours: OurBooks) -> Report:
    """The provider's books beside ours.

    Of our invoices those count that the provider names, and those of the window of which something is left.
    """
    there = {invoice.key: invoice for invoice in provider.invoices}
    left = (each for each in ours.invoices if each.paid_at in provider.window and not each.taken_back)
    here = {each.key: each for each in ours.invoices if each.key in there} | {each.key: each for each in left}
    refunds, credit_notes, disputes = (
        compare_reversals(kind, provider.window, provider.reversals, ours.reversals, ours.reversals_waiting)
        for kind in REVERSALS
    )
    return Report(
        window=provider.window,
        subscriptions=beside(
            {each.key: each for each in provider.subscriptions},
            {each.key: each for each in ours.subscriptions},
            _subscription_differences,
        ),
        invoices=beside(there, here, _invoice_differences, ours.waiting),
        money=_totals(there, here, placements(provider, ours)),
        refunds=refunds,
        credit_notes=credit_notes,
        disputes=disputes,
    )


def placements(provider: ProviderBooks, ours: OurBooks) -> Iterator[Placement]:
    """Where each line of the provider's invoices stands: each exactly once, in the order of invoice and line."""
    recorded = {invoice.key: invoice for invoice in ours.invoices}
    for invoice in sorted({each.key: each for each in provider.invoices}.values(), key=lambda each: each.key):
        yield from _place(invoice, recorded.get(invoice.key), ours.waiting.get(invoice.key))


def repairs(report: Report) -> tuple[Repair, ...]:
    """What to fetch again, each once and in order: all that is missing, extra or different.

    What is extra may only have left the window; the provider's answer about it tells.
    """
    found = set()
    for kind in Kind:
        compared = report.of(kind)
        keys = (*compared.missing, *compared.extra, *(difference.key for difference in compared.different))
        found |= {Repair(kind, key) for key in keys}
    return tuple(sorted(found))


def repaired(before: Report, after: Report) -> Repaired:
    """What came of the repairs that `before` asked for, by a report made after them."""
    asked, left = repairs(before), repairs(after)
    remaining = set(left)
    return Repaired(tuple(repair for repair in asked if repair not in remaining), left)


# Subscriptions.


def _subscription_differences(there: Subscription, here: Subscription) -> Iterator[Difference]:
    sold, known = _fields(there), _fields(here)
    for name in sorted(sold.keys() | known.keys()):
        if name.startswith("items") and there.ended and here.ended:
            continue
        if sold.get(name) != known.get(name):
            yield Difference(there.key, name, sold.get(name), known.get(name))


def _fields(subscription: Subscription) -> dict[str, str | int | None]:
    found: dict[str, str | int | None] = {
        "ended": "yes" if subscription.ended else "no",
        "provider_status": subscription.provider_status,
        "status": subscription.status.value,
    }
    for item in subscription.items:
        name = f"items[{item.product_key}]"
        found[f"{name}.amount"] = item.amount_minor
        found[f"{name}.prices"] = " ".join(sorted(item.price_keys))
        found[f"{name}.quantity"] = item.quantity
    return found


# Invoices.


def _invoice_differences(there: PaidInvoice, here: RecordedInvoice) -> Iterator[Difference]:
    if there.currency != here.currency:
        yield Difference(there.key, "currency", there.currency, here.currency)
    net_minor = sum(line.net_minor for line in here.lines)
    if there.net_minor != net_minor:
        yield Difference(there.key, "net", there.net_minor, net_minor)
    billed = {line.key: line.net_minor for line in there.lines}
    known = {line.key: line.net_minor for line in here.lines}
    for key in sorted(billed.keys() | known.keys()):
        if billed.get(key) != known.get(key):
            yield Difference(there.key, f"lines[{key}]", billed.get(key), known.get(key))


def _place(invoice: PaidInvoice, recorded: RecordedInvoice | None, waits_for: str | None) -> Iterator[Placement]:
    known = {} if recorded is None else {line.key: line for line in recorded.lines}
    for line in sorted(invoice.lines, key=lambda line: line.key):
        bucket, reason = _fate(line, known.get(line.key), waits_for if recorded is None else None)
        if recorded is not None and line.key in known and recorded.currency != invoice.currency:
            bucket, reason = Bucket.UNEXPLAINED, "recorded in another currency"
        yield Placement(invoice.key, line.key, invoice.currency, line.net_minor, bucket, reason)
    rest_minor = invoice.net_minor - sum(line.net_minor for line in invoice.lines)
    if rest_minor:
        bucket, reason = Bucket.UNEXPLAINED, "the lines do not add up to the total"
        if recorded is None:
            bucket, reason = (Bucket.WAITING, waits_for) if waits_for else (Bucket.MISSING, None)
        yield Placement(invoice.key, None, invoice.currency, rest_minor, bucket, reason)


def _fate(line: PaidLine, known: RecordedLine | None, waits_for: str | None) -> tuple[Bucket, str | None]:
    if known is None:
        return (Bucket.WAITING, waits_for) if waits_for else (Bucket.MISSING, None)
    if known.net_minor != line.net_minor:
        return Bucket.UNEXPLAINED, "recorded with another amount"
    if known.bucket is Bucket.COMMISSIONED:
        return Bucket.COMMISSIONED, None
    if known.bucket in (Bucket.EXCLUDED, Bucket.WAITING) and known.reason:
        return known.bucket, known.reason
    return Bucket.UNEXPLAINED, "nothing says what became of it"


def _totals(
    there: Mapping[str, PaidInvoice], here: Mapping[str, RecordedInvoice], placed: Iterable[Placement]
) -> tuple[Total, ...]:
    provider_minor: Counter[str] = Counter()
    ours_minor: Counter[str] = Counter()
    counts: Counter[tuple[str, Bucket, str | None]] = Counter()
    amounts: Counter[tuple[str, Bucket, str | None]] = Counter()
    for invoice in there.values():
        provider_minor[invoice.currency] += invoice.net_minor
    for recorded in here.values():
        ours_minor[recorded.currency] += sum(line.net_minor for line in recorded.lines)
    for each in placed:
        place = (each.currency, each.bucket, each.reason)
        counts[place] += each.line_key is not None
        amounts[place] += each.amount_minor
    order = list(Bucket)
    return tuple(
        Total(
            currency=currency,
            provider_minor=provider_minor[currency],
            ours_minor=ours_minor[currency],
            tallies=tuple(
                Tally(place[1], place[2], counts[place], amounts[place])
                for place in sorted(amounts, key=lambda place: (order.index(place[1]), place[2] or ""))
                if place[0] == currency
            ),
        )
        for currency in sorted(provider_minor.keys() | ours_minor.keys())
    )
