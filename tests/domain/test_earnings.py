"""What a trigger that fires is worth, and the arithmetic a partner can check."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from domain.commissions import Claimant, Desired
from domain.drips import Drip
from domain.earnings import Earning, amounts, earning_on, kept_back, limited, spread
from domain.facts import Source
from domain.periods import Span
from domain.transactions import Basis, Line, Transaction
from domain.triggers import FlatAction, PercentAction

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
UTC_ZONE = ZoneInfo("UTC")
QUARTER = PercentAction(Decimal("25.00"))


def line(gross_minor: int, discount_minor: int = 0, reversed_minor: int = 0, key: str = "a") -> Line:
    """A line of a payment."""
    return Line(
        key, "sub_1", "prod_1", (), gross_minor, discount_minor, 1, recurring=True, reversed_minor=reversed_minor
    )


def paid(*lines: Line, currency: str = "usd") -> Transaction:
    """A payment of these lines."""
    return Transaction("stripe:in_1", "stripe", "cus_1", currency, NOON, Source(0, NOON, 1, "evt_1"), lines)


def test_the_arithmetic_names_every_step() -> None:
    """Line, discount, what was reversed, the rate and the result."""
    whole = line(12_000, 2_400, 4_800)
    earning = earning_on(QUARTER, whole, paid(whole), Basis.NET)
    text = "120.00 USD line - 24.00 USD discount - 48.00 USD reversed = 48.00 USD x 25 % = 12.00 USD"
    assert earning == Earning(2_400, 1_200, "usd", text)


def test_a_plain_line_has_plain_arithmetic() -> None:
    """Nothing is said of what there was not."""
    plain = line(4_900)
    assert earning_on(PercentAction(Decimal(10)), plain, paid(plain), Basis.NET).arithmetic == (
        "49.00 USD line x 10 % = 4.90 USD"
    )


def test_the_whole_is_a_payment() -> None:
    """All lines together, their discounts and reversals added up."""
    both = paid(line(10_000, 1_000), line(5_000, 0, 1_000, "b"))
    assert amounts(None, both, Basis.NET) == (
        "150.00 USD payment - 10.00 USD discount - 10.00 USD reversed = 130.00 USD"
    )
    assert earning_on(QUARTER, None, both, Basis.NET).amount_minor == 3_250


def test_gross_leaves_the_discount_in() -> None:
    """A percentage of what was billed, and of as much of it as is left."""
    whole = line(10_000, 2_000, 4_000)
    earning = earning_on(QUARTER, whole, paid(whole), Basis.GROSS)
    assert (earning.as_paid_minor, earning.amount_minor) == (2_500, 1_250)
    assert earning.arithmetic == "100.00 USD line - 50.00 USD reversed = 50.00 USD x 25 % = 12.50 USD"


def test_a_flat_amount_shrinks_with_what_is_left() -> None:
    """Whole, a part of it, nothing; in its own currency, halves to the even cent."""
    flat = FlatAction(501, "eur")
    for reversed_minor, left_minor, text in (
        (0, 501, "flat 5.01 EUR"),
        (5_000, 250, "flat 5.01 EUR x 50.00 USD of 100.00 USD left = 2.50 EUR"),
        (10_000, 0, "flat 5.01 EUR x 0.00 USD of 100.00 USD left = 0.00 EUR"),
    ):
        share = line(10_000, 0, reversed_minor)
        assert earning_on(flat, share, paid(share), Basis.NET) == Earning(501, left_minor, "eur", text)


def test_a_flat_amount_shrinks_on_the_basis_of_the_program() -> None:
    """Before discounts where those stay in: what is left is told of what that came to."""
    share = line(10_000, 2_000, 4_000)
    gross = earning_on(FlatAction(500, "usd"), share, paid(share), Basis.GROSS)
    assert gross.arithmetic == "flat 5.00 USD x 50.00 USD of 100.00 USD left = 2.50 USD"
    net = earning_on(FlatAction(500, "usd"), share, paid(share), Basis.NET)
    assert net.arithmetic == "flat 5.00 USD x 40.00 USD of 80.00 USD left = 2.50 USD"


def test_below_nothing_nothing_is_earned() -> None:
    """Credits of the same payment may outweigh what reversals left of its charges."""
    both = paid(line(10_000, 0, 10_000), line(-4_000, key="b"))
    assert both.left_minor(Basis.NET) == -4_000
    assert earning_on(QUARTER, None, both, Basis.NET).amount_minor == 0
    assert earning_on(FlatAction(500, "usd"), None, both, Basis.NET).amount_minor == 0


def test_a_limit_cuts_both_what_counts_and_what_is_booked() -> None:
    """What is reversed later comes off the uncut amount first."""
    earning = Earning(1_000, 1_000, "usd", "100.00 USD line x 10 % = 10.00 USD")
    cut = limited(earning, 400, "its limit leaves 4.00 USD")
    assert cut == Earning(400, 400, "usd", f"{earning.arithmetic}; its limit leaves 4.00 USD = 4.00 USD")
    assert limited(replace(earning, amount_minor=300), 400, "it leaves 4.00 USD").amount_minor == 300


def whole(amount_minor: int) -> Desired:
    """A commission before it is spread."""
    claimant = Claimant("slow", "stripe:in_1", "a", "ada", "usd")
    return Desired(claimant, 1, None, "cust_1", amount_minor, "10 %", None, NOON)


def test_without_a_drip_it_is_booked_as_it_is() -> None:
    """One commission, due at once."""
    assert spread(whole(100), None, UTC_ZONE, lambda _: True) == (whole(100),)


def test_each_instalment_is_a_commission_that_says_which_it_is() -> None:
    """Numbered from one, with its day and its own arithmetic; churned days are left out only where it stops."""
    drip = Drip(Span(), Span(months=1), 3)
    found = spread(whole(100), drip, UTC_ZONE, lambda _: True)
    assert [(d.claimant.instalment, d.amount_minor, d.arithmetic, d.due_at) for d in found] == [
        (1, 34, "10 %; instalment 1 of 3 = 0.34 USD", NOON),
        (2, 33, "10 %; instalment 2 of 3 = 0.33 USD", datetime(2026, 2, 28, 12, tzinfo=UTC)),
        (3, 33, "10 %; instalment 3 of 3 = 0.33 USD", datetime(2026, 3, 31, 12, tzinfo=UTC)),
    ]
    assert kept_back(whole(100), found) == 0
    stopping = replace(drip, stop_on_churn=True)
    left = spread(whole(100), stopping, UTC_ZONE, lambda day: day.month == 2)
    assert [d.claimant.instalment for d in left] == [1, 3]
    assert kept_back(whole(100), left) == 33
