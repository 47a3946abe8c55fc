"""Limits: how often, how long and how much a trigger pays for one customer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo

from domain.money import format_money
from domain.periods import Span, shift


@dataclass(frozen=True, slots=True)
class Limit:
    """At least one of these is set; all that are hold together."""

    #: It fires at most so often.
    per_customer: int | None = None
    #: It fires while so many months have not passed since it first did.
    months: int | None = None
    #: The most it earns in all, in minor units, each currency counted for itself.
    amount_max: int | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What a trigger has fired for one customer: as earned, whatever was taken back later."""

    count: int
    first_at: datetime
    #: Minor units per currency.
    amounts: Mapping[str, int] = field(default_factory=dict)

    def and_once_more(self, currency: str, amount_minor: int) -> "Usage":
        """The usage after one more firing."""
        amounts = {**self.amounts, currency: self.amounts.get(currency, 0) + amount_minor}
        return Usage(self.count + 1, self.first_at, amounts)


@dataclass(frozen=True, slots=True)
class Room:
    """What a limit leaves of an amount, and the sentence that says so where it leaves less than all."""

    amount_minor: int
    reason: str | None = None


def room(limit: Limit, usage: Usage | None, at: datetime, currency: str, amount_minor: int, zone: tzinfo) -> Room:
    """How much of `amount_minor` (positive) may still be earned at a moment."""
    if usage is None:
        return _below(limit, 0, currency, amount_minor)
    if limit.per_customer is not None and usage.count >= limit.per_customer:
        return Room(0, f"its limit of {_times(limit.per_customer)} per customer is reached")
    if limit.months is not None:
        end = shift(usage.first_at, Span(months=limit.months), zone)
        if at >= end:
            return Room(0, f"its {limit.months} months with this customer ended on {end.astimezone(zone):%Y-%m-%d}")
    return _below(limit, usage.amounts.get(currency, 0), currency, amount_minor)


def _below(limit: Limit, earned_minor: int, currency: str, amount_minor: int) -> Room:
    if limit.amount_max is None or earned_minor + amount_minor <= limit.amount_max:
        return Room(amount_minor)
    left = max(0, limit.amount_max - earned_minor)
    whole = format_money(limit.amount_max, currency)
    if not left:
        return Room(0, f"its limit of {whole} per customer is reached")
    return Room(left, f"its limit of {whole} per customer leaves {format_money(left, currency)}")


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
