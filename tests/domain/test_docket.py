"""The docket: leaving triggers out by product name must never change what is paid."""

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from domain.docket import docket_of
from domain.facts import CustomerSeen, ProductStatus, Source
from domain.judge import verdicts
from domain.products import ProductVersion
from domain.triggers import Trigger, parse_trigger
from tests.domain.test_judge import LONG_AGO, NOON, case, line, paid, program

NAMES = ["Inbox", "Live Chat", "Surveys"]

named = st.lists(st.sampled_from(NAMES), min_size=1, max_size=2, unique=True).map(
    lambda names: {"field": "product.name", "op": "is_any_of", "value": names}
)
leaves: st.SearchStrategy[dict[str, Any]] = st.one_of(
    named,
    named.map(lambda condition: {**condition, "op": "is_none_of"}),
    st.just({"field": "product.status", "op": "is_any_of", "value": ["Active"]}),
    st.just({"field": "partner.group", "op": "is_any_of", "value": ["gold"]}),
    st.just({"field": "product.created", "op": "is_set"}),
    st.just({"field": "line.amount", "op": "gt", "value": 600}),
    st.just({"field": "transaction.number", "op": "lte", "value": 1}),
    st.just({"field": "customer.country", "op": "is_any_of", "value": ["DE"]}),
    st.just({"field": "customer.metadata.plan", "op": "is_not_set"}),
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


SAID = CustomerSeen("stripe", "cus_1", Source(0, LONG_AGO, 0, "evt_0"), country="DE", metadata={"plan": "a"})
HISTORY = (ProductVersion(LONG_AGO, ProductStatus.TRIAL), ProductVersion(NOON, ProductStatus.ACTIVE))


@given(st.lists(trees, min_size=1, max_size=6))
def test_what_is_left_out_would_have_changed_nothing(rules: list[dict[str, Any]]) -> None:
    """Judged by every trigger on all facts, or by the docket's alone on what those need, the same is asked for."""
    run = program(*(trigger_of(f"t{number}", tree) for number, tree in enumerate(rules)))
    sold = paid("in_1", line(1000), line(500, "prod_chat"), line(700, None))
    whole = case(sold, descriptions={"cust_1": (SAID,)}, products={("stripe", "sub_1", "prod_inbox"): HISTORY})
    needed = run.docket.needed
    file = replace(
        whole,
        descriptions=whole.descriptions if needed.descriptions else {},
        products=whole.products if needed.product_states else {},
    )
    some = [v.desired for v in verdicts(sold.key, file, run) if v.fired]
    every = [v.desired for v in verdicts(sold.key, whole, run, traced=True) if v.fired]
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
