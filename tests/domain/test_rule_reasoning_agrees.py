"""What is said of rules without facts is never contradicted by any facts."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.fields import Facts
from domain.money import Money
from domain.rule_documents import parse_rule
from domain.rule_reasoning import can_both_hold, can_hold, implies
from domain.rules import holds
from tests.domain.test_rules_agree import documents, rule_trees, worlds

spans = st.sampled_from([{"days": 0}, {"days": 29}, {"days": 31}, {"days": 60}, {"months": 1}, {"months": 2}])
aged_leaves = (
    st.builds(
        lambda op, span: {"field": "customer.age", "op": op, "value": span},
        st.sampled_from(["gt", "gte", "lt", "lte", "older_than", "newer_than"]),
        spans,
    )
    | st.builds(
        lambda op, span: {"field": "customer.created", "op": op, "value": span},
        st.sampled_from(["older_than", "newer_than"]),
        spans,
    )
    | st.builds(
        lambda form, unit: {"field": "customer.created", "op": "within", "value": {form: unit}},
        st.sampled_from(["current", "previous"]),
        st.sampled_from(["day", "week", "month", "quarter", "year"]),
    )
    | st.builds(
        lambda op, value: {"field": "partner.tags", "op": op, "value": value[0] if op == "contains" else value},
        st.sampled_from(["is_any_of", "is_none_of", "contains"]),
        st.lists(st.sampled_from("abc"), min_size=1, max_size=2, unique=True),
    )
    | st.builds(
        lambda op, amount, unit: {
            "field": "line.amount",
            "op": op,
            "value": {"amount": amount, **unit} if unit else amount,
        },
        st.sampled_from(["gt", "gte", "lt", "lte"]),
        st.integers(1, 3),
        st.sampled_from([{}, {"currency": "usd"}, {"currency": "eur"}]),
    )
)
aged_documents = rule_trees(aged_leaves, parts_max=3, leaves_max=6)
aged_worlds = st.builds(
    lambda as_of, days, tags, amount, currency: Facts(
        {
            "customer": {"created": None if days is None else as_of - timedelta(hours=days * 6)},
            "partner": {"tags": frozenset(tags)},
            "line": {"amount": Money(amount, currency)},
        },
        as_of,
        ZoneInfo("America/New_York"),
    ),
    st.sampled_from(
        [datetime(2026, month, day, 6, 30, tzinfo=UTC) for month, day in ((1, 31), (3, 1), (3, 9), (11, 2))]
    ),
    st.integers(-4, 260) | st.sampled_from([116, 120, 124, 240]) | st.none(),
    st.lists(st.sampled_from("abc"), max_size=2),
    st.integers(0, 4),
    st.sampled_from(["usd", "eur"]),
)


def contradictions(one: dict[str, Any], other: dict[str, Any], facts: Facts) -> list[str]:
    """What was said of two rules that these facts belie."""
    first, second = parse_rule(one), parse_rule(other)
    found = [] if implies(first, first) else ["a rule implies itself"]
    if not holds(first, facts):
        return found
    if not can_hold(first, facts.zone):
        found.append("it was said that it cannot hold")
    if holds(second, facts) and not can_both_hold(first, second, facts.zone):
        found.append("it was said that both cannot hold")
    if implies(first, second) and not holds(second, facts):
        found.append("it was said that it implies the other")
    return found


@settings(max_examples=200)
@given(documents, documents, worlds)
def test_no_facts_contradict_what_is_said_of_rules(one: dict[str, Any], other: dict[str, Any], facts: Facts) -> None:
    """What cannot hold does not, what cannot hold together never does, what is implied holds as well."""
    assert contradictions(one, other, facts) == []


@settings(max_examples=200)
@given(aged_documents, aged_documents, aged_worlds)
def test_nor_where_dates_sets_and_currencies_meet(one: dict[str, Any], other: dict[str, Any], facts: Facts) -> None:
    """Months beside days, around the changes of the clocks; tags, of which a partner has many; amounts of two kinds."""
    assert contradictions(one, other, facts) == []
