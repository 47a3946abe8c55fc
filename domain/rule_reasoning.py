"""What can be said of rules without any facts: can one hold, can two hold together, does one imply another.

Sound, not complete: "cannot" and "implies" are only said where they are certain. A rule is looked at as the ways in
which it can hold, each a list of conditions that must all be true; what is negated is left open.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from itertools import product

from domain.fields import Kind
from domain.money import Money
from domain.operators import Operator
from domain.periods import Period
from domain.rules import AllOf, AnyOf, Condition, Not, Rule
from domain.windows import After, Before, Between, period_of

#: One way for a rule to hold: all of these are true.
Way = tuple[Condition, ...]

#: A rule with more ways than this is left open.
_WAYS_MAX = 64
_NEEDS_NO_VALUE = (Operator.IS_NOT_SET, Operator.IS_NONE_OF)
_ORDER = (Operator.GT, Operator.GTE, Operator.LT, Operator.LTE, Operator.BETWEEN)
_PARTS = (Operator.CONTAINS, Operator.STARTS_WITH, Operator.ENDS_WITH)
_FIXED = (After, Before, Between)
_ANY_MOMENT = datetime(2000, 1, 1, tzinfo=UTC)


def conditions_in(rule: Rule) -> Iterator[Condition]:
    """Every condition of a rule, negated ones and those inside `where` included."""
    match rule:
        case AllOf(parts) | AnyOf(parts):
            for part in parts:
                yield from conditions_in(part)
        case Not(part):
            yield from conditions_in(part)
        case Condition(where=where):
            yield rule
            if where is not None:
                yield from conditions_in(where)


def can_hold(rule: Rule, zone: tzinfo) -> bool:
    """False: there are no facts under which it holds."""
    return any(_is_consistent(way, zone) for way in _ways(rule))


def can_both_hold(one: Rule, other: Rule, zone: tzinfo) -> bool:
    """False: there is nothing on which both hold."""
    pairs = product(_ways(one), _ways(other))
    return any(_is_consistent((*first, *second), zone) for first, second in pairs)


def implies(one: Rule, other: Rule) -> bool:
    """True: wherever the one holds, the other holds as well."""
    if _is_left_open(one) or _is_left_open(other):
        return one == other
    ways = list(_ways(other))
    return all(any(_all_implied(way, wanted) for wanted in ways) for way in _ways(one))


def currencies_asked(rule: Rule) -> frozenset[str] | None:
    """The currencies in which it can hold, where every way of it names some; None: in any."""
    asked: set[str] = set()
    for way in _ways(rule):
        named = _currencies(way)
        if named is None:
            return None
        asked |= named
    return frozenset(asked)


def _ways(rule: Rule) -> list[Way]:
    """The ways in which a rule can hold; more than can be looked at are one way that asks for nothing."""
    match rule:
        case Condition(where=None):
            return [(rule,)]
        case Condition(where=where) if where is not None:
            return [(rule, *way) for way in _ways(where)]
        case AnyOf(parts):
            found = [way for part in parts for way in _ways(part)]
        case AllOf(parts):
            found = [()]
            for part in parts:
                found = [(*way, *more) for way in found for more in _ways(part)][: _WAYS_MAX + 1]
        case _:
            return [()]
    return found if len(found) <= _WAYS_MAX else [()]


def _is_left_open(rule: Rule) -> bool:
    """Whether its ways say less than it does."""
    match rule:
        case Not():
            return True
        case AllOf(parts) | AnyOf(parts):
            return any(_is_left_open(part) for part in parts) or _count(rule) > _WAYS_MAX
        case Condition(where=where):
            return where is not None and _is_left_open(where)
    return False


def _count(rule: Rule) -> int:
    match rule:
        case AnyOf(parts):
            return sum(_count(part) for part in parts)
        case AllOf(parts):
            total = 1
            for part in parts:
                total *= _count(part)
            return total
        case Condition(where=where):
            return 1 if where is None else _count(where)
    return 1


# One way: conditions that must all be true.


@dataclass(slots=True)
class _Values:
    """What is left for one field by the conditions on it."""

    #: None: any.
    allowed: set[object] | None = None
    #: (bound, whether it is allowed itself)
    least: tuple[int, bool] | None = None
    most: tuple[int, bool] | None = None
    periods: list[Period] = field(default_factory=list)
    set: bool | None = None
    impossible: bool = False


def _is_consistent(way: Sequence[Condition], zone: tzinfo) -> bool:
    by_field: dict[str, list[Condition]] = {}
    for condition in way:
        by_field.setdefault(condition.field.name, []).append(condition)
    if _currencies(way) == frozenset():
        return False
    return all(_are_consistent(conditions, zone) for conditions in by_field.values())


def _currencies(way: Iterable[Condition]) -> frozenset[str] | None:
    """The currencies a payment may be in; None: any. Amounts of payment and line are in the payment's."""
    found: frozenset[str] | None = None
    for condition in way:
        named: frozenset[str] | None = None
        if condition.field.name == "transaction.currency" and condition.operator is Operator.IS_ANY_OF:
            named = frozenset(condition.expected)
        elif condition.field.name in ("transaction.amount", "line.amount", "customer.revenue"):
            asked = condition.expected if isinstance(condition.expected, tuple) else (condition.expected,)
            named = frozenset(each.currency for each in asked if isinstance(each, Money)) or None
        if named is not None:
            found = named if found is None else found & named
    return found


