"""What can be said of rules without any facts: can one hold, can two hold together, does one imply another.

Sound, not complete: "cannot" and "implies" are only said where they are certain. A rule is looked at as the ways in
which it can hold, each a list of conditions that must all be true; a negation that no condition says is left open.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from itertools import combinations, product

from domain.fields import Facts, Kind
from domain.money import Money
from domain.operators import Operator, comparison_for
from domain.periods import Period, Unit
from domain.ranges import are_apart, is_within, range_of
from domain.rules import AllOf, AnyOf, Condition, Not, Rule
from domain.windows import After, Before, Between, Current, Previous, Window, period_of

#: One way for a rule to hold: all of these are true.
Way = tuple[Condition, ...]

#: A rule with more ways than this is left open.
_WAYS_MAX = 64
#: Two rules with more pairs of ways than this are left open: a trigger is compared with a thousand others.
_PAIRS_MAX = 256
_NEEDS_NO_VALUE = (Operator.IS_NOT_SET, Operator.IS_NONE_OF)
#: Kinds of which a list names whole values, that are compared without looking at anything else.
_NAMED_KINDS = (Kind.TEXT, Kind.INTEGER, Kind.STATUS)
#: What holds exactly where the other fails, also of a value that is not set and of an object that is not there.
_OPPOSITES = {
    Operator.IS_ANY_OF: Operator.IS_NONE_OF,
    Operator.IS_NONE_OF: Operator.IS_ANY_OF,
    Operator.IS_SET: Operator.IS_NOT_SET,
    Operator.IS_NOT_SET: Operator.IS_SET,
}
_FIXED = (After, Before, Between)
#: The calendar periods that each one lies in.
_LIES_IN = {
    Unit.DAY: (Unit.DAY, Unit.WEEK, Unit.MONTH, Unit.QUARTER, Unit.YEAR),
    Unit.WEEK: (Unit.WEEK,),
    Unit.MONTH: (Unit.MONTH, Unit.QUARTER, Unit.YEAR),
    Unit.QUARTER: (Unit.QUARTER, Unit.YEAR),
    Unit.YEAR: (Unit.YEAR,),
}
#: For what is compared without looking at any.
_NO_FACTS = Facts({}, datetime(2000, 1, 1, tzinfo=UTC), UTC)


def passes(condition: Condition, value: object) -> bool:
    """Whether a value passes the comparison alone, of a kind that is compared without looking at anything else."""
    return comparison_for(condition.field, condition.operator, condition.expected)(value, _NO_FACTS)


def can_hold(rule: Rule, zone: tzinfo) -> bool:
    """False: there are no facts under which it holds."""
    return any(_is_consistent(way, zone) for way in _ways(_pushed(rule)))


def can_both_hold(one: Rule, other: Rule, zone: tzinfo) -> bool:
    """False: there is nothing on which both hold."""
    firsts, seconds = _ways(_pushed(one)), _ways(_pushed(other))
    if len(firsts) * len(seconds) > _PAIRS_MAX:
        return can_hold(one, zone) and can_hold(other, zone)
    return any(_is_consistent((*first, *second), zone) for first, second in product(firsts, seconds))


def implies(one: Rule, other: Rule) -> bool:
    """True: wherever the one holds, the other holds as well."""
    first, second = _pushed(one), _pushed(other)
    if _is_left_open(first) or _is_left_open(second):
        return one == other
    ways = _ways(second)
    return all(any(_all_implied(way, wanted) for wanted in ways) for way in _ways(first))


def currencies_asked(rule: Rule) -> frozenset[str] | None:
    """The currencies in which it can hold, where every way of it names some; None: in any."""
    asked: set[str] = set()
    for way in _ways(_pushed(rule)):
        named = _currencies(way)
        if named is None:
            return None
        asked |= named
    return frozenset(asked)


def _pushed(rule: Rule, *, denied: bool = False) -> Rule:
    """The same rule, or its opposite, with every negation as far inside as it goes."""
    match rule:
        case Not(part):
            return _pushed(part, denied=not denied)
        case AllOf(parts) | AnyOf(parts):
            pushed = tuple(_pushed(part, denied=denied) for part in parts)
            return AllOf(pushed) if isinstance(rule, AllOf) != denied else AnyOf(pushed)
        case Condition(where=where) if denied and where is not None:
            return AnyOf((_pushed(replace(rule, where=None), denied=True), _pushed(where, denied=True)))
        case Condition(where=where):
            if not denied:
                return rule if where is None else replace(rule, where=_pushed(where))
            opposite = _OPPOSITES.get(rule.operator)
            return Not(rule) if opposite is None else replace(rule, operator=opposite)
    return Not(rule) if denied else rule


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


def _is_consistent(way: Sequence[Condition], zone: tzinfo) -> bool:
    by_value: dict[tuple[str, str, str | None], list[Condition]] = {}
    for condition in way:
        read = condition.field
        by_value.setdefault((read.object, read.item, read.metadata_key), []).append(condition)
    if _currencies(way) == frozenset():
        return False
    return all(_are_consistent(conditions, zone) for conditions in by_value.values())


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
    """Whether one value may pass everything that is asked of it."""
    for condition in conditions:
        if _names_values(condition):
            values = condition.expected
            return any(all(passes(each, value) for each in conditions) for value in values)
    if any(each.operator is Operator.IS_NOT_SET for each in conditions):
        return all(each.operator in _NEEDS_NO_VALUE for each in conditions)
    ranges = [found for each in conditions if (found := range_of(each)) is not None]
    if any(are_apart(*pair) for pair in combinations(ranges, 2)):
        return False
    windows = [each.expected for each in conditions if each.operator is Operator.WITHIN]
    return not (_are_past(conditions) or _windows_miss(windows, zone) or _sets_miss(conditions))


def _names_values(condition: Condition) -> bool:
    return condition.operator is Operator.IS_ANY_OF and condition.field.kind in _NAMED_KINDS


def _are_past(conditions: Sequence[Condition]) -> bool:
    """Whether a payment is asked to be before the moment it is judged as of, which is its own."""
    return any(
        each.field.name == "transaction.created"
        and (each.operator is Operator.OLDER_THAN or isinstance(each.expected, Previous))
        for each in conditions
    )


def _windows_miss(windows: Sequence[Window], zone: tzinfo) -> bool:
    """Whether two windows have no moment in common, whenever they are looked through."""
    fixed = [period_of(window, _NO_FACTS.as_of, zone) for window in windows if isinstance(window, _FIXED)]
    current = [window.unit for window in windows if isinstance(window, Current)]
    previous = [window.unit for window in windows if isinstance(window, Previous)]
    return _periods_miss(fixed) or any(gone in _LIES_IN[unit] for gone in previous for unit in current)


def _periods_miss(periods: Sequence[Period]) -> bool:
    starts = [period.start for period in periods if period.start is not None]
    ends = [period.end for period in periods if period.end is not None]
    return bool(starts and ends) and max(starts) >= min(ends)


def _sets_miss(conditions: Sequence[Condition]) -> bool:
    """Whether a set is to share a text with others, all of which it must not have."""
    refused = {text for each in conditions if each.operator is Operator.IS_NONE_OF for text in each.expected}
    return any(_asks_of_set(each) and _texts_wanted(each) <= refused for each in conditions)


def _asks_of_set(condition: Condition) -> bool:
    is_had = condition.operator in (Operator.IS_ANY_OF, Operator.CONTAINS)
    return is_had and condition.field.kind is Kind.TEXT_SET


def _texts_wanted(condition: Condition) -> set[str]:
    return {condition.expected} if condition.operator is Operator.CONTAINS else set(condition.expected)


# Implication between single conditions.


def _all_implied(way: Way, wanted: Way) -> bool:
    return all(any(_is_implied(known, each) for known in way) for each in wanted)


def _is_implied(known: Condition, wanted: Condition) -> bool:
    """Whether the one condition, alone and without its `where`, makes the other true."""
    if known.field.name != wanted.field.name:
        return False
    if (known.operator, known.expected) == (wanted.operator, wanted.expected):
        return True
    if _names_values(known):
        return all(passes(wanted, value) for value in known.expected)
    if wanted.operator is Operator.IS_SET:
        return known.operator not in _NEEDS_NO_VALUE
    if known.operator is wanted.operator is Operator.IS_NONE_OF:
        return set(known.expected) >= set(wanted.expected)
    if _asks_of_set(known) and _asks_of_set(wanted):
        return _texts_wanted(known) <= _texts_wanted(wanted)
    inner, outer = range_of(known), range_of(wanted)
    return inner is not None and outer is not None and is_within(inner, outer)
