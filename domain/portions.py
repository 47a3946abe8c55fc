"""Books compared portion by portion, each a stretch of keys, and the reports added up to one of the whole."""

from collections.abc import Iterable, Sequence

from domain.differences import Comparison, Kind
from domain.periods import Period
from domain.reconcile import Bucket, Report, Tally, Total


def together(window: Period, reports: Iterable[Report]) -> Report:
    """The report that comparing all at once would have made; portions come in the order of their keys."""
    portions = list(reports)
    currencies = sorted({total.currency for report in portions for total in report.money})
    totals = [total for report in portions for total in report.money]
    return Report(
        window=window,
        subscriptions=_compared(Kind.SUBSCRIPTION, portions),
        invoices=_compared(Kind.INVOICE, portions),
        money=tuple(_total(currency, [t for t in totals if t.currency == currency]) for currency in currencies),
        refunds=_compared(Kind.REFUND, portions),
        credit_notes=_compared(Kind.CREDIT_NOTE, portions),
        disputes=_compared(Kind.DISPUTE, portions),
    )


def _compared(kind: Kind, reports: Sequence[Report]) -> Comparison:
    portions = [report.of(kind) for report in reports]
    return Comparison(
        provider_count=sum(portion.provider_count for portion in portions),
        ours_count=sum(portion.ours_count for portion in portions),
        missing=tuple(key for portion in portions for key in portion.missing),
        extra=tuple(key for portion in portions for key in portion.extra),
        different=tuple(difference for portion in portions for difference in portion.different),
        waiting=tuple(key for portion in portions for key in portion.waiting),
    )


def _total(currency: str, portions: Sequence[Total]) -> Total:
    added: dict[tuple[Bucket, str | None], tuple[int, int]] = {}
    for tally in (tally for portion in portions for tally in portion.tallies):
        lines_count, amount_minor = added.get((tally.bucket, tally.reason), (0, 0))
        added[(tally.bucket, tally.reason)] = lines_count + tally.lines_count, amount_minor + tally.amount_minor
    order = list(Bucket)
    places = sorted(added, key=lambda place: (order.index(place[0]), place[1] or ""))
    return Total(
        currency=currency,
        provider_minor=sum(portion.provider_minor for portion in portions),
        ours_minor=sum(portion.ours_minor for portion in portions),
        tallies=tuple(Tally(*place, *added[place]) for place in places),
    )
