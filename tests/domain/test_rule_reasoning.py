"""What is said of rules without any facts: what cannot hold, what cannot hold together, what implies what."""

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from domain.money import Money
from domain.rule_documents import parse_rule
from domain.rule_reasoning import can_both_hold, can_hold, currencies_asked, implies
from domain.rules import Rule, conditions

ZONE = ZoneInfo("UTC")


def rule(*parts: tuple[Any, ...], word: str = "all") -> Rule:
    """A rule of conditions written (field, operator, value)."""
    written = [dict(zip(("field", "op", "value"), part, strict=False)) for part in parts]
    return parse_rule({word: written})


APART = {
    "names": [("product.name", "is_any_of", ["Inbox"]), ("product.name", "is_any_of", ["Surveys"])],
    "a name and its exclusion": [("product.name", "is_any_of", ["Inbox"]), ("product.name", "is_none_of", ["Inbox"])],
    "a name and a start": [("product.name", "is_any_of", ["Inbox"]), ("product.name", "starts_with", "Out")],
    "a name and an end": [("product.name", "is_any_of", ["Inbox"]), ("product.name", "ends_with", "in")],
    "a name and a part": [("product.name", "is_any_of", ["Inbox"]), ("product.name", "contains", "z")],
    "numbers": [("line.quantity", "gt", 3), ("line.quantity", "lt", 4)],
    "bounds that exclude each other": [("line.quantity", "gte", 4), ("line.quantity", "lt", 4)],
    "ranges": [("line.quantity", "between", [1, 3]), ("line.quantity", "between", [4, 6])],
    "a number and a bound": [("line.quantity", "is_any_of", [1, 2]), ("line.quantity", "gt", 2)],
    "a number and an upper bound": [("line.quantity", "is_any_of", [5, 6]), ("line.quantity", "lte", 4)],
    "the narrower of two lower bounds": [
        ("line.quantity", "gt", 4),
        ("line.quantity", "gte", 4),
        ("line.quantity", "lte", 4),
    ],
    "the narrower of two lower bounds, told last": [
        ("line.quantity", "gte", 4),
        ("line.quantity", "gt", 4),
        ("line.quantity", "lte", 4),
    ],
    "the narrower of two upper bounds": [
        ("line.quantity", "lt", 4),
        ("line.quantity", "lte", 4),
        ("line.quantity", "gte", 4),
    ],
    "amounts of one currency": [
        ("line.amount", "gt", {"amount": 500, "currency": "usd"}),
        ("line.amount", "lte", {"amount": 500, "currency": "usd"}),
    ],
    "amounts": [("line.amount", "gt", 500), ("line.amount", "lte", 500)],
    "currencies": [("transaction.currency", "is_any_of", ["usd"]), ("transaction.currency", "is_any_of", ["eur"])],
    "an amount in another currency": [
        ("line.amount", "gte", {"amount": 1, "currency": "eur"}),
        ("transaction.currency", "is_any_of", ["usd"]),
    ],
    "amounts of two currencies": [
        ("line.amount", "gte", {"amount": 1, "currency": "eur"}),
        ("transaction.amount", "gte", {"amount": 1, "currency": "usd"}),
    ],
    "statuses": [("product.status", "is_any_of", ["trial"]), ("product.status", "is_any_of", ["active"])],
    "set and not set": [("partner.group", "is_set"), ("partner.group", "is_not_set")],
    "a value that is not set": [("partner.group", "is_any_of", ["gold"]), ("partner.group", "is_not_set")],
    "days": [
        ("transaction.created", "within", {"before": "2026-01-01"}),
        ("transaction.created", "within", {"after": "2026-01-01"}),
    ],
    "days that touch": [
        ("transaction.created", "within", {"between": ["2026-01-01", "2026-01-31"]}),
        ("transaction.created", "within", {"between": ["2026-02-01", "2026-02-28"]}),
    ],
    "windows that never meet": [
        ("product.created", "within", {"current": "month"}),
        ("product.created", "within", {"previous": "month"}),
    ],
    "a day and the year before": [
        ("product.created", "within", {"current": "day"}),
        ("product.created", "within", {"previous": "year"}),
    ],
    "a tag that must not be had": [
        ("partner.tags", "is_any_of", ["a", "b"]),
        ("partner.tags", "is_none_of", ["b", "a"]),
    ],
    "a tag that others lack": [("partner.tags", "is_none_of", ["vip"]), ("partner.tags", "contains", "vip")],
    "the first year and what follows": [("customer.age", "lt", {"months": 12}), ("customer.age", "gte", {"years": 1})],
    "an age and its edge": [("customer.age", "lte", {"days": 30}), ("customer.age", "older_than", {"days": 30})],
    "an age in two words": [("customer.age", "gte", {"days": 30}), ("customer.created", "newer_than", {"days": 30})],
    "months and days": [("partner.age", "gt", {"months": 2}), ("partner.joined", "newer_than", {"days": 50})],
    "days and months": [("partner.age", "lt", {"months": 2}), ("partner.age", "between", [{"days": 70}, {"days": 90}])],
    "an amount in itself": [
        ("product.amount", "gte", {"amount": 9, "currency": "usd"}),
        ("product.amount", "lt", 9),
    ],
}
TOGETHER = {
    "a name and its start": [("product.name", "is_any_of", ["Inbox"]), ("product.name", "starts_with", "In")],
    "a name and its end": [("product.name", "is_any_of", ["Inbox"]), ("product.name", "ends_with", "ox")],
    "a number and its bounds": [("line.quantity", "is_any_of", [4]), ("line.quantity", "between", [4, 4])],
    "two lower bounds": [("line.quantity", "gte", 5), ("line.quantity", "between", [1, 5])],
    "two upper bounds": [("line.quantity", "lte", 5), ("line.quantity", "between", [5, 9])],
    "overlapping names": [("product.name", "is_any_of", ["Inbox", "A"]), ("product.name", "is_any_of", ["Inbox", "B"])],
    "tags, of which a partner has many": [("partner.tags", "is_any_of", ["a"]), ("partner.tags", "is_any_of", ["b"])],
    "none of and not set": [("partner.group", "is_none_of", ["gold"]), ("partner.group", "is_not_set")],
    "bounds with one number between": [("line.quantity", "gt", 3), ("line.quantity", "lt", 5)],
    "bounds that meet": [("line.quantity", "gte", 4), ("line.quantity", "lte", 4)],
    "another name": [("product.name", "is_any_of", ["Inbox", "A"]), ("product.name", "is_none_of", ["A"])],
    "different fields": [("product.name", "is_any_of", ["Inbox"]), ("partner.group", "is_any_of", ["gold"])],
    "windows that move": [
        ("product.created", "within", {"current": "year"}),
        ("product.created", "within", {"previous": "month"}),
    ],
    "a week, which months cut": [
        ("product.created", "within", {"current": "week"}),
        ("product.created", "within", {"previous": "month"}),
    ],
    "a month and days that it may have": [
        ("customer.age", "gt", {"months": 1}),
        ("customer.age", "lt", {"days": 29}),
    ],
    "a tag and another that is not had": [
        ("partner.tags", "is_any_of", ["a", "b"]),
        ("partner.tags", "is_none_of", ["a"]),
    ],
    "a name and another's negation": [("product.name", "is_any_of", ["Inbox"]), ("product.name", "is_none_of", ["A"])],
    "an age in two words": [("customer.age", "gte", {"days": 30}), ("customer.created", "newer_than", {"days": 31})],
    "amounts of whichever currency": [
        ("line.amount", "gte", 5),
        ("line.amount", "lte", {"amount": 5, "currency": "usd"}),
    ],
    "days that share one": [
        ("transaction.created", "within", {"between": ["2026-01-01", "2026-01-31"]}),
        ("transaction.created", "within", {"between": ["2026-01-31", "2026-02-28"]}),
    ],
    "one currency": [
        ("line.amount", "gte", {"amount": 1, "currency": "usd"}),
        ("transaction.currency", "is_any_of", ["usd", "eur"]),
    ],
    "open ends": [
        ("transaction.created", "within", {"after": "2026-01-01"}),
        ("transaction.created", "within", {"after": "2027-01-01"}),
    ],
}


