"""What a trace notes beside a condition: what a person comparing expected and actual would otherwise miss."""

from datetime import datetime
from typing import Any

from domain.fields import Facts, Field, Kind
from domain.money import Money, format_money
from domain.near_misses import near_miss
from domain.operators import AGE, PARTS, SETNESS, Operator, is_set
from domain.periods import shift
from domain.windows import Window, period_of

_ASKS: dict[Operator, str] = {
    Operator.GT: "more than {}",
    Operator.GTE: "at least {}",
    Operator.LT: "less than {}",
    Operator.LTE: "at most {}",
    Operator.BETWEEN: "{} to {}",
}


def remark(field: Field, operator: Operator, expected: Any, actual: Any, facts: Facts) -> str | None:
    """A value not set, a near miss, an amount as money, another currency, a window's bounds, when an age is reached."""
    if operator in SETNESS:
        return None
    if not is_set(actual):
        return f"{field.name} is not set"
    if operator is Operator.WITHIN:
        return _remark_on_window(expected, facts)
    if field.kind is Kind.MONEY:
        return _remark_on_money(operator, expected, actual)
    if field.kind is Kind.AGE or operator in AGE:
        return _remark_on_age(field, expected, facts)
    if field.kind is Kind.TEXT_SET:
        return _first_near_miss(sorted(actual), expected)
    if field.kind is not Kind.TEXT:
        return None
    if operator in PARTS:
        return _remark_on_part(operator, expected, actual)
    return _first_near_miss([actual], expected)


def _remark_on_part(operator: Operator, expected: str, actual: str) -> str | None:
    exact = _has_part(operator, expected, actual)
    if exact or not _has_part(operator, expected.casefold(), actual.casefold()):
        return None
    return f'"{actual}" {operator.replace("_", " ")} "{expected}" only if capitals are ignored'


def _has_part(operator: Operator, part: str, whole: str) -> bool:
    if operator is Operator.CONTAINS:
        return part in whole
    return whole.startswith(part) if operator is Operator.STARTS_WITH else whole.endswith(part)


def _first_near_miss(actual: list[str], expected: str | tuple[str, ...]) -> str | None:
    wanted = (expected,) if isinstance(expected, str) else expected
    if any(text in wanted for text in actual):
        return None
    return next(filter(None, (near_miss(text, wanted) for text in actual)), None)


def _remark_on_window(window: Window, facts: Facts) -> str:
    period = period_of(window, facts.as_of, facts.zone)
    sides = []
    if period.start is not None:
        sides.append(f"from {period.start.astimezone(facts.zone).isoformat()}")
    if period.end is not None:
        sides.append(f"before {period.end.astimezone(facts.zone).isoformat()}")
    return " ".join(sides)


def _remark_on_money(operator: Operator, expected: Any, actual: Money) -> str:
    """The rule counts in minor units, the fact is shown as money."""
    asked = expected if isinstance(expected, tuple) else (expected,)
    if isinstance(asked[0], Money) and asked[0].currency != actual.currency:
        return f"it is in {actual.currency}, the rule asks for {asked[0].currency}"
    amounts = [each.amount_minor if isinstance(each, Money) else each for each in asked]
    return "the rule asks for " + _ASKS[operator].format(*(format_money(each, actual.currency) for each in amounts))


def _remark_on_age(field: Field, expected: Any, facts: Facts) -> str | None:
    """Months are not all of one length: when the date gets as old as the rule says."""
    since = facts.raw(field)
    if not isinstance(since, datetime):
        return None
    spans = expected if isinstance(expected, tuple) else (expected,)
    moments = [shift(since, span, facts.zone).astimezone(facts.zone).isoformat() for span in spans]
    return "it is that old from " + (" until ".join(moments) if len(moments) > 1 else f"{moments[0]} on")
