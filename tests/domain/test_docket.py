"""The docket: leaving triggers out by product name must never change what is paid."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from domain.docket import docket_of
from domain.judge import verdicts
from domain.triggers import Trigger, parse_trigger
from tests.domain.test_judge import LONG_AGO, case, line, paid, program

NAMES = ["Inbox", "Live Chat", "Surveys"]

named = st.lists(st.sampled_from(NAMES), min_size=1, max_size=2, unique=True).map(
    lambda names: {"field": "product.name", "op": "is_any_of", "value": names}
)
leaves: st.SearchStrategy[dict[str, Any]] = st.one_of(
    named,
    named.map(lambda condition: {**condition, "op": "is_none_of"}),
    st.just({"field": "product.status", "op": "is_any_of", "value": ["Active"]}),
    st.just({"field": "partner.group", "op": "is_any_of", "value": ["gold"]}),
)
trees = st.recursive(
    leaves,
    lambda parts: st.one_of(
        st.lists(parts, min_size=1, max_size=3).map(lambda each: {"all": each}),
        st.lists(parts, min_size=1, max_size=3).map(lambda each: {"any": each}),
        parts.map(lambda part: {"not": part}),
    ),
    max_leaves=5,
)


def trigger_of(key: str, rules: dict[str, Any], version: int = 1) -> Trigger:
    """A percent trigger with these rules."""
    document = {"name": key, "event": "transaction_created", "action": {"type": "percent", "percent": "10"}}
    return parse_trigger({**document, "rules": rules}).as_version(key, version, LONG_AGO)


@given(st.lists(trees, min_size=1, max_size=6))
def test_a_trigger_that_is_left_out_would_not_have_fired(rules: list[dict[str, Any]]) -> None:
    """Judged with every trigger or with the docket's alone, the same commissions are asked for."""
    run = program(*(trigger_of(f"t{number}", tree) for number, tree in enumerate(rules)))
    sold = paid("in_1", line(1000), line(500, "prod_chat"), line(700, None))
    file = case(sold)
    key = sold.key
    some = [v.desired for v in verdicts(key, file, run) if v.fired]
    every = [v.desired for v in verdicts(key, file, run, traced=True) if v.fired]
    assert some == every


def test_a_line_meets_only_triggers_that_may_fire_on_its_product() -> None:
    """A trigger for another product is not met; one for any product is, also on a line without a product."""
    inbox = trigger_of("inbox", {"field": "product.name", "op": "is_any_of", "value": ["Inbox"]})
    gold = trigger_of("gold", {"field": "product.status", "op": "is_any_of", "value": ["Active"]})
    docket = docket_of([(inbox,), (gold,)])
    assert {version.key for versions in docket.on_line("Inbox") for version in versions} == {"inbox", "gold"}
    assert {version.key for versions in docket.on_line("Surveys") for version in versions} == {"gold"}
    assert {version.key for versions in docket.on_line(None) for version in versions} == {"gold"}


def test_a_trigger_is_met_wherever_one_of_its_versions_may_fire() -> None:
    """After an edit from one product to another, and to the whole payment, both lines and the whole meet it."""
    first = trigger_of("t", {"field": "product.name", "op": "is_any_of", "value": ["Inbox"]})
    second = trigger_of("t", {"field": "product.name", "op": "is_any_of", "value": ["Surveys"]}, 2)
    third = trigger_of("t", {}, 3)
    docket = docket_of([(first, second, third)])
    assert docket.on_the_whole == ((first, second, third),)
    assert set(docket.on_product) == {"Inbox", "Surveys"}
    assert docket.on_any_product == ()