@pytest.mark.parametrize("conditions", APART.values(), ids=APART)
def test_what_contradicts_itself_cannot_hold(conditions: list[tuple[Any, ...]]) -> None:
    """Neither as one rule nor as two on the same thing."""
    assert not can_hold(rule(*conditions), ZONE)
    assert not can_both_hold(rule(*conditions[:-1]), rule(conditions[-1]), ZONE)
    assert can_hold(rule(*conditions, word="any"), ZONE)


def test_days_are_the_programs() -> None:
    """In Berlin March begins at 23:00 UTC, so there a moment after that is not before March; in UTC it is."""
    march = ("transaction.created", "within", {"before": "2026-03-01"})
    late = ("transaction.created", "within", {"after": 1772319600000})
    berlin = ZoneInfo("Europe/Berlin")
    assert can_hold(rule(march, late), ZONE) and can_both_hold(rule(march), rule(late), ZONE)
    assert not can_hold(rule(march, late), berlin)
    assert not can_both_hold(rule(march), rule(late), berlin)


@pytest.mark.parametrize("conditions", TOGETHER.values(), ids=TOGETHER)
def test_what_can_hold_is_not_called_impossible(conditions: list[tuple[Any, ...]]) -> None:
    """As one rule and as two."""
    assert can_hold(rule(*conditions), ZONE)
    assert can_both_hold(rule(conditions[0]), rule(conditions[1]), ZONE)


