"""The operators of a condition: which fit which kind of field, what they compare with, and the comparison itself.

Comparing texts is exact and case-sensitive. A value that is not set fits no operator but `is_not_set` and
`is_none_of`: a partner without a group is in none of the groups listed.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from domain.errors import Rejected
from domain.facts import ProductStatus
from domain.fields import Facts, Field, Kind, Letters
from domain.money import Money, parse_currency
from domain.periods import Span, shift
from domain.problems import UNSTORABLE, Problems, is_storable, listed, quoted
from domain.windows import parse_span, parse_window, period_of, render_span, render_window


class Operator(StrEnum):
    """How a condition compares. A set of texts is any of the values if it shares one with them."""

    IS_ANY_OF = "is_any_of"
    IS_NONE_OF = "is_none_of"
    #: Part of a text; for a set of texts, one of them.
    CONTAINS = "contains"
    STARTS_WITH = "starts_with"
    ENDS_WITH = "ends_with"
    GT = "gt"
    GTE = "gte"
    LT = "lt"
    LTE = "lte"
    #: Both ends included.
    BETWEEN = "between"
    IS_SET = "is_set"
    IS_NOT_SET = "is_not_set"
    #: A date inside a window; see `domain.windows`.
    WITHIN = "within"
    #: Longer ago than a span. A date exactly that old is neither older nor newer.
    OLDER_THAN = "older_than"
    #: Less long ago than a span; a date still to come is newer, too.
    NEWER_THAN = "newer_than"


SETNESS = (Operator.IS_SET, Operator.IS_NOT_SET)
_CHOICE = (Operator.IS_ANY_OF, Operator.IS_NONE_OF)
_ORDER = (Operator.GT, Operator.GTE, Operator.LT, Operator.LTE)
AGE = (Operator.OLDER_THAN, Operator.NEWER_THAN)
PARTS = (Operator.CONTAINS, Operator.STARTS_WITH, Operator.ENDS_WITH)

#: The operators that fit a kind of field.
FITTING: Mapping[Kind, tuple[Operator, ...]] = {
    Kind.TEXT: (*_CHOICE, *PARTS, *SETNESS),
    Kind.TEXT_SET: (*_CHOICE, Operator.CONTAINS, *SETNESS),
    Kind.INTEGER: (*_CHOICE, *_ORDER, Operator.BETWEEN, *SETNESS),
    Kind.MONEY: (*_ORDER, Operator.BETWEEN, *SETNESS),
    Kind.DATE: (Operator.WITHIN, *AGE, *SETNESS),
    Kind.AGE: (*_ORDER, Operator.BETWEEN, *AGE, *SETNESS),
    Kind.STATUS: (*_CHOICE, *SETNESS),
}

#: What a condition on an absent object amounts to; where not listed, to neither true nor false.
ON_UNKNOWN: Mapping[Operator, bool] = {Operator.IS_SET: False, Operator.IS_NOT_SET: True}

#: A comparison: the field's value (None: not set) and the facts it is part of.
Test = Callable[[Any, Facts], bool]

_CHOICES_MAX = 1_000
_TEXT_LENGTH_MAX = 500
_INTEGER_MAX = 2**63 - 1
_STATUSES = {status.value: status for status in ProductStatus if status is not ProductStatus.NONE}


def parse_expected(field: Field, operator: Operator, value: object, path: str, problems: Problems) -> object:
    """What a fitting operator compares with, in a canonical immutable form; None after noting what is wrong.

    Choices become tuples, windows and spans their objects, an amount with a currency Money, a bare amount stays an
    integer (minor units of whichever currency the field is in). Product statuses may be written in any capitals
    (the screen shows `Active`), as may currencies, countries and e-mail domains; all others are kept as written.
    """
    if operator in SETNESS:
        if value is not None:
            problems.add(path, f"{operator} takes no value")
        return None
    if operator in _CHOICE:
        return _parse_choices(field, value, path, problems)
    if operator is Operator.WITHIN:
        return parse_window(value, path, problems)
    if operator in AGE:
        return parse_span(value, path, problems)
    if operator in PARTS:
        return _parse_text(field, value, path, problems)
    if operator is Operator.BETWEEN:
        return _parse_range(field, value, path, problems)
    return _parse_quantity(field, value, path, problems)


def render_expected(expected: object) -> object:
    """The JSON form that `parse_expected` reads back."""
    match expected:
        case tuple():
            return [render_expected(each) for each in expected]
        case Money(amount_minor, currency):
            return {"amount": amount_minor, "currency": currency}
        case Span():
            return render_span(expected)
        case None | int():
            return expected
        case str():
            return str(expected)
    return render_window(expected)  # type: ignore[arg-type]


def comparison_for(field: Field, operator: Operator, expected: Any) -> Test:
    """The comparison, prepared once so that judging does no more than it must."""
    if operator is Operator.IS_SET:
        return lambda value, _: is_set(value)
    if operator is Operator.IS_NOT_SET:
        return lambda value, _: not is_set(value)
    if operator in _CHOICE or operator is Operator.CONTAINS:
        return _membership(field.kind, operator, expected)
    if operator is Operator.STARTS_WITH:
        return lambda value, _: value is not None and value.startswith(expected)
    if operator is Operator.ENDS_WITH:
        return lambda value, _: value is not None and value.endswith(expected)
    if operator is Operator.WITHIN:
        return lambda value, facts: value is not None and value in period_of(expected, facts.as_of, facts.zone)
    compare = _between if operator is Operator.BETWEEN else _COMPARISONS[operator]
    if field.kind is Kind.MONEY:
        return _amounts(compare, expected)
    if field.kind is Kind.INTEGER:
        return lambda value, _: value is not None and compare(value, expected)
    return _ages(compare, expected)


def is_set(value: object) -> bool:
    """Whether there is a value: an empty text or set is none."""
    return value is not None and value != "" and value != frozenset()


def _membership(kind: Kind, operator: Operator, expected: Any) -> Test:
    if operator is Operator.CONTAINS:
        return lambda value, _: value is not None and expected in value
    choices = frozenset(expected)
    if kind is Kind.TEXT_SET:
        if operator is Operator.IS_ANY_OF:
            return lambda value, _: value is not None and not choices.isdisjoint(value)
        return lambda value, _: value is None or choices.isdisjoint(value)
    if operator is Operator.IS_ANY_OF:
        return lambda value, _: value in choices
    return lambda value, _: value not in choices


def _gt(value: Any, expected: Any) -> bool:
    return bool(value > expected)


def _gte(value: Any, expected: Any) -> bool:
    return bool(value >= expected)


def _lt(value: Any, expected: Any) -> bool:
    return bool(value < expected)


def _lte(value: Any, expected: Any) -> bool:
    return bool(value <= expected)


def _between(value: Any, expected: Any) -> bool:
    return bool(expected[0] <= value <= expected[1])


_COMPARISONS: Mapping[Operator, Callable[[Any, Any], bool]] = {
    Operator.GT: _gt,
    Operator.GTE: _gte,
    Operator.LT: _lt,
    Operator.LTE: _lte,
    Operator.OLDER_THAN: _gt,
    Operator.NEWER_THAN: _lt,
}


def _amounts(compare: Callable[[Any, Any], bool], expected: Any) -> Test:
    """Amounts compare within one currency; where the rule names one, an amount in another never fits."""
    asked = expected if isinstance(expected, tuple) else (expected,)
    currency = asked[0].currency if isinstance(asked[0], Money) else None
    bounds = [each.amount_minor if isinstance(each, Money) else each for each in asked]
    limit = bounds if isinstance(expected, tuple) else bounds[0]

    def test(value: Money | None, _: Facts) -> bool:
        if value is None or (currency is not None and value.currency != currency):
            return False
        return compare(value.amount_minor, limit)

    return test


def _ages(compare: Callable[[Any, Any], bool], expected: Any) -> Test:
    """An age exceeds a span when its anniversary (`since` plus the span, on the calendar) has passed."""
    spans = expected if isinstance(expected, tuple) else (expected,)

    def test(since: datetime | None, facts: Facts) -> bool:
        if since is None:
            return False
        # The moment plays the age and the anniversaries the spans: their order is the same.
        anniversaries = [shift(since, span, facts.zone) for span in spans]
        return compare(facts.as_of, anniversaries if len(spans) > 1 else anniversaries[0])

    return test


def _parse_choices(field: Field, value: object, path: str, problems: Problems) -> object:
    if not isinstance(value, list | tuple) or not 0 < len(value) <= _CHOICES_MAX:
        problems.add(path, f"must be a list of 1 to {_CHOICES_MAX:,} values")
        return None
    parse_one = {Kind.INTEGER: _parse_integer, Kind.STATUS: _parse_status}.get(field.kind, _parse_text)
    choices = [parse_one(field, each, f"{path}[{index}]", problems) for index, each in enumerate(value)]
    return tuple(dict.fromkeys(choices))


def _parse_text(field: Field, value: object, path: str, problems: Problems) -> object:
    if not isinstance(value, str) or not value.strip() or len(value) > _TEXT_LENGTH_MAX:
        problems.add(path, f"must be a text of 1 to {_TEXT_LENGTH_MAX} characters")
        return None
    if not is_storable(value):
        problems.add(path, UNSTORABLE)
        return None
    match field.letters:
        case Letters.LOWER:
            return value.lower()
        case Letters.UPPER:
            return value.upper()
        case Letters.AS_WRITTEN:
            return value


def _parse_status(field: Field, value: object, path: str, problems: Problems) -> object:
    status = _STATUSES.get(value.strip().lower()) if isinstance(value, str) else None
    if status is None:
        names = listed([name.capitalize() for name in _STATUSES])
        problems.add(path, f"{quoted(value)} is not a product status; must be {names}")
    return status


def _parse_integer(field: Field, value: object, path: str, problems: Problems) -> object:
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > _INTEGER_MAX:
        problems.add(path, "must be a whole number")
        return None
    return value


def _parse_amount(field: Field, value: object, path: str, problems: Problems) -> object:
    if isinstance(value, Mapping):
        if set(value) != {"amount", "currency"}:
            problems.add(path, "must have amount and currency, and nothing else")
            return None
        amount = _parse_integer(field, value["amount"], f"{path}.amount", problems)
        try:
            currency = parse_currency(value["currency"])
        except Rejected as error:
            problems.add(f"{path}.currency", str(error))
            return None
        return Money(amount, currency) if isinstance(amount, int) else None
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > _INTEGER_MAX:
        problems.add(path, 'must be a whole number of minor units, or {"amount": 5000, "currency": "usd"}')
        return None
    return value


def _parse_quantity(field: Field, value: object, path: str, problems: Problems) -> object:
    if field.kind is Kind.MONEY:
        return _parse_amount(field, value, path, problems)
    if field.kind is Kind.AGE:
        return parse_span(value, path, problems)
    return _parse_integer(field, value, path, problems)


def _parse_range(field: Field, value: object, path: str, problems: Problems) -> object:
    if not isinstance(value, list | tuple) or len(value) != 2:
        problems.add(path, "must be a list of two: the least and the most")
        return None
    least, most = (_parse_quantity(field, each, f"{path}[{at}]", problems) for at, each in enumerate(value))
    if least is None or most is None:
        return None
    if least != Span() and unit_of(least) != unit_of(most):
        problems.add(path, "must have both ends in the same currency or unit")
        return None
    if size_of(least) > size_of(most):
        problems.add(path, "must have the least first")
        return None
    return (least, most)


def unit_of(quantity: object) -> str | None:
    """A currency, `days` or `months`; None: a bare number, or no time at all."""
    match quantity:
        case Money(_, currency):
            return currency
        case Span(months, days):
            return "months" if months else "days" if days else None
    return None


def size_of(quantity: object) -> int:
    """How many of its unit."""
    match quantity:
        case Money(amount_minor, _):
            return amount_minor
        case Span(months, days):
            return months or days
        case int():
            return quantity
    raise TypeError(f"not a quantity: {quantity!r}")
