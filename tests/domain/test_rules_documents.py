"""Reading rules from JSON: every mistake is refused at its own path, with what is allowed instead."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Rejected
from domain.fields import TriggerEvent
from domain.problems import Problems, RejectedDocument
from domain.rule_documents import CONDITIONS_MAX, DEPTH_MAX, parse_rule, read_rule, render_rule
from domain.rules import Always

INBOX: dict[str, Any] = {"field": "product.name", "op": "is_any_of", "value": ["Inbox"]}


def mistakes(document: object, event: TriggerEvent | None = None) -> dict[str, str]:
    """Every mistake of a refused rule, by path."""
    with pytest.raises(RejectedDocument) as refusal:
        parse_rule(document, event)
    return {problem.field: problem.message for problem in refusal.value.problems}


MISTAKE_TABLE = """
{"field": "product.nam", "op": "is_set"}                    rules.field   did you mean "product.name"
{"field": "weather", "op": "is_set"}                        rules.field   must be customer.age
{"field": "customer.metadata.", "op": "is_set"}             rules.field   unknown field
{"field": "product.metadata.x", "op": "is_set"}             rules.field   unknown field
{"op": "is_set"}                                            rules.field   must name a field
{"field": 5, "op": "is_set"}                                rules.field   must name a field
{"field": "product.name"}                                   rules.op      must name an operator
{"field": "product.name", "op": "equals", "value": "x"}     rules.op      must be is_any_of
{"field": "product.name", "op": ["gt"], "value": "x"}       rules.op      does not fit
{"field": "product.name", "op": "gt", "value": "x"}         rules.op      product.name is of type text
{"field": "line.amount", "op": "contains", "value": "1"}    rules.op      line.amount is of type amount
{"field": "product.status", "op": "starts_with", "value": "A"}   rules.op   is_any_of, is_none_of
{"field": "customer.created", "op": "gt", "value": 1}       rules.op      within
{"field": "partner.tags", "op": "ends_with", "value": "x"}  rules.op      set of texts
{"field": "product.name", "op": "is_any_of"}                rules.value   must be a list
{"field": "product.name", "op": "is_any_of", "value": "Inbox"}        rules.value      must be a list
{"field": "product.name", "op": "is_any_of", "value": []}             rules.value      must be a list of 1 to
{"field": "product.name", "op": "is_any_of", "value": ["a", 5]}       rules.value[1]   must be a text
{"field": "product.name", "op": "is_any_of", "value": [" "]}          rules.value[0]   must be a text
{"field": "product.name", "op": "is_any_of", "value": ["a\\u0000"]}   rules.value[0]   NUL
{"field": "product.name", "op": "is_any_of", "value": ["\\ud800"]}    rules.value[0]   surrogate
{"field": "product.name", "op": "contains", "value": ["a"]}           rules.value      must be a text
{"field": "product.name", "op": "contains", "value": ""}              rules.value      must be a text
{"field": "product.name", "op": "is_set", "value": true}              rules.value      takes no value
{"field": "product.status", "op": "is_any_of", "value": ["Activ"]}    rules.value[0]   Trial, Active or Churned
{"field": "product.status", "op": "is_any_of", "value": ["none"]}     rules.value[0]   Trial, Active or Churned
{"field": "line.quantity", "op": "gt", "value": "5"}        rules.value   must be a whole number
{"field": "line.quantity", "op": "gt", "value": 5.0}        rules.value   must be a whole number
{"field": "line.quantity", "op": "gt", "value": true}       rules.value   must be a whole number
{"field": "line.quantity", "op": "gt", "value": 9223372036854775808}  rules.value   must be a whole number
{"field": "line.quantity", "op": "between", "value": 5}     rules.value   must be a list of two
{"field": "line.quantity", "op": "between", "value": [5]}   rules.value   must be a list of two
{"field": "line.quantity", "op": "between", "value": [5, 4]}          rules.value      the least first
{"field": "line.quantity", "op": "between", "value": [1, "4"]}        rules.value[1]   must be a whole number
{"field": "line.amount", "op": "gt", "value": 49.5}         rules.value   must be a whole number of minor units
{"field": "line.amount", "op": "gt", "value": "49.50 USD"}  rules.value   must be a whole number of minor units
{"field": "line.amount", "op": "gt", "value": {"amount": 5}}          rules.value      must have amount and currency
{"field": "line.amount", "op": "gt", "value": {"amount": 5, "currency": "dollar"}}   rules.value.currency   three-letter
{"field": "line.amount", "op": "gt", "value": {"amount": "5", "currency": "usd"}}   rules.value.amount     whole number
{"field": "line.amount", "op": "between", "value": [{"amount": 5, "currency": "usd"}, 6]}    rules.value   same currency
{"field": "customer.age", "op": "gt", "value": "30d"}       rules.value   days, weeks, months or years
{"field": "customer.age", "op": "gt", "value": {"hours": 3}}          rules.value      days, weeks, months or years
{"field": "customer.age", "op": "gt", "value": {"days": 1, "months": 1}}   rules.value   days, weeks, months or years
{"field": "customer.age", "op": "gt", "value": {"days": -1}}          rules.value      from 0 days
{"field": "customer.age", "op": "gt", "value": {"years": 101}}        rules.value      100 years
{"field": "customer.age", "op": "between", "value": [{"days": 9}, {"months": 1}]}     rules.value   currency or unit
{"field": "customer.created", "op": "within", "value": "month"}       rules.value      current, previous, rolling
{"field": "customer.created", "op": "within", "value": {}}            rules.value      current, previous, rolling
{"field": "customer.created", "op": "within", "value": {"next": "day"}}    rules.value   current, previous, rolling
{"field": "customer.created", "op": "within", "value": {"current": "decade"}}   rules.value.current   day, week, month
{"field": "customer.created", "op": "within", "value": {"previous": 1}}         rules.value.previous  day, week, month
{"field": "customer.created", "op": "within", "value": {"rolling": {"days": 0}}}    rules.value.rolling  from 1 days
{"field": "customer.created", "op": "within", "value": {"after": "1.3.2026"}}   rules.value.after  not a day
{"field": "customer.created", "op": "within", "value": {"after": "20260301"}}   rules.value.after  not a day
{"field": "customer.created", "op": "within", "value": {"after": "2026-02-30"}}  rules.value.after  not a day
{"field": "customer.created", "op": "within", "value": {"after": "1969-12-31"}}  rules.value.after  not a day
{"field": "customer.created", "op": "within", "value": {"after": "3000-01-01"}}  rules.value.after  "3000-01-01" is not
{"field": "customer.created", "op": "within", "value": {"before": 1767225600}}  rules.value.before  looks like seconds
{"field": "customer.created", "op": "within", "value": {"before": -1}}          rules.value.before  epoch milliseconds
{"field": "customer.created", "op": "within", "value": {"between": ["2026-01-01"]}}   rules.value.between  list of two
{"field": "partner.joined", "op": "within", "value": {"between": ["2026-01-02", "2026-01-01"]}} rules.value.between must
{"field": "partner.joined", "op": "within", "value": {"between": ["2026-01-01", "soon"]}}   rules.value.between[1] not
{"field": "partner.joined", "op": "within", "value": {"between": ["soon", "2026-01-01"]}}   rules.value.between[0] not
{"field": "customer.created", "op": "within", "value": {"between": ["2026-01-02", 5]}}  rules.value.between  one of each
{"field": "line.amount", "op": "gt", "value": true}         rules.value   must be a whole number of minor units
{"field": "line.amount", "op": "between", "value": [6, 5]}  rules.value   must have the least first
{"field": "customer.age", "op": "between", "value": [{"days": 9}, {"days": 8}]}   rules.value   the least first
{"field": "customer.age", "op": "between", "value": [{"months": 2}, {"months": 1}]}   rules.value   the least first
{"field": "product.name", "op": "is_set", "vlaue": 1}       rules         unknown key "vlaue"
{"field": "product.name", "op": "is_set", "where": {"field": "partner.key", "op": "is_set"}}  rules.where.field  line.*
{"field": "partner.key", "op": "is_set", "where": {"field": "line.amount", "op": "is_set"}} rules.where.field partner.*
{"field": "product.name", "op": "is_set", "where": {}}      rules.where.field   must name a field
{"field": "product.name", "op": "is_set", "where": []}      rules.where   must be an object
{"all": []}                                                 rules.all     at least one
{"any": {}}                                                 rules.any     must be a list
{"not": []}                                                 rules.not     must be an object
{"not": null}                                               rules.not     must be an object
{"all": [{}]}                                               rules.all[0].field   must name a field
{"all": ["x"]}                                              rules.all[0]  must be an object
{"all": [], "any": []}                                      rules         all must stand alone
{"all": [], "field": "x"}                                   rules         without "field"
[]                                                          rules         must be an object
"always"                                                    rules         must be an object
0                                                           rules         must be an object
"""


@pytest.mark.parametrize("row", MISTAKE_TABLE.strip().splitlines())
def test_each_mistake_is_refused_at_its_path(row: str) -> None:
    """Each broken rule of the table is refused where it is broken, saying what is allowed there."""
    document, end = json.JSONDecoder().raw_decode(row)
    path, message = row[end:].split(maxsplit=1)
    found = mistakes(document)
    assert next(iter(found)) == path
    assert message in found[path]


def test_all_mistakes_are_reported_at_once() -> None:
    """A rule with several mistakes names each of them, and is refused as one thing the caller got wrong."""
    document = {
        "all": [
            {"field": "product.name", "op": "is_any_of", "value": []},
            {"any": [INBOX, {"not": {"field": "line.amount", "op": "gt", "value": "x"}}]},
            {**INBOX, "where": {"all": [{"field": "product.nmae", "op": "is_set"}]}},
        ]
    }
    found = mistakes(document)
    assert list(found) == [
        "rules.all[0].value",
        "rules.all[1].any[1].not.value",
        "rules.all[2].where.all[0].field",
    ]
    with pytest.raises(Rejected) as refusal:
        parse_rule(document)
    assert refusal.value.field == "rules.all[0].value"
    assert "rules.all[1].any[1].not.value: must be" in str(refusal.value)


@pytest.mark.parametrize("document", [None, {}])
def test_no_rules_mean_always(document: object) -> None:
    """Rules left out, or empty, hold for everything."""
    assert parse_rule(document) == Always()
    assert render_rule(Always()) == {}


@pytest.mark.parametrize("word", ["all", "not", "where"])
def test_rules_are_nested_twenty_deep_at_most(word: str) -> None:
    """A rule of twenty levels is read, one of twenty-one is refused, and one of ten thousand is refused as well."""

    def nested(levels: int) -> object:
        document: object = INBOX
        for _ in range(levels - 1):
            document = {"all": [document]} if word == "all" else {"not": document} if word == "not" else document
            document = {**INBOX, "where": document} if word == "where" else document
        return document

    assert parse_rule(nested(DEPTH_MAX)) != Always()
    for levels in (DEPTH_MAX + 1, 10_000):
        assert "deeper than 20" in next(iter(mistakes(nested(levels)).values()))


def test_rules_have_two_hundred_conditions_at_most() -> None:
    """Two hundred conditions are read, one more is refused, spread over groups or not, and reported once."""
    half = {"any": [INBOX] * (CONDITIONS_MAX // 2)}
    assert parse_rule({"all": [half, half]}) != Always()
    assert mistakes({"all": [half, half, INBOX, INBOX]}) == {
        "rules.all[2]": "a rule must not have more than 200 conditions"
    }
    assert list(mistakes({"all": [INBOX] * (CONDITIONS_MAX + 1)})) == ["rules.all"]


def test_an_answer_to_a_hostile_rule_stays_small_and_printable() -> None:
    """However many and however odd the mistakes, the answer names fifty of them at most, in text UTF-8 can carry."""
    field = {"field": "\ud800" * 10_000, "op": "x" * 10_000, "\udfff" * 10_000: 1}
    found = mistakes({"all": [field] * CONDITIONS_MAX})
    answer = json.dumps(found, ensure_ascii=False).encode()
    assert len(found) <= 50
    assert len(answer) < 100_000


@pytest.mark.parametrize(
    ("event", "allowed", "refused"),
    [
        (TriggerEvent.TRANSACTION_CREATED, "line.amount", None),
        (TriggerEvent.PRODUCT_CREATED, "product.name", "line.amount"),
        (TriggerEvent.PRODUCT_STATUS_CHANGED, "product.status", "transaction.amount"),
        (TriggerEvent.CUSTOMER_CREATED, "customer.metadata.plan", "product.name"),
        (TriggerEvent.PARTNER_JOINED, "partner.tags", "customer.country"),
    ],
)
def test_a_rule_reads_only_what_exists_at_its_event(event: TriggerEvent, allowed: str, refused: str | None) -> None:
    """A field of an object that an event does not have is refused for that event, and only for that."""
    assert parse_rule({"field": allowed, "op": "is_set"}, event) != Always()
    if refused is not None:
        assert "does not exist here" in mistakes({"field": refused, "op": "is_set"}, event)["rules.field"]
        assert parse_rule({"field": refused, "op": "is_set"}) != Always()


def test_where_adds_no_object_its_event_lacks() -> None:
    """A product rule for a new product cannot reach a line through `where`: there is none."""
    document = {**INBOX, "where": {"field": "line.amount", "op": "gt", "value": 1}}
    assert parse_rule(document, TriggerEvent.TRANSACTION_CREATED) != Always()
    assert "rules.where.field" in mistakes(document, TriggerEvent.PRODUCT_CREATED)


@pytest.mark.parametrize(
    ("written", "rendered"),
    [
        ({"field": "product.status", "op": "is_any_of", "value": ["Active", "ACTIVE", "trial"]}, ["active", "trial"]),
        ({"field": "customer.country", "op": "is_any_of", "value": ["de", "DE"]}, ["DE"]),
        ({"field": "transaction.currency", "op": "is_none_of", "value": ["USD"]}, ["usd"]),
        ({"field": "customer.age", "op": "gt", "value": 30}, {"days": 30}),
        ({"field": "customer.age", "op": "gt", "value": {"weeks": 2}}, {"days": 14}),
        ({"field": "customer.age", "op": "gt", "value": {"years": 2}}, {"months": 24}),
        (
            {"field": "line.amount", "op": "gt", "value": {"amount": 5, "currency": "USD"}},
            {"amount": 5, "currency": "usd"},
        ),
        ({"field": "product.name", "op": "is_any_of", "value": [" Inbox", "inbox"]}, [" Inbox", "inbox"]),
        ({"field": "line.quantity", "op": "between", "value": [4, 4]}, [4, 4]),
        ({"field": "line.amount", "op": "gt", "value": 2**63 - 1}, 2**63 - 1),
        (
            {"field": "customer.age", "op": "between", "value": [{"months": 1}, {"years": 1}]},
            [{"months": 1}, {"months": 12}],
        ),
        (
            {"field": "customer.age", "op": "between", "value": [{"days": 0}, {"years": 1}]},
            [{"days": 0}, {"months": 12}],
        ),
        ({"field": "partner.joined", "op": "within", "value": {"current": "week"}}, {"current": "week"}),
        ({"field": "partner.joined", "op": "within", "value": {"after": "1970-01-01"}}, {"after": "1970-01-01"}),
        ({"field": "partner.joined", "op": "within", "value": {"before": "2999-12-31"}}, {"before": "2999-12-31"}),
        ({"field": "partner.joined", "op": "within", "value": {"previous": "quarter"}}, {"previous": "quarter"}),
        ({"field": "partner.joined", "op": "within", "value": {"rolling": {"months": 3}}}, {"rolling": {"months": 3}}),
        ({"field": "partner.joined", "op": "within", "value": {"after": "2026-03-01"}}, {"after": "2026-03-01"}),
        ({"field": "partner.joined", "op": "within", "value": {"before": 1767225600001}}, {"before": 1767225600001}),
        (
            {"field": "partner.joined", "op": "within", "value": {"between": ["2026-01-01"] * 2}},
            {"between": ["2026-01-01"] * 2},
        ),
    ],
)
def test_values_are_brought_into_the_form_the_facts_have(written: dict[str, Any], rendered: object) -> None:
    """Statuses, currencies, countries and lengths of time may be written several ways and are kept one way."""
    rule = parse_rule(written)
    assert render_rule(rule)["value"] == rendered
    assert parse_rule(render_rule(rule)) == rule


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["all", "any", "not", "field", "op", "value", "where", "current", "days", "amount", "x"]),
            inner
            | st.sampled_from(["product.name", "line.amount", "customer.age", "partner.joined", "is_any_of", "within"]),
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(json_values)
def test_any_json_is_a_rule_or_refused(document: object) -> None:
    """Whatever JSON is sent, it is read as a rule or refused with a path below `rules`; nothing else ever happens."""
    problems = Problems()
    rule = read_rule(document, None, "rules", problems)
    assert all(problem.field.startswith("rules") for problem in problems.found)
    assert problems.found or parse_rule(render_rule(rule)) == rule
