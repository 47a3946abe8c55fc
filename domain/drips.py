"""Drips: a commission paid in instalments, each on its own day."""

from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from domain.money import split_evenly
from domain.periods import Span, shift

_MONTH_DAYS_MAX = 31


@dataclass(frozen=True, slots=True)
class Drip:
    """How an amount is spread over time."""

    #: From earning to the first instalment.
    delay: Span
    #: From one instalment to the next.
    cycle: Span
    #: How many instalments; one or more.
    occurrences: int
    #: True: an instalment that falls due while the product is Churned is not paid.
    stop_on_churn: bool = False


def due_dates(drip: Drip, earned_at: datetime, zone: tzinfo) -> list[datetime]:
    """When each instalment falls due, in UTC. Month ends are clamped, each counted from the first instalment."""
    first = shift(earned_at, drip.delay, zone)
    return [shift(first, drip.cycle, zone, times=number) for number in range(drip.occurrences)]


def instalments(drip: Drip, amount_minor: int) -> list[int]:
    """The amount of each instalment; they add up to the whole, larger ones first."""
    return split_evenly(amount_minor, drip.occurrences)


def horizon(drip: Drip) -> timedelta:
    """No instalment falls due later than this after the amount was earned."""
    months = drip.delay.months + drip.cycle.months * (drip.occurrences - 1)
    days = drip.delay.days + drip.cycle.days * (drip.occurrences - 1)
    return timedelta(days=months * _MONTH_DAYS_MAX + days + 1)  # a day for the clocks' changes
