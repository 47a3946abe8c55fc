"""Periods are the calendar's, in the program's zone: short months, leap years, clock changes, skipped days."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.periods import (
    Period,
    Span,
    Unit,
    add_months,
    current_period,
    previous_period,
    rolling_period,
    shift,
    start_of_day,
)
from domain.windows import Rolling, period_of

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "Asia/Kolkata", "Pacific/Apia", "Asia/Beirut"]
zones = st.sampled_from(ZONES).map(ZoneInfo)
moments = st.datetimes(datetime(2000, 1, 1), datetime(2037, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("day", "months", "expected"),
    [
        ("2026-01-31", 1, "2026-02-28"),
        ("2028-01-31", 1, "2028-02-29"),
        ("2026-01-31", 2, "2026-03-31"),
        ("2026-12-31", 2, "2027-02-28"),
        ("2026-03-31", -1, "2026-02-28"),
        ("2028-02-29", 12, "2029-02-28"),
        ("2026-01-15", -13, "2024-12-15"),
        ("2026-05-05", 0, "2026-05-05"),
    ],
)
def test_adding_months_clamps_to_the_end(day: str, months: int, expected: str) -> None:
    """A day a shorter month lacks becomes that month's last day, over year ends and backwards, too."""
    assert add_months(date.fromisoformat(day), months) == date.fromisoformat(expected)


BERLIN_TABLE = """
current   day      2026-03-29 12:00   2026-03-29 00:00+01:00   2026-03-30 00:00+02:00
current   day      2026-10-25 12:00   2026-10-25 00:00+02:00   2026-10-26 00:00+01:00
current   week     2026-03-29 12:00   2026-03-23 00:00+01:00   2026-03-30 00:00+02:00
current   month    2026-03-31 23:59   2026-03-01 00:00+01:00   2026-04-01 00:00+02:00
current   quarter  2026-03-31 23:59   2026-01-01 00:00+01:00   2026-04-01 00:00+02:00
current   quarter  2026-12-31 23:59   2026-10-01 00:00+02:00   2027-01-01 00:00+01:00
current   year     2026-01-01 00:00   2026-01-01 00:00+01:00   2027-01-01 00:00+01:00
previous  day      2026-03-30 12:00   2026-03-29 00:00+01:00   2026-03-30 00:00+02:00
previous  week     2026-01-01 12:00   2025-12-22 00:00+01:00   2025-12-29 00:00+01:00
previous  month    2026-03-31 12:00   2026-02-01 00:00+01:00   2026-03-01 00:00+01:00
previous  quarter  2026-01-01 00:00   2025-10-01 00:00+02:00   2026-01-01 00:00+01:00
previous  year     2026-06-15 12:00   2025-01-01 00:00+01:00   2026-01-01 00:00+01:00
"""


@pytest.mark.parametrize("row", BERLIN_TABLE.strip().splitlines())
def test_calendar_periods_in_berlin(row: str) -> None:
    """Each calendar period starts and ends at a midnight of Berlin, whatever the clocks did in between."""
    form, unit, day, clock, *bounds = row.split()
    berlin = ZoneInfo("Europe/Berlin")
    as_of = datetime.fromisoformat(f"{day} {clock}").replace(tzinfo=berlin).astimezone(UTC)
    period = (current_period if form == "current" else previous_period)(Unit(unit), as_of, berlin)
    start, end = (datetime.fromisoformat(" ".join(pair)) for pair in (bounds[:2], bounds[2:]))
    assert period == Period(start, end)
    assert period.start is not None
    assert period.start.tzinfo is UTC


def test_the_same_moment_is_in_two_months() -> None:
    """Half past eleven at night in New York is last month there and already this month in UTC."""
    moment = datetime(2026, 4, 1, 3, 30, tzinfo=UTC)
    april = Period(datetime(2026, 4, 1, tzinfo=UTC), datetime(2026, 5, 1, tzinfo=UTC))
    march = Period(datetime(2026, 3, 1, 5, tzinfo=UTC), datetime(2026, 4, 1, 4, tzinfo=UTC))
    assert current_period(Unit.MONTH, moment, ZoneInfo("UTC")) == april
    assert current_period(Unit.MONTH, moment, ZoneInfo("America/New_York")) == march