IMPLIED = [
    (("product.name", "is_any_of", ["Inbox"]), ("product.name", "is_any_of", ["Inbox", "Surveys"]), True),
    (("product.name", "is_any_of", ["Inbox", "Surveys"]), ("product.name", "is_any_of", ["Inbox"]), False),
    (("product.name", "is_none_of", ["a", "b"]), ("product.name", "is_none_of", ["a"]), True),
    (("product.name", "is_none_of", ["a"]), ("product.name", "is_none_of", ["a", "b"]), False),
    (("product.name", "is_any_of", ["Inbox"]), ("product.name", "is_set"), True),
    (("product.name", "is_none_of", ["Inbox"]), ("product.name", "is_set"), False),
    (("product.name", "is_set"), ("product.key", "is_set"), False),
    (("line.quantity", "gt", 5), ("line.quantity", "gt", 4), True),
    (("line.quantity", "gt", 4), ("line.quantity", "gt", 5), False),
    (("line.quantity", "lte", 4), ("line.quantity", "lte", 5), True),
    (("line.quantity", "lte", 5), ("line.quantity", "lte", 4), False),
    (("line.amount", "gte", 500), ("line.amount", "gte", 400), True),
    (
        ("line.amount", "lt", {"amount": 4, "currency": "usd"}),
        ("line.amount", "lt", {"amount": 5, "currency": "usd"}),
        True,
    ),
    (
        ("line.amount", "lt", {"amount": 4, "currency": "usd"}),
        ("line.amount", "lt", {"amount": 5, "currency": "eur"}),
        False,
    ),
    (("line.amount", "gte", {"amount": 5, "currency": "usd"}), ("line.amount", "gte", 4), True),
    (("line.amount", "gte", 5), ("line.amount", "gte", {"amount": 4, "currency": "usd"}), False),
    (("customer.age", "older_than", {"days": 5}), ("customer.age", "older_than", {"days": 5}), True),
    (("customer.age", "gt", {"days": 5}), ("customer.age", "gt", {"days": 4}), True),
    (("customer.age", "gt", {"days": 5}), ("customer.age", "gte", {"days": 5}), True),
    (("customer.age", "gte", {"days": 5}), ("customer.age", "gt", {"days": 5}), False),
    (("customer.age", "lt", {"months": 12}), ("customer.age", "newer_than", {"years": 2}), True),
    (("customer.age", "lt", {"months": 1}), ("customer.age", "lt", {"days": 40}), False),
    (("line.quantity", "gt", 4), ("line.quantity", "gte", 5), True),
    (("line.quantity", "between", [2, 3]), ("line.quantity", "between", [1, 3]), True),
    (("line.quantity", "between", [2, 3]), ("line.quantity", "between", [3, 3]), False),
    (("line.quantity", "between", [2, 3]), ("line.quantity", "lt", 4), True),
    (("line.quantity", "is_any_of", [2, 3]), ("line.quantity", "gt", 1), True),
    (("line.quantity", "is_any_of", [2, 3]), ("line.quantity", "gt", 2), False),
    (("product.name", "is_any_of", ["Inbox", "Index"]), ("product.name", "starts_with", "In"), True),
    (("product.name", "is_any_of", ["Inbox"]), ("product.name", "is_none_of", ["Surveys"]), True),
    (("partner.tags", "is_any_of", ["a"]), ("partner.tags", "is_any_of", ["a", "b"]), True),
    (("partner.tags", "is_any_of", ["a"]), ("partner.tags", "contains", "a"), True),
    (("partner.tags", "is_any_of", ["a", "b"]), ("partner.tags", "contains", "a"), False),
    (("partner.tags", "is_any_of", ["a"]), ("partner.tags", "is_none_of", ["b"]), False),
    (("partner.group", "is_not_set"), ("partner.group", "is_none_of", ["gold"]), False),
]


