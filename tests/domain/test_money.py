"""Money loses nothing: parts add up, rounding happens once, every currency shows its own decimals."""

from decimal import ROUND_HALF_EVEN, Context, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Rejected
from domain.money import (
    Money,
    exponent,
    format_money,
    parse_currency,
    parse_percent,
    percent_of,
    split_evenly,
    split_proportionally,
)

amounts = st.integers(-(10**18), 10**18)
percents = st.decimals(min_value="0.0001", max_value="100", places=4)


@given(total=amounts, weights=st.lists(st.integers(0, 10**12), min_size=1, max_size=12))
def test_proportional_parts_add_up(total: int, weights: list[int]) -> None:
    """Whatever is split over whatever weights, the parts add up to it each within one unit of its exact share."""
    parts = split_proportionally(total, weights)
    assert sum(parts) == total
    if any(weights):
        assert all(
            abs(part * sum(weights) - total * weight) < sum(weights)
            for part, weight in zip(parts, weights, strict=True)
        )
        assert all(part == 0 for part, weight in zip(parts, weights, strict=True) if weight == 0)


@given(total=amounts, weights=st.lists(st.integers(0, 10**6), min_size=1, max_size=8))
def test_taking_back_mirrors_giving(total: int, weights: list[int]) -> None:
    """A negative total splits into the negated parts of the positive one, so a full refund cancels to the cent."""
    assert split_proportionally(-total, weights) == [-part for part in split_proportionally(total, weights)]


@given(total=amounts, parts_count=st.integers(1, 60))
def test_even_parts_differ_by_one_at_most(total: int, parts_count: int) -> None:
    """An even split adds up, puts the larger parts first, and no two parts differ by more than one unit."""
    parts = split_evenly(total, parts_count)
    sizes = [abs(part) for part in parts]
    assert sum(parts) == total
    assert len(parts) == parts_count
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] - sizes[-1] <= 1


@pytest.mark.parametrize(
    ("total", "weights", "parts"),
    [
        (100, [1, 1, 1], [34, 33, 33]),  # a tie goes to the earlier
        (1, [1, 1], [1, 0]),
        (-1, [1, 1], [-1, 0]),
        (10, [0, 1, 0], [0, 10, 0]),
        (7, [0, 0], [7, 0]),  # no weight at all: the first
        (0, [3, 4], [0, 0]),
        (0, [], []),
        (1000, [9900, 4900], [669, 331]),
    ],
)
def test_named_splits(total: int, weights: list[int], parts: list[int]) -> None:
    """The largest remainder gets the leftover unit, ties go to the earlier, zero weights get nothing."""
    assert split_proportionally(total, weights) == parts


def test_impossible_splits_are_refused() -> None:
    """Splitting over nothing, over a negative weight or into no parts is a programming error, not a lost amount."""
    with pytest.raises(ValueError, match="nothing to split"):
        split_proportionally(5, [])
    with pytest.raises(ValueError, match="negative"):
        split_proportionally(5, [2, -1])
    with pytest.raises(ValueError, match="one part or more"):
        split_evenly(5, 0)


@given(amount=amounts, percent=percents)
def test_percent_rounds_half_to_even_once(amount: int, percent: Decimal) -> None:
    """A percentage of an amount equals exact decimal arithmetic rounded once, half to even."""
    exact = Context(prec=60).divide(Context(prec=60).multiply(Decimal(amount), percent), Decimal(100))
    assert percent_of(amount, percent) == int(exact.to_integral_value(ROUND_HALF_EVEN))


@given(amount=amounts, percent=percents)
def test_percent_of_a_credit_mirrors_the_charge(amount: int, percent: Decimal) -> None:
    """A credit takes back exactly what a charge of the same size gave."""
    assert percent_of(-amount, percent) == -percent_of(amount, percent)


@pytest.mark.parametrize(
    ("amount", "percent", "expected"),
    [
        (4900, "10", 490),
        (9900, "20", 1980),
        (7900, "15", 1185),
        (25, "10", 2),  # 2.5
        (35, "10", 4),  # 3.5
        (-25, "10", -2),
        (10**30 + 50, "1", 10**28),  # half, beyond any decimal context
        (999, "0.0001", 0),
        (12345, "100", 12345),
    ],
)
def test_named_percentages(amount: int, percent: str, expected: int) -> None:
    """The commissions of the reference story, and the halves, come out to the cent."""
    assert percent_of(amount, Decimal(percent)) == expected


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        (490, "usd", "4.90 USD"),
        (5, "USD", "0.05 USD"),
        (-5, "usd", "-0.05 USD"),
        (-1234, "jpy", "-1,234 JPY"),
        (1_000_000, "kwd", "1,000.000 KWD"),
        (0, "eur", "0.00 EUR"),
        (123456789, "eur", "1,234,567.89 EUR"),
    ],
)
def test_money_is_shown_with_its_own_decimals(amount: int, currency: str, shown: str) -> None:
    """Amounts show as many decimals as their currency has, thousands apart, the sign in front."""
    assert format_money(amount, currency) == shown
    assert str(Money(amount, currency)) == shown


@pytest.mark.parametrize(
    ("codes", "places"),
    [("jpy krw clp vnd xof isk", 0), ("kwd bhd jod omr tnd iqd lyd", 3), ("clf", 4), ("usd eur gbp huf mga zzz", 2)],
)
def test_exponents_are_those_of_iso_4217(codes: str, places: int) -> None:
    """Currencies without decimals, with three and with four are known in any capitals; all others have two."""
    assert {exponent(code) for code in codes.split()} == {places}
    assert {exponent(code.upper()) for code in codes.split()} == {places}


@given(percents)
def test_any_percentage_of_four_places_is_read(percent: Decimal) -> None:
    """Every percentage above 0 and up to 100 with at most four places is read as exactly itself."""
    assert parse_percent(format(percent, "f")) == percent


@pytest.mark.parametrize(
    "text",
    ["", "0", "0.0000", "-1", "+1", "100.0001", "101", "1e1", "12,5", " 10", "10 ", "1.23456", "NaN", "Infinity", "1_0"]
    + ["٣", ".5", "5.", "1000", "10\n", 10, 0.1, True, None],
)
def test_what_is_no_percentage_is_refused(text: object) -> None:
    """Anything but a plain decimal string above 0 and up to 100 is refused by field."""
    with pytest.raises(Rejected) as refusal:
        parse_percent(text, "action.percent")
    assert refusal.value.field == "action.percent"


@pytest.mark.parametrize("code", ["", "us", "usdx", "u$d", "ſsd", 840, None])
def test_what_is_no_currency_is_refused(code: object) -> None:
    """A currency is three plain letters; anything else is refused by field."""
    assert parse_currency("UsD") == "usd"
    with pytest.raises(Rejected) as refusal:
        parse_currency(code)
    assert refusal.value.field == "currency"
