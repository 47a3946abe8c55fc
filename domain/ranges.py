"""The range of values that a comparison allows: of numbers, amounts, and how long ago something was.

Days and months are told apart by the shortest and the longest month: what is said of both is certain, or not said.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from domain.fields import Kind
from domain.operators import Operator, size_of, unit_of
from domain.rules import Condition

#: A bound, and what of it: 0 itself is in; 1 (a lower one) or -1 (an upper one) all but itself.
Edge = tuple[int, int]

_LOWER: Mapping[Operator, int] = {
    Operator.GT: 1,
    Operator.OLDER_THAN: 1,
    Operator.GTE: 0,
    Operator.BETWEEN: 0,
}
_UPPER: Mapping[Operator, int] = {
    Operator.LT: -1,
    Operator.NEWER_THAN: -1,
    Operator.LTE: 0,
    Operator.BETWEEN: 0,
}
_SHORTEST_MONTH_DAYS = 28
_LONGEST_MONTH_DAYS = 31
#: The clocks' changes make a day an hour longer or shorter.
_SLACK_DAYS = 1


@dataclass(frozen=True, slots=True)
class Range:
    """From `least` to `most`; None is open."""

    least: Edge | None
    most: Edge | None
    #: A currency, `days` or `months`; None: of whichever.
    unit: str | None


def range_of(condition: Condition) -> Range | None:
    """What a comparison with an order allows; None for every other operator."""
    lower, upper = _LOWER.get(condition.operator), _UPPER.get(condition.operator)
    if lower is None and upper is None:
        return None
    least, most = condition.expected if isinstance(condition.expected, tuple) else (condition.expected,) * 2
    # Of whole numbers, minor units among them, more than three is at least four.
    is_whole = condition.field.kind in (Kind.INTEGER, Kind.MONEY)

    def edge(quantity: object, rest: int | None) -> Edge | None:
        if rest is None:
            return None
        return (size_of(quantity) + rest, 0) if is_whole else (size_of(quantity), rest)

    return Range(edge(least, lower), edge(most, upper), unit_of(least) or unit_of(most))


def are_apart(one: Range, other: Range) -> bool:
    """Whether no value is in both."""
    return _is_above(one, other) or _is_above(other, one)


def is_within(inner: Range, outer: Range) -> bool:
    """Whether every value of the one is in the other; said only of what is counted in one unit, or in whichever."""
    if outer.unit not in (None, inner.unit):
        return False
    low = outer.least is None or (inner.least is not None and inner.least >= outer.least)
    return low and (outer.most is None or (inner.most is not None and inner.most <= outer.most))


def _is_above(one: Range, other: Range) -> bool:
    if one.least is None or other.most is None:
        return False
    if {one.unit, other.unit} != {"days", "months"}:
        return one.least > other.most
    lowest = one.least[0] * (_SHORTEST_MONTH_DAYS if one.unit == "months" else 1)
    highest = other.most[0] * (_LONGEST_MONTH_DAYS if other.unit == "months" else 1)
    return lowest > highest + _SLACK_DAYS