@pytest.mark.parametrize(("known", "wanted", "is_so"), IMPLIED)
def test_one_condition_implies_another(known: tuple[Any, ...], wanted: tuple[Any, ...], *, is_so: bool) -> None:
    """Where it is certain, and only there; a rule with more conditions still implies what one of them does."""
    assert implies(rule(known), rule(wanted)) is is_so
    more = rule(known, ("partner.country", "is_any_of", ["DE"]))
    assert implies(more, rule(wanted)) is is_so
    assert not implies(rule(wanted), more)


def test_either_way_must_imply_it() -> None:
    """Of two ways to hold each must lead there, and a way of the other rule is enough."""
    either = rule(("line.quantity", "gt", 5), ("product.name", "is_any_of", ["Inbox"]), word="any")
    assert not implies(either, rule(("line.quantity", "gt", 4)))
    assert implies(rule(("line.quantity", "gt", 9)), either)
    assert implies(either, parse_rule(None))


def test_a_negation_that_a_condition_says_is_read_as_that() -> None:
    """Everything but Inbox never meets Inbox, however it is said; what no condition says is left open."""
    named = {"field": "product.name", "op": "is_any_of", "value": ["Inbox"]}
    inbox = rule(("product.name", "is_any_of", ["Inbox"]))
    for denied in (
        named,
        {"any": [named, {"field": "line.quantity", "op": "gt", "value": 1}]},
        {"not": {"not": named}},
    ):
        assert not can_both_hold(parse_rule({"not": denied}), inbox, ZONE)
    both = {"all": [named, {"field": "partner.group", "op": "is_set"}]}
    assert can_both_hold(parse_rule({"not": both}), inbox, ZONE)
    assert not can_both_hold(parse_rule({"not": {**named, "where": named}}), inbox, ZONE)
    assert implies(parse_rule({"not": named}), rule(("product.name", "is_none_of", ["Inbox"])))
    assert implies(rule(("product.name", "is_any_of", ["Surveys"])), parse_rule({"not": named}))
    assert not implies(parse_rule({"not": named}), inbox)
    more = {"not": {"field": "line.quantity", "op": "gt", "value": 1}}
    assert can_both_hold(parse_rule(more), rule(("line.quantity", "gt", 1)), ZONE)
    assert implies(parse_rule(more), parse_rule(more))
    assert not implies(rule(("line.quantity", "lte", 1)), parse_rule(more))


