"""Calendar periods in the program's time zone: days, weeks from Monday, months, quarters, years, rolling windows.

A day is what the calendar calls one, 23 or 25 hours long where the clocks change; every bound comes out in UTC,
because two datetimes of one zone compare by their wall clock and would go wrong in the repeated hour.
"""

import calendar
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum
from functools import lru_cache
from typing import assert_never


class Unit(StrEnum):
    """A calendar period."""

    DAY = "day"
    #: From Monday.
    WEEK = "week"
    MONTH = "month"
    #: From January, April, July or October.
    QUARTER = "quarter"
    YEAR = "year"


@dataclass(frozen=True, slots=True)
class Span:
    """A length on the calendar. Months are clamped to the end of a shorter month."""

    months: int = 0
    days: int = 0


@dataclass(frozen=True, slots=True)
class Period:
    """From `start` up to but not including `end`, both UTC; None is open."""

    start: datetime | None
    end: datetime | None

    def __contains__(self, moment: datetime) -> bool:
        return (self.start is None or self.start <= moment) and (self.end is None or moment < self.end)


def add_months(day: date, months: int) -> date:
    """The same day of the month `months` later (earlier if negative), clamped to that month's last day.

    Count a series from its first day, never from the day before: 31 January, 28 February, 31 March.
    """
    years, month = divmod(day.month - 1 + months, 12)
    year, month = day.year + years, month + 1
    return date(year, month, min(day.day, calendar.monthrange(year, month)[1]))


def start_of_day(day: date, zone: tzinfo) -> datetime:
    """The first moment of a calendar day, in UTC. Where midnight is skipped or repeated, the earliest there is."""
    return datetime.combine(day, time(0), tzinfo=zone).astimezone(UTC)


def shift(moment: datetime, span: Span, zone: tzinfo, times: int = 1) -> datetime:
    """The moment `times` spans later by the wall clock of `zone`, in UTC; negative `times` go back."""
    # In UTC, because two moments of a repeated hour are equal to Python, and to a cache, within their own zone.
    return _shift_utc(moment.astimezone(UTC), span, zone, times)


@lru_cache(maxsize=1_024)
def _shift_utc(moment: datetime, span: Span, zone: tzinfo, times: int) -> datetime:
    """Remembered: many triggers ask for the same anniversary of one customer."""
    local = moment.astimezone(zone)
    day = add_months(local.date(), span.months * times) + timedelta(days=span.days * times)
    return datetime.combine(day, local.time(), tzinfo=zone).astimezone(UTC)


def current_period(unit: Unit, as_of: datetime, zone: tzinfo) -> Period:
    """The day, week, month, quarter or year that holds `as_of`."""
    return _from_first_day(unit, first_day(unit, as_of.astimezone(zone).date()), zone)


def previous_period(unit: Unit, as_of: datetime, zone: tzinfo) -> Period:
    """The whole period before the one that holds `as_of`."""
    this = first_day(unit, as_of.astimezone(zone).date())
    return _from_first_day(unit, first_day(unit, this - timedelta(days=1)), zone)


def rolling_period(span: Span, as_of: datetime, zone: tzinfo) -> Period:
    """The span that ends with `as_of`; both its first moment and `as_of` itself are inside."""
    return Period(shift(as_of, span, zone, times=-1), as_of.astimezone(UTC) + timedelta.resolution)


def first_day(unit: Unit, day: date) -> date:
    """The first day of the period that holds `day`."""
    match unit:
        case Unit.DAY:
            return day
        case Unit.WEEK:
            return day - timedelta(days=day.weekday())
        case Unit.MONTH:
            return day.replace(day=1)
        case Unit.QUARTER:
            return date(day.year, day.month - (day.month - 1) % 3, 1)
        case Unit.YEAR:
            return date(day.year, 1, 1)
    assert_never(unit)


def _from_first_day(unit: Unit, first: date, zone: tzinfo) -> Period:
    return Period(start_of_day(first, zone), start_of_day(_next_first_day(unit, first), zone))


def _next_first_day(unit: Unit, first: date) -> date:
    match unit:
        case Unit.DAY:
            return first + timedelta(days=1)
        case Unit.WEEK:
            return first + timedelta(days=7)
        case Unit.MONTH:
            return add_months(first, 1)
        case Unit.QUARTER:
            return add_months(first, 3)
        case Unit.YEAR:
            return add_months(first, 12)
    assert_never(unit)
