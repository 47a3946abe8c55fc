"""When instalments fall due and what each amounts to."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from domain.drips import Drip, due_dates, horizon, instalments
from domain.periods import Span

BERLIN = ZoneInfo("Europe/Berlin")
drips = st.builds(
    Drip,
    st.builds(Span, st.integers(0, 3), st.integers(0, 40)),
    st.builds(Span, st.integers(0, 12), st.integers(1, 40)),
    st.integers(1, 24),
)
moments = st.integers(0, 5_000).map(lambda days: datetime(2020, 1, 1, 5, tzinfo=UTC) + timedelta(days=days))


def test_month_ends_are_clamped_each_from_the_first() -> None:
    """31 January is followed by 29 February and 31 March of a leap year, at the same hour of the day."""
    drip = Drip(Span(), Span(months=1), 4)
    found = due_dates(drip, datetime(2028, 1, 31, 12, tzinfo=UTC), ZoneInfo("UTC"))
    assert [(day.month, day.day, day.hour) for day in found] == [(1, 31, 12), (2, 29, 12), (3, 31, 12), (4, 30, 12)]


def test_the_first_falls_due_after_the_delay_and_the_others_a_cycle_apart() -> None:
    """Thirty days' delay, then quarter by quarter."""
    drip = Drip(Span(days=30), Span(months=3), 3)
    found = due_dates(drip, datetime(2026, 3, 1, 12, tzinfo=UTC), ZoneInfo("UTC"))
    assert [day.date().isoformat() for day in found] == ["2026-03-31", "2026-06-30", "2026-09-30"]


def test_days_are_counted_by_the_program_s_clock() -> None:
    """Noon in Berlin stays noon in Berlin when the clocks change, and comes out in UTC."""
    found = due_dates(Drip(Span(), Span(days=1), 2), datetime(2026, 3, 28, 11, tzinfo=UTC), BERLIN)
    assert found == [datetime(2026, 3, 28, 11, tzinfo=UTC), datetime(2026, 3, 29, 10, tzinfo=UTC)]
    late = due_dates(Drip(Span(days=1), Span(days=1), 1), datetime(2026, 3, 28, 11, tzinfo=UTC), BERLIN)
    assert late == [datetime(2026, 3, 29, 10, tzinfo=UTC)]


def test_larger_parts_come_first() -> None:
    """1,001 in three parts is 334, 334 and 333; what is taken back mirrors it."""
    drip = Drip(Span(), Span(months=1), 3)
    assert instalments(drip, 1_001) == [334, 334, 333]
    assert instalments(drip, -1_001) == [-334, -334, -333]


@given(drips, st.integers(-(10**9), 10**9))
def test_instalments_add_up(drip: Drip, amount_minor: int) -> None:
    """Whatever is split, nothing is lost."""
    parts = instalments(drip, amount_minor)
    assert len(parts) == drip.occurrences
    assert sum(parts) == amount_minor


@given(drips, moments)
def test_nothing_falls_due_beyond_the_horizon(drip: Drip, earned_at: datetime) -> None:
    """The horizon is far enough to see every instalment, and no more than a few days a month too far."""
    last = due_dates(drip, earned_at, BERLIN)[-1]
    assert last <= earned_at + horizon(drip)
    months = drip.delay.months + drip.cycle.months * (drip.occurrences - 1)
    assert earned_at + horizon(drip) - last <= timedelta(days=4 * months + 3)


@given(drips, moments)
def test_due_dates_only_go_forward(drip: Drip, earned_at: datetime) -> None:
    """There is one per instalment, each later than the one before, none before it was earned."""
    found = due_dates(drip, earned_at, BERLIN)
    assert len(found) == drip.occurrences
    assert found == sorted(set(found))
    assert found[0] >= earned_at - timedelta(hours=1)
