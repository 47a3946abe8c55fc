"""Random rules over a small world: fast, shown and plain judging agree, and rules obey the laws of logic."""

import json
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from domain.fields import Facts, Known, Unknown
from domain.rule_documents import parse_rule, render_rule
from domain.rules import AllOf, AnyOf, Not, Rule, holds, judge, texts_required

AS_OF = datetime(2026, 3, 15, 12, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
NO_PRODUCT = Unknown("the line names no product")

NAMES = ["Inbox", "inbox", "Live Chat", "Surveys"]
names = st.sampled_from(NAMES)
choice_conditions = st.builds(
    lambda field, op, value: {"field": field, "op": op, "value": value},
    st.sampled_from(["product.name", "partner.group", "customer.metadata.plan"]),
    st.sampled_from(["is_any_of", "is_none_of"]),
    st.lists(names, min_size=1, max_size=3, unique=True),
)
part_conditions = st.builds(
    lambda op, value: {"field": "product.name", "op": op, "value": value},
    st.sampled_from(["contains", "starts_with", "ends_with"]),
    st.sampled_from(["In", "box", "s", "Live Chat"]),
)
number_conditions = st.builds(
    lambda op, value: {"field": "line.quantity", "op": op, "value": value},
    st.sampled_from(["gt", "gte", "lt", "lte"]),
    st.integers(0, 4),
)
integer_choices = st.builds(
    lambda op, value: {"field": "line.quantity", "op": op, "value": value},
    st.sampled_from(["is_any_of", "is_none_of"]),
    st.lists(st.integers(0, 4), min_size=1, max_size=3, unique=True),
)
setness_conditions = st.builds(
    lambda field, op: {"field": field, "op": op},
    st.sampled_from(["product.name", "partner.group", "line.quantity"]),
    st.sampled_from(["is_set", "is_not_set"]),
)
leaves = choice_conditions | part_conditions | number_conditions | integer_choices | setness_conditions
line_leaves = (part_conditions | number_conditions | integer_choices).flatmap(
    lambda leaf: st.builds(lambda where: {**leaf, "where": where}, part_conditions | number_conditions)
)


def rule_trees(
    leaves: st.SearchStrategy[dict[str, Any]], *, parts_max: int, leaves_max: int
) -> st.SearchStrategy[dict[str, Any]]:
    """Rules of these conditions under all, any and not."""
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.builds(lambda parts: {"all": parts}, st.lists(inner, min_size=1, max_size=parts_max)),
            st.builds(lambda parts: {"any": parts}, st.lists(inner, min_size=1, max_size=parts_max)),
            st.builds(lambda part: {"not": part}, inner),
        ),
        max_leaves=leaves_max,
    )


documents = rule_trees(leaves | line_leaves, parts_max=4, leaves_max=12)
worlds = st.builds(
    lambda product, line, partner, customer: Facts(
        {"product": product, "line": line, "partner": partner, "customer": customer}, AS_OF, BERLIN
    ),
    st.just(NO_PRODUCT) | st.builds(lambda name: {"name": name}, names | st.none()),
    st.builds(lambda quantity: {"quantity": quantity}, st.integers(0, 4) | st.none()),
    st.just(Unknown("no partner")) | st.builds(lambda group: {"group": group}, names | st.none()),
    st.builds(lambda plan: {"metadata": {"plan": plan}}, names | st.none()),
)


def oracle(document: dict[str, Any], facts: Facts) -> bool | None:
    """The same question answered from the JSON, slowly and plainly; None for neither."""
    for word, decisive in (("all", False), ("any", True)):
        if word in document:
            answers = [oracle(part, facts) for part in document[word]]
            return decisive if decisive in answers else None if None in answers else not decisive
    if "not" in document:
        answer = oracle(document["not"], facts)
        return None if answer is None else not answer
    if "where" in document:
        alone = {key: document[key] for key in document if key != "where"}
        return oracle({"all": [alone, document["where"]]}, facts)
    found = facts.value(document["field"])
    if isinstance(found, Unknown):
        return {"is_set": False, "is_not_set": True}.get(document["op"])
    return plain(document["op"], found.value, document.get("value"))


