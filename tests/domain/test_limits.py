"""How often, how long and how much a trigger pays for one customer."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from domain.limits import Limit, Room, Usage, room
from domain.standings import Standing

ZONE = ZoneInfo("UTC")
FIRST = datetime(2026, 1, 31, 12, tzinfo=UTC)


def left(limit: Limit, usage: Usage | None, at: datetime = FIRST, amount_minor: int = 1_000) -> Room:
    """What the limit leaves of 10.00 USD."""
    return room(limit, usage, at, "usd", amount_minor, ZONE)


def test_so_often_and_no_more() -> None:
    """The last time allowed pays in full, the next one nothing, and says so."""
    once, thrice = Limit(per_customer=1), Limit(per_customer=3)
    assert left(once, None) == Room(1_000)
    assert left(once, Usage(1, FIRST)) == Room(0, "its limit of once per customer is reached")
    assert left(thrice, Usage(2, FIRST)) == Room(1_000)
    assert left(thrice, Usage(3, FIRST)) == Room(0, "its limit of 3 times per customer is reached")


def test_months_run_from_the_first_firing_and_end_on_the_day() -> None:
    """One month from 31 January is 28 February at the same hour: a moment earlier still pays."""
    month = Limit(months=1)
    end = datetime(2026, 2, 28, 12, tzinfo=UTC)
    assert left(month, Usage(5, FIRST), end.replace(hour=11)) == Room(1_000)
    assert left(month, Usage(5, FIRST), end) == Room(0, "its 1 months with this customer ended on 2026-02-28")
    assert left(month, None, end) == Room(1_000)


def test_the_most_it_pays_is_paid_to_the_cent() -> None:
    """What is left of the limit is paid, exactly it in full, and nothing after it."""
    most = Limit(amount_max=2_500)
    assert left(most, Usage(1, FIRST, {"usd": 1_500})) == Room(1_000)
    assert left(most, Usage(1, FIRST, {"usd": 2_000})) == Room(
        500, "its limit of 25.00 USD per customer leaves 5.00 USD"
    )
    assert left(most, Usage(1, FIRST, {"usd": 2_500})) == Room(0, "its limit of 25.00 USD per customer is reached")
    assert left(most, None, amount_minor=3_000).amount_minor == 2_500


def test_currencies_are_counted_apart() -> None:
    """What was paid in euros leaves the dollars alone."""
    assert left(Limit(amount_max=1_000), Usage(9, FIRST, {"eur": 1_000})) == Room(1_000)


def test_all_limits_hold_together() -> None:
    """Times, months and amount are each enough to stop it."""
    both = Limit(per_customer=2, months=1, amount_max=1_500)
    assert left(both, Usage(1, FIRST, {"usd": 1_000})).amount_minor == 500
    assert left(both, Usage(2, FIRST, {"usd": 100})).amount_minor == 0
    assert left(both, Usage(1, FIRST), datetime(2026, 3, 1, tzinfo=UTC)).amount_minor == 0


def test_a_limit_that_was_lowered_below_what_was_paid_leaves_nothing() -> None:
    """More was paid than the new limit allows: nothing more, and nothing taken back by it."""
    assert left(Limit(amount_max=500), Usage(1, FIRST, {"usd": 900})).amount_minor == 0


def test_a_standing_counts_what_fired() -> None:
    """Each firing adds to count and amount; the first moment stays."""
    later = datetime(2026, 3, 1, tzinfo=UTC)
    standing = Standing().fired("one", FIRST, "usd", 100).fired("one", later, "eur", 7).fired("one", later, "usd", 5)
    assert standing.usage == {"one": Usage(3, FIRST, {"usd": 105, "eur": 7})}
    assert standing.number == 0
