"""What a trigger that fires is worth: the amount, the arithmetic a partner can check, and its instalments."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from decimal import Decimal

from domain.commissions import Desired
from domain.drips import Drip, due_dates, instalments
from domain.money import format_money, percent_of, share_of
from domain.transactions import Basis, Line, Transaction
from domain.triggers import Action, FlatAction, PercentAction


@dataclass(frozen=True, slots=True)
class Earning:
    """An amount in minor units of a currency, and how it came about."""

    #: As things were paid: what limits count.
    as_paid_minor: int
    #: As things stand after reversals: what is booked.
    amount_minor: int
    currency: str
    arithmetic: str


def earning_on(action: Action, line: Line | None, paid: Transaction, basis: Basis, *, worded: bool = True) -> Earning:
    """What an action earns on a positive line, or (None) on the whole of a positive payment.

    Its arithmetic is left out where nobody reads it (`worded` is False): it costs more than the amount.
    """
    share: Line | Transaction = line or paid
    paid_minor = share.amount_minor(basis)
    # Credits of the same payment may outweigh what reversals left of its charges: below nothing nothing is earned.
    left_minor = max(0, share.left_minor(basis))
    match action:
        case PercentAction(percent):
            earned_minor = percent_of(left_minor, percent)
            as_paid_minor = earned_minor if paid_minor == left_minor else percent_of(paid_minor, percent)
            earning = Earning(as_paid_minor, earned_minor, paid.currency, "")
        case FlatAction(flat_minor, currency):
            earning = Earning(flat_minor, share_of(flat_minor, left_minor, paid_minor), currency, "")
    return replace(earning, arithmetic=_arithmetic(action, earning, line, paid, basis)) if worded else earning


def _arithmetic(action: Action, earning: Earning, line: Line | None, paid: Transaction, basis: Basis) -> str:
    earned = format_money(earning.amount_minor, earning.currency)
    match action:
        case PercentAction(percent):
            return f"{amounts(line, paid, basis)} x {plain(percent)} % = {earned}"
        case FlatAction(flat_minor, currency):
            text = f"flat {format_money(flat_minor, currency)}"
            if earning.amount_minor == flat_minor:
                return text
            share: Line | Transaction = line or paid
            left = format_money(max(0, share.left_minor(basis)), paid.currency)
            return f"{text} x {left} of {format_money(share.amount_minor(basis), paid.currency)} left = {earned}"


def limited(earning: Earning, room_minor: int, reason: str) -> Earning:
    """An earning cut down to what a limit leaves of it; what is reversed later comes off the uncut amount first."""
    amount_minor = min(earning.amount_minor, room_minor)
    text = f"{earning.arithmetic}; {reason} = {format_money(amount_minor, earning.currency)}"
    return replace(earning, as_paid_minor=room_minor, amount_minor=amount_minor, arithmetic=text)


def amounts(line: Line | None, paid: Transaction, basis: Basis) -> str:
    """`120.00 USD line - 24.00 USD discount - 48.00 USD reversed = 48.00 USD`."""
    share: Line | Transaction = line or paid
    gross = line.gross_minor if line else sum(each.gross_minor for each in paid.lines)
    paid_minor, left_minor = share.amount_minor(basis), share.left_minor(basis)
    text = f"{format_money(gross, paid.currency)} {'line' if line else 'payment'}"
    if gross != paid_minor:
        text += f" - {format_money(gross - paid_minor, paid.currency)} discount"
    if paid_minor != left_minor:
        text += f" - {format_money(paid_minor - left_minor, paid.currency)} reversed"
    return text if gross == left_minor else f"{text} = {format_money(left_minor, paid.currency)}"


def credited(credit: Line | None, paid: Transaction, charge: Line | Transaction, basis: Basis) -> str:
    """`-80.00 USD line x 100.00 USD per 80.00 USD paid = -100.00 USD`: what a credit gives back of a charge."""
    text = amounts(credit, paid, Basis.NET)
    listed_minor, paid_minor = charge.amount_minor(basis), charge.net_minor
    if listed_minor == paid_minor:
        return text
    listed, per = format_money(listed_minor, paid.currency), format_money(paid_minor, paid.currency)
    worth_minor = charge.worth_minor((credit or paid).net_minor, basis)
    return f"{text} x {listed} per {per} paid = {format_money(worth_minor, paid.currency)}"


def plain(percent: Decimal) -> str:
    """`12.5`, without trailing zeros or an exponent."""
    return format(percent.normalize(), "f")


def spread(
    whole: Desired, drip: Drip | None, zone: tzinfo, is_churned_at: Callable[[datetime], bool]
) -> tuple[Desired, ...]:
    """A commission as it is booked: at once, or in instalments but for those that a churn stops."""
    if drip is None:
        return (whole,)
    parts = instalments(drip, whole.amount_minor)
    days = due_dates(drip, whole.earned_at, zone)
    return tuple(
        _instalment(whole, number, len(parts), part, day)
        for number, (part, day) in enumerate(zip(parts, days, strict=True), 1)
        if not (drip.stop_on_churn and is_churned_at(day))
    )


def _instalment(whole: Desired, number: int, count: int, amount_minor: int, due_at: datetime) -> Desired:
    currency = whole.claimant.currency
    text = f"{whole.arithmetic}; instalment {number} of {count} = {format_money(amount_minor, currency)}"
    claimant = replace(whole.claimant, instalment=number)
    return replace(whole, claimant=claimant, amount_minor=amount_minor, arithmetic=text, due_at=due_at)


def kept_back(whole: Desired, booked: Sequence[Desired]) -> int:
    """What a churn stopped of a commission, in minor units."""
    return whole.amount_minor - sum(part.amount_minor for part in booked)