def test_a_payment_is_never_before_itself() -> None:
    """It is judged as of its own moment: neither of an earlier period nor older than anything."""
    assert not can_hold(rule(("transaction.created", "within", {"previous": "month"})), ZONE)
    assert not can_hold(rule(("transaction.created", "older_than", {"days": 0})), ZONE)
    assert can_hold(rule(("transaction.created", "within", {"current": "month"})), ZONE)
    assert can_hold(rule(("customer.created", "older_than", {"days": 0})), ZONE)


def test_the_conditions_inside_where_count() -> None:
    """A contradiction between a condition and its own `where` is one, and both are found."""
    inner = {"field": "product.status", "op": "is_any_of", "value": ["active"]}
    outer = {"field": "product.status", "op": "is_any_of", "value": ["trial"], "where": inner}
    assert not can_hold(parse_rule(outer), ZONE)
    assert [each.expected for each in conditions(parse_rule({"not": outer}))] == [("trial",), ("active",)]


def test_the_currencies_a_rule_asks_for() -> None:
    """Named on every way: those; open on one way: any."""
    dollars = ("transaction.currency", "is_any_of", ["usd"])
    euros = ("line.amount", "gt", {"amount": 1, "currency": "eur"})
    assert currencies_asked(rule(dollars)) == frozenset({"usd"})
    assert currencies_asked(rule(dollars, euros, word="any")) == frozenset({"usd", "eur"})
    assert currencies_asked(rule(dollars, ("line.quantity", "gt", 1), word="any")) is None
    assert currencies_asked(parse_rule(None)) is None
    range_of_euros = ("transaction.amount", "between", [{"amount": 1, "currency": "eur"}] * 2)
    assert currencies_asked(rule(range_of_euros)) == frozenset({"eur"})
    assert currencies_asked(rule(("customer.revenue", "gt", {"amount": 1, "currency": "eur"}))) == frozenset({"eur"})
    assert currencies_asked(rule(("product.amount", "gt", {"amount": 1, "currency": "eur"}))) is None
    assert Money(1, "eur") in {each.expected for each in conditions(rule(euros))}


def test_too_many_ways_are_left_open() -> None:
    """A rule with more ways to hold than are looked at is neither called impossible nor said to imply anything."""
    quantity = {"field": "line.quantity"}
    parts = [{"any": [{**quantity, "op": "gt", "value": n}, {**quantity, "op": "lt", "value": n}]} for n in range(8)]
    many = parse_rule({"all": parts})
    assert can_hold(many, ZONE)
    assert not implies(many, rule(("line.quantity", "is_set")))
    assert implies(many, many)


def choices(count: int) -> dict[str, Any]:
    """A rule with so many ways to hold."""
    return {"any": [{"field": "line.quantity", "op": "gt", "value": number} for number in range(count)]}


WAYS = {
    "a choice": (choices(64), choices(65)),
    "choices together": ({"all": [choices(8), choices(8)]}, {"all": [choices(5), choices(13)]}),
    "a choice of choices": (
        {"any": [{"all": [choices(4), choices(8)]}, choices(32)]},
        {"any": [{"all": [choices(4), choices(8)]}, choices(33)]},
    ),
    "a choice inside where": (
        {"field": "line.quantity", "op": "is_set", "where": choices(64)},
        {"field": "line.quantity", "op": "is_set", "where": choices(65)},
    ),
}


@pytest.mark.parametrize(("most", "more"), WAYS.values(), ids=WAYS)
def test_sixty_four_ways_are_looked_at(most: dict[str, Any], more: dict[str, Any]) -> None:
    """Of a rule with 64 ways to hold it is known what each implies; with one more it is left open."""
    wanted = rule(("line.quantity", "is_set"))
    assert implies(parse_rule(most), wanted)
    assert not implies(parse_rule({"all": [more, choices(1)]}), wanted)
    assert not implies(wanted, parse_rule({"any": [{"field": "line.quantity", "op": "is_set"}, more]}))