def plain(op: str, actual: Any, value: Any) -> bool:
    """One comparison, each operator in its own words."""
    if op in ("is_set", "is_not_set"):
        return (actual is None) == (op == "is_not_set")
    if actual is None:
        return op == "is_none_of"
    if op in ("gt", "gte", "lt", "lte"):
        difference = actual - value
        return difference in {"gt": range(1, 9), "gte": range(9), "lt": range(-9, 0), "lte": range(-8, 1)}[op]
    if op in ("is_any_of", "is_none_of"):
        return bool((value.count(actual) > 0) == (op == "is_any_of"))
    found_at = {at for at in range(len(actual)) if actual[at : at + len(value)] == value}
    wanted_at = {"contains": found_at, "starts_with": {0}, "ends_with": {len(actual) - len(value)}}[op]
    return bool(found_at & wanted_at)


@given(document=documents, facts=worlds)
def test_fast_shown_and_plain_judging_agree(document: dict[str, Any], facts: Facts) -> None:
    """The short-circuiting answer, the trace's and that of a plain reading of the JSON are the same."""
    rule = parse_rule(document)
    trace = judge(rule, facts)
    assert holds(rule, facts) == trace.held
    assert (trace.held if trace.known else None) == oracle(document, facts)


@given(document=documents)
def test_a_rule_survives_being_written_and_read(document: dict[str, Any]) -> None:
    """A rule written as JSON and read again is equal, hash and all."""
    rule = parse_rule(document)
    again = parse_rule(json.loads(json.dumps(render_rule(rule))))
    assert again == rule
    assert hash(again) == hash(rule)


@given(first=documents, second=documents, facts=worlds)
def test_negations_move_inwards(first: dict[str, Any], second: dict[str, Any], facts: Facts) -> None:
    """Not both is one or the other not, not either is neither, and twice not is nothing, absences included."""
    one, other = parse_rule(first), parse_rule(second)

    def came_out(rule: Rule) -> tuple[bool, bool]:
        trace = judge(rule, facts)
        return trace.held, trace.known

    assert came_out(Not(AllOf((one, other)))) == came_out(AnyOf((Not(one), Not(other))))
    assert came_out(Not(AnyOf((one, other)))) == came_out(AllOf((Not(one), Not(other))))
    assert came_out(Not(Not(one))) == came_out(one)


@given(document=documents, facts=worlds)
def test_a_rule_holds_only_with_a_text_it_requires(document: dict[str, Any], facts: Facts) -> None:
    """Where a rule requires one of some product names and holds, the product has one of them."""
    rule = parse_rule(document)
    required = texts_required(rule, "product.name")
    if required is not None and holds(rule, facts):
        found = facts.value("product.name")
        assert isinstance(found, Known)
        assert found.value in required


def test_the_texts_a_rule_requires_are_found() -> None:
    """`all` requires what its narrowest part does, `any` what all its parts do, a negation nothing."""
    inbox = {"field": "product.name", "op": "is_any_of", "value": ["Inbox"]}
    two = {"field": "product.name", "op": "is_any_of", "value": ["Inbox", "Surveys"]}
    other = {"field": "line.quantity", "op": "gt", "value": 1}

    def required(document: dict[str, Any]) -> frozenset[str] | None:
        return texts_required(parse_rule(document), "product.name")

    assert required({"all": [other, two, inbox]}) == frozenset({"Inbox"})
    assert required({"any": [two, inbox]}) == frozenset({"Inbox", "Surveys"})
    assert required({"any": [two, other]}) is None
    assert required({**other, "where": inbox}) == frozenset({"Inbox"})
    assert required({"not": inbox}) is None
    assert required({}) is None