def _are_consistent(conditions: Sequence[Condition], zone: tzinfo) -> bool:
    values = _Values()
    for condition in conditions:
        _narrow(values, condition, zone)
    if values.impossible or _are_apart(values.periods):
        return False
    if values.allowed is not None:
        return any(_fits(value, values, conditions) for value in values.allowed)
    return values.least is None or values.most is None or _meets(values.least, values.most, conditions[0].field.kind)


def _narrow(values: _Values, condition: Condition, zone: tzinfo) -> None:
    operator, expected = condition.operator, condition.expected
    wants_value = None if operator is Operator.IS_NONE_OF else operator not in _NEEDS_NO_VALUE
    if wants_value is not None:
        values.impossible = values.impossible or values.set not in (None, wants_value)
        values.set = wants_value
    if operator is Operator.IS_ANY_OF and condition.field.kind is not Kind.TEXT_SET:
        wanted = set(expected)
        values.allowed = wanted if values.allowed is None else values.allowed & wanted
    elif operator in _ORDER and condition.field.kind in (Kind.INTEGER, Kind.MONEY):
        _bound(values, operator, expected)
    elif operator is Operator.WITHIN and isinstance(expected, _FIXED):
        values.periods.append(period_of(expected, _ANY_MOMENT, zone))


def _bound(values: _Values, operator: Operator, expected: object) -> None:
    least, most = expected if isinstance(expected, tuple) else (expected, expected)
    if operator in (Operator.GT, Operator.GTE, Operator.BETWEEN):
        bound = (_number(least), operator is not Operator.GT)
        if values.least is None or (bound[0], not bound[1]) > (values.least[0], not values.least[1]):
            values.least = bound
    if operator in (Operator.LT, Operator.LTE, Operator.BETWEEN):
        bound = (_number(most), operator is not Operator.LT)
        if values.most is None or bound < values.most:
            values.most = bound


def _number(amount: object) -> int:
    assert isinstance(amount, int | Money)  # as `parse_expected` leaves it
    return amount if isinstance(amount, int) else amount.amount_minor


def _meets(least: tuple[int, bool], most: tuple[int, bool], kind: Kind) -> bool:
    """Whether a whole number lies between two bounds; amounts are whole numbers of minor units, too."""
    first = least[0] + (not least[1])
    last = most[0] - (not most[1])
    return first <= last or kind not in (Kind.INTEGER, Kind.MONEY)


def _fits(value: object, values: _Values, conditions: Iterable[Condition]) -> bool:
    """Whether one of the values listed passes everything else that is asked of the field."""
    for condition in conditions:
        if condition.operator is Operator.IS_NONE_OF and value in condition.expected:
            return False
        if condition.operator in _PARTS and isinstance(value, str) and not _has(condition, value):
            return False
    if not isinstance(value, int):
        return True
    return (values.least is None or _meets(values.least, (value, True), Kind.INTEGER)) and (
        values.most is None or _meets((value, True), values.most, Kind.INTEGER)
    )


def _has(condition: Condition, value: str) -> bool:
    match condition.operator:
        case Operator.STARTS_WITH:
            return value.startswith(condition.expected)
        case Operator.ENDS_WITH:
            return value.endswith(condition.expected)
    return condition.expected in value


def _are_apart(periods: Sequence[Period]) -> bool:
    starts = [period.start for period in periods if period.start is not None]
    ends = [period.end for period in periods if period.end is not None]
    return bool(starts and ends) and max(starts) >= min(ends)


# Implication between single conditions.


def _all_implied(way: Way, wanted: Way) -> bool:
    return all(any(_is_implied(known, each) for known in way) for each in wanted)


def _is_implied(known: Condition, wanted: Condition) -> bool:
    """Whether the one condition, alone and without its `where`, makes the other true."""
    if known.field.name != wanted.field.name:
        return False
    if (known.operator, known.expected) == (wanted.operator, wanted.expected):
        return True
    if wanted.operator is Operator.IS_SET:
        return known.operator not in _NEEDS_NO_VALUE
    if known.operator is not wanted.operator:
        return False
    match known.operator:
        case Operator.IS_ANY_OF:
            return set(known.expected) <= set(wanted.expected)
        case Operator.IS_NONE_OF:
            return set(known.expected) >= set(wanted.expected)
        case Operator.GT | Operator.GTE if _same_unit(known, wanted):
            return _number(known.expected) >= _number(wanted.expected)
        case Operator.LT | Operator.LTE if _same_unit(known, wanted):
            return _number(known.expected) <= _number(wanted.expected)
    return False


def _same_unit(known: Condition, wanted: Condition) -> bool:
    if known.field.kind is Kind.INTEGER:
        return True
    if known.field.kind is not Kind.MONEY:
        return False
    units = [each.expected.currency if isinstance(each.expected, Money) else None for each in (known, wanted)]
    return units[0] == units[1]
