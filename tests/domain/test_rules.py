"""What each operator means on each kind of field, what an absence means, and that fast and shown judging agree."""

import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from domain.facts import ProductStatus
from domain.fields import FIELDS, Facts, Kind, Known, Unknown
from domain.money import Money
from domain.operators import FITTING
from domain.rule_documents import parse_rule
from domain.rules import (
    Always,
    ConditionTrace,
    GroupTrace,
    Rule,
    fields_read,
    holds,
    is_per_line,
    judge,
)

AS_OF = datetime(2026, 3, 15, 12, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
NO_PRODUCT = Unknown('no product matches subscription "sub_1"')


def facts_of(field: str, value: object) -> Facts:
    """Facts with one field; the field's object has nothing else."""
    owner, _, item = field.partition(".")
    if item.startswith("metadata."):
        return Facts({owner: {"metadata": {item.removeprefix("metadata."): value}}}, AS_OF, BERLIN)
    return Facts({owner: {FIELDS[field].item: value}}, AS_OF, BERLIN)


def actual_of(field: str, text: str) -> object:
    """A value as a table writes it: JSON, money as `4900 usd`, a date, or `unset`."""
    kind = FIELDS[field].kind if field in FIELDS else Kind.TEXT
    if text == "unset":
        return None
    match kind:
        case Kind.MONEY:
            amount, currency = text.split()
            return Money(int(amount), currency)
        case Kind.DATE | Kind.AGE:
            return datetime.fromisoformat(text).replace(tzinfo=UTC)
        case Kind.TEXT_SET:
            return frozenset(json.loads(text))
        case Kind.STATUS:
            return ProductStatus(text)
    return json.loads(text)


def split_value(text: str) -> tuple[str, str]:
    """The JSON value (or `-`) that a cell starts with, and the rest."""
    end = 1 if text.startswith("-  ") else json.JSONDecoder().raw_decode(text)[1]
    return text[:end], text[end:].strip()


def condition(field: str, operator: str, value: str) -> Rule:
    """A condition as a table writes it; `-` stands for no value."""
    document: dict[str, object] = {"field": field, "op": operator}
    return parse_rule(document if value == "-" else {**document, "value": json.loads(value)})


OPERATOR_TABLE = """
product.name               is_any_of     ["Inbox", "Surveys"]    "Inbox"              holds
product.name               is_any_of     ["Inbox", "Surveys"]    "inbox"              fails
product.name               is_any_of     ["Inbox"]               "Inbox "             fails
product.name               is_any_of     ["Inbox"]               unset                fails
product.name               is_none_of    ["Inbox"]               "Live Chat"          holds
product.name               is_none_of    ["Inbox"]               "Inbox"              fails
partner.group              is_none_of    ["gold"]                unset                holds
product.name               contains      "Base"                  "Knowledge Base"     holds
product.name               contains      "base"                  "Knowledge Base"     fails
product.name               contains      "Base"                  unset                fails
product.name               starts_with   "Know"                  "Knowledge Base"     holds
product.name               starts_with   "Base"                  "Knowledge Base"     fails
product.name               ends_with     "Base"                  "Knowledge Base"     holds
product.name               ends_with     "Know"                  "Knowledge Base"     fails
product.name               ends_with     "Know"                  unset                fails
product.name               is_set        -                       "Inbox"              holds
product.name               is_set        -                       unset                fails
product.name               is_not_set    -                       unset                holds
customer.metadata.plan     is_any_of     ["pro"]                 "pro"                holds
customer.metadata.plan     is_any_of     ["pro"]                 unset                fails
customer.metadata.a.b      is_any_of     ["x"]                   "x"                  holds
customer.metadata.seats    is_any_of     ["5"]                   5                    holds
customer.metadata.vip      is_any_of     ["true"]                true                 holds
customer.metadata.odd      is_set        -                       ["a", "list"]        fails
product.status             is_any_of     ["Active", "TRIAL"]     active               holds
product.status             is_any_of     ["Active", "TRIAL"]     trial                holds
product.status             is_any_of     ["Active"]              churned              fails
product.status             is_none_of    ["churned"]             active               holds
transaction.currency       is_any_of     ["USD"]                 "usd"                holds
customer.country           is_any_of     ["de"]                  "DE"                 holds
customer.email_domain      ends_with     ".EDU"                  "mit.edu"            holds
partner.tags               is_any_of     ["eu", "us"]            ["us", "vip"]        holds
partner.tags               is_any_of     ["eu"]                  ["us", "vip"]        fails
partner.tags               is_any_of     ["eu"]                  []                   fails
partner.tags               is_none_of    ["eu"]                  ["us"]               holds
partner.tags               is_none_of    ["eu"]                  ["us", "eu"]         fails
partner.tags               is_none_of    ["eu"]                  unset                holds
partner.tags               contains      "vip"                   ["us", "vip"]        holds
partner.tags               contains      "vi"                    ["us", "vip"]        fails
partner.tags               is_set        -                       []                   fails
partner.tags               is_not_set    -                       []                   holds
line.quantity              gt            5                       5                    fails
line.quantity              gte           5                       5                    holds
line.quantity              lt            5                       5                    fails
line.quantity              lte           5                       5                    holds
line.quantity              lt            5                       unset                fails
transaction.number         is_any_of     [1]                     1                    holds
transaction.number         is_any_of     [1]                     2                    fails
transaction.number         between       [2, 4]                  2                    holds
transaction.number         between       [2, 4]                  4                    holds
transaction.number         between       [2, 4]                  5                    fails
transaction.number         is_set        -                       0                    holds
line.amount                gt            5000                    5001 usd             holds
line.amount                gt            5000                    5001 jpy             holds
line.amount                gt            5000                    5000 usd             fails
line.amount                lte           -1                      -1 usd               holds
line.amount                gte           5000                    unset                fails
line.amount                gte    {"amount": 5000, "currency": "USD"}    5000 usd     holds
line.amount                gte    {"amount": 5000, "currency": "usd"}    5000 jpy     fails
line.amount                lt     {"amount": 5000, "currency": "usd"}    1 jpy        fails
line.amount                between       [100, 200]              200 usd              holds
line.amount                between       [100, 200]              201 usd              fails
line.amount  between  [{"amount": 1, "currency": "usd"}, {"amount": 9, "currency": "usd"}]   9 usd   holds
line.amount  between  [{"amount": 1, "currency": "usd"}, {"amount": 9, "currency": "usd"}]   9 eur   fails
customer.created   within  {"current": "day"}                    2026-03-14T23:00    holds
customer.created   within  {"current": "day"}                    2026-03-14T22:59    fails
customer.created   within  {"current": "month"}                  2026-02-28T23:30    holds
customer.created   within  {"previous": "month"}                 2026-02-28T23:30    fails
customer.created   within  {"previous": "month"}                 2026-02-28T22:30    holds
customer.created   within  {"previous": "year"}                  2025-06-01T00:00    holds
customer.created   within  {"rolling": {"days": 30}}             2026-02-13T12:00    holds
customer.created   within  {"rolling": {"days": 30}}             2026-02-13T11:59    fails
customer.created   within  {"rolling": {"days": 30}}             2026-03-15T12:00    holds
customer.created   within  {"rolling": {"days": 30}}             2026-03-15T12:01    fails
customer.created   within  {"after": "2026-03-01"}               2026-03-01T22:59    fails
customer.created   within  {"after": "2026-03-01"}               2026-03-01T23:00    holds
customer.created   within  {"before": "2026-03-01"}              2026-02-28T22:59    holds
customer.created   within  {"before": "2026-03-01"}              2026-02-28T23:00    fails
customer.created   within  {"between": ["2026-03-01", "2026-03-02"]}     2026-02-28T23:00    holds
customer.created   within  {"between": ["2026-03-01", "2026-03-02"]}     2026-03-02T22:59    holds
customer.created   within  {"between": ["2026-03-01", "2026-03-02"]}     2026-03-02T23:00    fails
customer.created   within  {"after": 1767225600000}              2026-01-01T00:00    fails
customer.created   within  {"after": 1767225600000}              2026-01-01T00:00:00.000001    holds
customer.created   within  {"before": 1767225600000}             2026-01-01T00:00    fails
customer.created   within  {"between": [1767225600000, 1767225600000]}   2026-01-01T00:00    holds
customer.created   within  {"current": "year"}                   unset               fails
customer.created   older_than    {"days": 30}                    2026-02-13T11:59    holds
customer.created   older_than    {"days": 30}                    2026-02-13T12:00    fails
customer.created   newer_than    {"days": 30}                    2026-02-13T12:00    fails
customer.created   newer_than    {"days": 30}                    2026-02-13T12:01    holds
customer.created   newer_than    {"days": 30}                    2027-01-01T00:00    holds
customer.created   newer_than    {"days": 30}                    unset               fails
customer.age       gte           30                              2026-02-13T12:00    holds
customer.age       gt            30                              2026-02-13T12:00    fails
customer.age       lt            {"months": 12}                  2025-03-15T12:01    holds
customer.age       lt            {"years": 1}                    2025-03-15T12:00    fails
customer.age       lte           {"years": 1}                    2025-03-15T12:00    holds
customer.age       between       [{"weeks": 1}, {"weeks": 2}]    2026-03-01T12:00    holds
customer.age       between       [{"weeks": 1}, {"weeks": 2}]    2026-03-01T11:59    fails
customer.age       between       [0, {"months": 1}]              2026-02-15T12:00    holds
customer.age       gt            150                             2025-10-16T11:00    fails
customer.age       gte           150                             2025-10-16T11:00    holds
partner.age        newer_than    {"months": 1}                   2026-02-15T12:01    holds
partner.age        is_not_set    -                               unset               holds
"""


@pytest.mark.parametrize("row", OPERATOR_TABLE.strip().splitlines())
def test_every_operator_means_what_the_table_says(row: str) -> None:
    """Each condition of the table holds or fails on its value, judged on 15 March 2026 in Berlin."""
    field, operator, rest = row.split(maxsplit=2)
    value, rest = split_value(rest)
    actual, expectation = rest.rsplit(maxsplit=1)
    rule = condition(field, operator, value)
    facts = facts_of(field, actual_of(field, actual.strip()))
    assert holds(rule, facts) == (expectation == "holds")
    assert judge(rule, facts).held == (expectation == "holds")


def test_the_table_leaves_no_operator_out() -> None:
    """Every operator that fits a kind of field is in the table with a field of that kind."""
    shown = {
        (FIELDS[name].kind, op) for name, op, *_ in map(str.split, OPERATOR_TABLE.split("\n")[1:-1]) if name in FIELDS
    }
    setness = {"is_set", "is_not_set"}
    wanted = {(kind, op.value) for kind, operators in FITTING.items() for op in operators if op not in setness}
    assert wanted - shown == {
        (Kind.INTEGER, "is_none_of"),  # told from the others by the oracle below
        (Kind.AGE, "older_than"),  # the same as gt
    }


INBOX = {"field": "product.name", "op": "is_any_of", "value": ["Inbox"]}
NO_INBOX = {"field": "product.name", "op": "is_none_of", "value": ["Inbox"]}
TWO = {"field": "line.quantity", "op": "is_any_of", "value": [2]}
NINE = {"field": "line.quantity", "op": "is_any_of", "value": [9]}
NAMED = {"field": "product.name", "op": "is_set"}


@pytest.mark.parametrize(
    ("document", "outcome"),
    [
        (INBOX, "neither"),
        (NO_INBOX, "neither"),
        ({"not": INBOX}, "neither"),
        ({"field": "product.amount", "op": "gte", "value": 1}, "neither"),
        (NAMED, "fails"),
        ({"not": NAMED}, "holds"),
        ({"field": "product.name", "op": "is_not_set"}, "holds"),
        ({"all": [NO_INBOX, NINE]}, "fails"),
        ({"all": [NO_INBOX, TWO]}, "neither"),
        ({"any": [NO_INBOX, TWO]}, "holds"),
        ({"any": [NO_INBOX, NINE]}, "neither"),
        ({**TWO, "where": NAMED}, "fails"),
        ({**TWO, "where": INBOX}, "neither"),
        ({"not": {**TWO, "where": INBOX}}, "neither"),
        ({**NINE, "where": INBOX}, "fails"),
        ({**INBOX, "where": NINE}, "fails"),
        ({**INBOX, "where": TWO}, "neither"),
    ],
)
def test_a_line_without_product_is_never_paid_for_what_it_is_not(document: object, outcome: str) -> None:
    """A rule about an absent product neither holds nor fails, so its negation does not hold either."""
    rule = parse_rule(document)
    facts = Facts({"product": NO_PRODUCT, "line": {"quantity": 2}}, AS_OF, BERLIN)
    expected = {"holds": (True, True), "fails": (False, True), "neither": (False, False)}[outcome]
    trace = judge(rule, facts)
    assert (trace.held, trace.known) == expected
    assert holds(rule, facts) == expected[0]


def test_a_group_says_that_its_opposite_does_not_hold_either() -> None:
    """Of a "not" that does not hold though its part does not, the trace says why; of any other it says nothing."""
    facts = Facts({"product": NO_PRODUCT, "line": {"quantity": 2}}, AS_OF, BERLIN)
    neither = "it asks of something that is not there: neither this nor its opposite holds"
    assert judge(parse_rule({"not": INBOX}), facts).note == neither
    assert judge(parse_rule({"not": NINE}), facts).note is None


def test_the_trace_says_why_an_object_is_absent() -> None:
    """A condition on an absent object carries the reason of its absence, and no value."""
    trace = judge(condition("product.name", "is_any_of", '["Inbox"]'), Facts({"product": NO_PRODUCT}, AS_OF, BERLIN))
    assert isinstance(trace, ConditionTrace)
    assert (trace.note, trace.actual) == (NO_PRODUCT.reason, None)


NOTE_TABLE = """
product.name      is_any_of    ["Inbox"]                 "inbox"       "inbox" differs from "Inbox" only in capitals
product.name      is_any_of    ["Chat", "Inbox"]         " Inbox"      " Inbox" differs from "Inbox" only in white space
product.name      is_any_of    ["a b"]     "A  b"        "A  b" differs from "a b" only in capitals and white space
product.name      is_any_of    ["\u00e9"]  "e\u0301"     "e\u0301" differs from "\u00e9" only in letter encoding
product.name      is_none_of   ["Inbox"]                 "inbox"       "inbox" differs from "Inbox" only in capitals
product.name      is_any_of    ["inbox", "Inbox"]        "Inbox"       -
product.name      is_any_of    ["Inbox"]                 "Surveys"     -
product.name      is_any_of    ["Inbox"]                 unset         product.name is not set
product.name      contains     "pro"       "My PRO"      "My PRO" contains "pro" only if capitals are ignored
product.name      starts_with  "inbox"     "Inbox 2"     "Inbox 2" starts with "inbox" only if capitals are ignored
product.name      ends_with    "pro"       "Inbox Pro"   "Inbox Pro" ends with "pro" only if capitals are ignored
product.name      ends_with    "Inbox"                   "Inbox Pro"   -
product.name      contains     "box"                     "Inbox Pro"   -
product.name      starts_with  "Inbox"                   "Inbox Pro"   -
product.name      contains     "xx"                      "Inbox Pro"   -
product.name      starts_with  "PRO"                     "Inbox Pro"   -
line.amount       between      [{"amount": 1, "currency": "usd"}, {"amount": 2, "currency": "usd"}]  9 eur  it is in eur, the rule asks for usd
partner.tags      is_any_of    ["EU"]                    ["eu"]        "eu" differs from "EU" only in capitals
partner.tags      is_any_of    ["us"]                    ["US", "us"]  -
partner.tags      contains     "Vip"                     ["vip"]       "vip" differs from "Vip" only in capitals
line.amount       gte          {"amount": 1, "currency": "usd"}   9 eur   it is in eur, the rule asks for usd
line.amount       gte          1                         9 eur         the rule asks for at least 0.01 EUR
line.amount       gt           5000                      9 jpy         the rule asks for more than 5,000 JPY
line.amount       lt           {"amount": 1, "currency": "usd"}   9 usd   the rule asks for less than 0.01 USD
line.amount       lte          4950                      9 usd         the rule asks for at most 49.50 USD
line.amount       between      [100, 200]                9 kwd         the rule asks for 0.100 KWD to 0.200 KWD
customer.age      gte          {"months": 1}             2026-01-31    it is that old from 2026-02-28T01:00:00+01:00 on
customer.age      between      [{"days": 7}, {"days": 70}]  2026-02-01  it is that old from 2026-02-08T01:00:00+01:00 until 2026-04-12T01:00:00+02:00
partner.joined    older_than   {"years": 1}              2026-01-01    it is that old from 2027-01-01T01:00:00+01:00 on
customer.created  within {"current": "day"}  2026-01-01  from 2026-03-15T00:00:00+01:00 before 2026-03-16T00:00:00+01:00
customer.created  within  {"before": "2026-01-01"}  2026-01-01  before 2026-01-01T00:00:00+01:00
customer.created  is_set       -                         2026-01-01    -
"""  # noqa: E501


@pytest.mark.parametrize("row", NOTE_TABLE.strip().splitlines())
def test_the_trace_notes_what_the_eye_misses(row: str) -> None:
    """Near misses, amounts as money, other currencies, values not set, the bounds of a window or of an age."""
    field, operator, rest = row.split(maxsplit=2)
    value, rest = split_value(rest)
    actual, note = split_value(rest) if rest.startswith(('"', "[")) else rest.split("  ", maxsplit=1)
    trace = judge(condition(field, operator, value), facts_of(field, actual_of(field, actual)))
    assert isinstance(trace, ConditionTrace)
    assert trace.note == (None if note.strip() == "-" else note.strip())


def test_no_rules_are_shown_as_holding_always() -> None:
    """Whatever the facts are."""
    assert judge(parse_rule(None), Facts({}, AS_OF, BERLIN)) == GroupTrace("always", True, True, ())


def test_judging_shows_every_condition() -> None:
    """A trace mirrors its rule and judges every condition, also behind one that already decides, `where` included."""
    rule = parse_rule(
        {
            "any": [
                {"field": "line.quantity", "op": "gt", "value": 1},
                {"not": {"all": [{"field": "product.name", "op": "is_any_of", "value": ["Inbox"]}]}},
                {
                    "field": "product.name",
                    "op": "is_any_of",
                    "value": ["Inbox"],
                    "where": {"field": "product.status", "op": "is_any_of", "value": ["Trial"]},
                },
            ]
        }
    )
    facts = Facts(
        {"product": {"name": "Inbox", "status": ProductStatus.ACTIVE}, "line": {"quantity": 2}}, AS_OF, BERLIN
    )
    inbox = ConditionTrace("product.name", "is_any_of", ["Inbox"], "Inbox", True, True, True, None)
    trial = ConditionTrace("product.status", "is_any_of", ["trial"], ProductStatus.ACTIVE, False, True, False, None)
    not_all = GroupTrace("not", False, True, (GroupTrace("all", True, True, (inbox,)),))
    both = ConditionTrace("product.name", "is_any_of", ["Inbox"], "Inbox", False, True, True, None, trial)
    first = ConditionTrace("line.quantity", "gt", 1, 2, True, True, True, None)
    assert judge(rule, facts) == GroupTrace("any", True, True, (first, not_all, both))


def test_an_age_is_shown_as_a_length_of_time() -> None:
    """The facts keep when something began; a rule on its age shows how long ago that was."""
    facts = facts_of("customer.age", AS_OF - timedelta(days=3))
    assert facts.value("customer.age") == Known(timedelta(days=3))
    trace = judge(condition("customer.age", "lt", "5"), facts)
    assert isinstance(trace, ConditionTrace)
    assert (trace.held, trace.actual, trace.expected) == (True, timedelta(days=3), {"days": 5})


def test_facts_tell_absent_objects_from_absent_values() -> None:
    """An item left out is known not to be set; an object left out is unknown; a field that is none is an error."""
    facts = Facts({"partner": {}}, AS_OF, BERLIN).with_objects(product=NO_PRODUCT)
    assert facts.value("partner.group") == Known(None)
    assert facts.value("partner.metadata.tier") == Known(None)
    assert facts.value("product.name") == NO_PRODUCT
    assert isinstance(facts.value("customer.country"), Unknown)
    with pytest.raises(KeyError):
        facts.value("partner.shoe_size")


def test_rules_name_what_they_read() -> None:
    """The fields read include those inside `not` and `where`, and any of a product or line makes a rule per line."""
    inner = {"field": "line.quantity", "op": "gt", "value": 1}
    rule = parse_rule({"not": {"any": [{"field": "product.key", "op": "is_set", "where": {"not": inner}}]}})
    whole = parse_rule({"all": [{"field": "transaction.amount", "op": "gt", "value": 1}]})
    assert fields_read(rule) == {"product.key", "line.quantity"}
    assert is_per_line(rule)
    assert fields_read(whole) == {"transaction.amount"}
    assert not is_per_line(whole)
    assert not is_per_line(Always())
