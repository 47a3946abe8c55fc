"""The docket: leaving triggers out by product or partner must never change what is paid."""

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from domain.docket import docket_of
from domain.facts import CustomerSeen, ProductStatus, Source
from domain.judge import verdicts
from domain.products import ProductVersion
from domain.triggers import Trigger, TriggerEvent, parse_trigger
from tests.domain.test_judge import LONG_AGO, NOON, case, line, paid, program
from tests.domain.test_rules_agree import rule_trees

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
    st.just({"field": "product.key", "op": "is_any_of", "value": ["pbook_1"]}),
    st.just({"field": "partner.key", "op": "is_any_of", "value": ["bob"]}),
    st.just({"field": "partner.key", "op": "is_any_of", "value": ["ada"]}),
    st.just({"field": "line.amount", "op": "gt", "value": 600}),
    st.just({"field": "transaction.number", "op": "lte", "value": 1}),
    st.just({"field": "customer.country", "op": "is_any_of", "value": ["DE"]}),
    st.just({"field": "customer.metadata.plan", "op": "is_not_set"}),
)
trees = rule_trees(leaves, parts_max=3, leaves_max=5)


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


def keys(found: tuple[tuple[Trigger, ...], ...]) -> list[str]:
    """The keys of the triggers found."""
    return sorted(versions[0].key for versions in found)


def test_a_line_meets_only_triggers_that_may_fire_on_its_product() -> None:
    """A trigger for another product, by name or key, is not met; one for any product is, also where there is none."""
    inbox = trigger_of("inbox", {"field": "product.name", "op": "is_any_of", "value": ["Inbox"]})
    entry = trigger_of("entry", {"field": "product.key", "op": "is_any_of", "value": ["pbook_1"]})
    gold = trigger_of("gold", {"field": "product.status", "op": "is_any_of", "value": ["Active"]})
    docket = docket_of([(inbox,), (entry,), (gold,)])
    assert keys(docket.on_line({"product.name": "Inbox", "product.key": "pbook_1"})) == ["entry", "gold", "inbox"]
    assert keys(docket.on_line({"product.name": "Inbox", "product.key": "pbook_2"})) == ["gold", "inbox"]
    assert keys(docket.on_line({"product.name": "Surveys", "product.key": "pbook_1"})) == ["entry", "gold"]
    assert keys(docket.on_line({})) == ["gold"]
    assert not docket.names_partners


def test_one_partner_s_triggers_are_met_where_it_is_paid() -> None:
    """A thousand partners, each with a trigger of its own, cost a payment no more than one does."""
    mine = {"field": "partner.key", "op": "is_any_of", "value": ["ada"]}
    inbox = {"field": "product.name", "op": "is_any_of", "value": ["Inbox"]}
    line_of = trigger_of("line", {"all": [mine, {"field": "line.amount", "op": "gt", "value": 1}]})
    docket = docket_of([(trigger_of("whole", mine),), (line_of,), (trigger_of("both", {"all": [mine, inbox]}),)])
    assert docket.names_partners
    assert keys(docket.on_the_whole({"partner.key": "ada"})) == ["whole"]
    assert keys(docket.on_the_whole({"partner.key": "bob"})) == []
    assert keys(docket.on_line({"product.name": "Inbox", "partner.key": "bob"})) == ["both"]
    assert keys(docket.on_line({"product.name": "Surveys", "partner.key": "ada"})) == ["line"]


def test_triggers_are_met_by_what_tells_most_of_them_apart() -> None:
    """Of many on one product those of other groups are not met; of many of one group those on other products."""

    def both(key: str, product: str, group: str) -> tuple[Trigger]:
        inbox = {"field": "product.name", "op": "is_any_of", "value": [product]}
        return (trigger_of(key, {"all": [inbox, {"field": "partner.group", "op": "is_any_of", "value": [group]}]}),)

    by_group = docket_of([both(f"t{number}", "Inbox", f"group-{number}") for number in range(50)])
    assert by_group.names_partners
    assert len(by_group.on_line({"product.name": "Inbox", "partner.group": "group-7"})) <= 2
    assert "t7" in keys(by_group.on_line({"product.name": "Inbox", "partner.group": "group-7"}))
    by_product = docket_of([both(f"t{number}", f"Product {number}", "gold") for number in range(50)])
    assert len(by_product.on_line({"product.name": "Product 7", "partner.group": "gold"})) <= 2
    assert "t7" in keys(by_product.on_line({"product.name": "Product 7", "partner.group": "gold"}))


def test_a_trigger_is_met_wherever_one_of_its_versions_may_fire() -> None:
    """After an edit from one product to another, and to the whole payment, both lines and the whole meet it."""
    first = trigger_of("t", {"field": "product.name", "op": "is_any_of", "value": ["Inbox"]})
    second = trigger_of("t", {"field": "product.name", "op": "is_any_of", "value": ["Surveys"]}, 2)
    third = trigger_of("t", {}, 3)
    docket = docket_of([(first, second, third)])
    assert docket.on_any_payment == ((first, second, third),)
    assert set(docket.on_lines_of) == {("product.name", "Inbox"), ("product.name", "Surveys")}
    assert docket.on_any_product == ()
    other = trigger_of("t", {"field": "product.key", "op": "is_any_of", "value": ["pbook_1"]}, 4)
    assert docket_of([(first, other)]).on_any_product == ((first, other),)


def test_the_customer_s_standing_is_asked_for_where_an_occasion_reads_any_of_it() -> None:
    """Number of payments or revenue, either is enough; a rule on nothing of the kind asks for neither."""

    def counts(rules: dict[str, Any]) -> bool:
        return docket_of(
            [(replace(trigger_of("t", rules), event=TriggerEvent.PRODUCT_CREATED),)]
        ).occasions_count_payments

    assert counts({"field": "customer.transactions", "op": "gte", "value": 1})
    assert counts({"field": "customer.revenue", "op": "gte", "value": 5000})
    assert not counts({"field": "product.name", "op": "is_any_of", "value": ["Inbox"]})