@pytest.mark.parametrize(
    ("zone", "day", "first_moment"),
    [
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04 03:00"),  # midnight skipped: the day starts at one
        ("America/Havana", "2026-11-01", "2026-11-01 04:00"),  # midnight twice: the first of them
        ("Pacific/Apia", "2011-12-30", "2011-12-30 10:00"),  # a day that never was: it starts and ends at once
        ("Pacific/Apia", "2011-12-31", "2011-12-30 10:00"),
    ],
)
def test_a_day_starts_with_its_first_moment(zone: str, day: str, first_moment: str) -> None:
    """Where the clocks change at midnight, a day starts with the first moment it has."""
    expected = datetime.fromisoformat(first_moment).replace(tzinfo=UTC)
    assert start_of_day(date.fromisoformat(day), ZoneInfo(zone)) == expected


@given(moment=moments, zone=zones, unit=st.sampled_from(list(Unit)))
def test_periods_meet_without_gap_or_overlap(moment: datetime, zone: ZoneInfo, unit: Unit) -> None:
    """A moment is inside its current period, outside the previous one, and the two meet."""
    current, previous = current_period(unit, moment, zone), previous_period(unit, moment, zone)
    assert moment in current
    assert moment not in previous
    assert previous.end == current.start
    assert current.end is not None
    assert current_period(unit, current.end - timedelta.resolution, zone) == current


@given(moment=moments, zone=zones, days=st.integers(1, 400))
def test_a_rolling_period_includes_both_ends(moment: datetime, zone: ZoneInfo, days: int) -> None:
    """The last n days include this very moment and the same wall-clock time n days ago, but nothing beyond either."""
    period = rolling_period(Span(days=days), moment, zone)
    assert moment in period
    assert moment + timedelta.resolution not in period
    assert period.start is not None
    assert period.start in period
    assert abs(moment - period.start - timedelta(days=days)) <= timedelta(hours=25)  # Apia skipped a day


def test_a_rolling_day_is_the_program_s() -> None:
    """A day back from Sunday noon is Saturday noon in Berlin, 25 hours before when the clocks went back in between."""
    noon = datetime(2026, 10, 25, 11, tzinfo=UTC)
    assert rolling_period(Span(days=1), noon, ZoneInfo("Europe/Berlin")).start == datetime(2026, 10, 24, 10, tzinfo=UTC)


def test_a_day_is_shifted_by_the_wall_clock() -> None:
    """A day after Saturday noon is Sunday noon, 23 hours later when the clocks went forward in between."""
    berlin = ZoneInfo("Europe/Berlin")
    noon = datetime(2026, 3, 28, 12, tzinfo=berlin)
    assert shift(noon, Span(days=1), berlin) == datetime(2026, 3, 29, 10, tzinfo=UTC)
    assert shift(noon, Span(days=1), ZoneInfo("UTC")) == datetime(2026, 3, 29, 11, tzinfo=UTC)
    assert shift(noon, Span(months=1), berlin, times=-1) == datetime(2026, 2, 28, 11, tzinfo=UTC)


def test_the_repeated_hour_keeps_its_order() -> None:
    """Both half past twos of a night when the clocks go back are told apart, and shifting by nothing moves neither."""
    berlin = ZoneInfo("Europe/Berlin")
    first = datetime(2026, 10, 25, 2, 30, tzinfo=berlin)
    second = first.replace(fold=1)
    assert shift(first, Span(), berlin) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert shift(second, Span(), berlin) == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


def test_a_window_judged_in_the_repeated_hour_is_that_moments_own() -> None:
    """The last day up to the second half past two ends an hour later than that up to the first."""
    berlin = ZoneInfo("Europe/Berlin")
    first = datetime(2026, 10, 25, 2, 30, tzinfo=berlin)
    ends = [period_of(Rolling(Span(days=1)), moment, berlin).end for moment in (first, first.replace(fold=1))]
    assert ends == [datetime(2026, 10, 25, hour, 30, tzinfo=UTC) + timedelta.resolution for hour in (0, 1)]
