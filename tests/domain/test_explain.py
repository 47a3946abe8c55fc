"""Explanations: the verdicts that booked the money, and for each line what a person would miss."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from domain.case import CaseFile, Program
from domain.catalogue import Catalogue, Entry, EntryName
from domain.customers import Claim
from domain.explain import explain, explain_joining, explain_occasion
from domain.facts import ProductStatus, Source
from domain.judge import verdicts
from domain.occasions import customer_verdicts
from domain.partners import Partner, PartnerVersion
from domain.products import ProductVersion
from domain.rule_documents import parse_rule
from domain.rules import ConditionTrace
from domain.transactions import Basis, Line, Transaction
from domain.triggers import FlatAction, PercentAction, Trigger, TriggerEvent
from tests.domain.tables import stage_of

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
BOOK = Catalogue({"pbook_1": Entry("pbook_1", (EntryName(None, "Inbox"),), "prod_inbox")}, {"prod_inbox": "pbook_1"})
RULES = parse_rule({"field": "product.name", "op": "is_any_of", "value": ["Inbox"]})
TRIGGER = Trigger(
    "inbox", 1, "Inbox", TriggerEvent.TRANSACTION_CREATED, RULES, PercentAction(Decimal(20)), NOON - timedelta(days=9)
)
ADA = Partner("ada", NOON, (PartnerVersion(None),))
PROGRAM = Program(BOOK, {"inbox": (TRIGGER,)}, {"ada": ADA}, Basis.NET, timedelta(days=30), UTC)


def file_of(subscription: str | None, product: str | None) -> CaseFile:
    """One payment of ada's customer with one line."""
    line = Line("a line", subscription, product, (), 9900, 0, 1, recurring=True)
    paid = Transaction("stripe:in_1", "stripe", "cus_1", "usd", NOON, Source(0, NOON, 1, "evt_1"), (line,))
    claim = Claim("stripe:customer:cus_1", "ada", None, NOON, "stripe:evt_0")
    return CaseFile({paid.key: paid}, {("stripe", "cus_1"): "cust_1"}, {"cust_1": (claim,)})


@pytest.mark.parametrize(
    ("subscription", "product", "similar", "reason"),
    [
        (None, None, {}, "the provider names no product on this line"),
        ("sub_9", None, {}, 'subscription_key "sub_9" matches no product'),
        (
            "Sub_1",
            None,
            {"Sub_1": ["other", "sub_1"]},
            'subscription_key "Sub_1" matches no product; "sub_1" differs only in capitals',
        ),
        (
            "Sub_1",
            "prod_inbox",
            {"Sub_1": ["sub_1"]},
            'subscription_key "Sub_1" is known from payments only; "sub_1" differs only in capitals',
        ),
        ("sub_1", "prod_new", {}, '"prod_new" is not described in the product book yet'),
        (
            "sub_1",
            "Prod_inbox",
            {},
            '"Prod_inbox" matches no product book entry; "prod_inbox" (Inbox) differs only in capitals',
        ),
        ("sub_1", "prod_inbox", {}, None),
    ],
)
def test_a_line_says_why_it_has_no_product_and_what_is_nearly_right(
    subscription: str | None, product: str | None, similar: dict[str, list[str]], reason: str | None
) -> None:
    """Each way in which a line can miss its product has its own sentence, near misses named; a good line has none."""
    (line,) = explain("stripe:in_1", file_of(subscription, product), PROGRAM, similar).lines
    assert line.reason == reason


def test_a_line_without_product_says_what_was_found_of_it_and_nothing_else() -> None:
    """What is known of a posted line goes before what can be guessed; it has neither name nor status to show."""
    told = {"a line": "several products are on it", "another": "no"}
    (line,) = explain("stripe:in_1", file_of("Sub_1", None), PROGRAM, {"Sub_1": ["sub_1"]}, told).lines
    assert (line.product_name, line.product_status, line.reason) == (None, None, "several products are on it")
    (line,) = explain("stripe:in_1", file_of("sub_1", "prod_inbox"), PROGRAM, {}, told).lines
    assert (line.product_name, line.reason) == ("Inbox", None)
    (verdict,) = explain("stripe:in_1", file_of("sub_1", None), PROGRAM).verdicts
    assert (verdict.line_key, verdict.fired, verdict.trace and verdict.trace.note) == (
        *("a line", False),
        "the line names no product",
    )


def test_a_subscription_seen_itself_is_no_near_miss_of_another() -> None:
    """Two subscriptions whose ids differ in capitals and which both exist are simply two."""
    known = (ProductVersion(NOON, ProductStatus.ACTIVE, provider_status="active"),)
    file = replace(file_of("Sub_1", "prod_inbox"), products={("stripe", "Sub_1", "prod_inbox"): known})
    (line,) = explain("stripe:in_1", file, PROGRAM, {"Sub_1": ["sub_1"]}).lines
    assert (line.reason, line.product_name, line.product_status) == (None, "Inbox", "active")


def test_the_verdicts_are_those_that_booked_the_money() -> None:
    """An explanation judges by the same function and adds every condition, with expected and actual."""
    file = file_of("sub_1", "prod_inbox")
    found = explain("stripe:in_1", file, PROGRAM)
    assert [replace(v, trace=None) for v in found.verdicts] == verdicts("stripe:in_1", file, PROGRAM)
    assert (found.as_of, found.attribution and found.attribution.partner_key) == (NOON, "ada")
    assert found.transaction is file.transactions["stripe:in_1"]
    assert tuple(each.line for each in found.lines) == found.transaction.lines
    (verdict,) = found.verdicts
    assert isinstance(verdict.trace, ConditionTrace)
    assert (verdict.trace.expected, verdict.trace.actual, verdict.trace.held) == (["Inbox"], "Inbox", True)


def test_a_trigger_that_was_not_asked_says_why() -> None:
    """One from a later day, one switched off by then, one on another event: the one that a person misses is there."""
    later = replace(TRIGGER, key="later", effective_from=NOON + timedelta(seconds=1))
    on = replace(TRIGGER, key="off", effective_from=NOON - timedelta(days=5))
    off = replace(on, version=2, active=False, effective_from=NOON - timedelta(days=3))
    again = replace(on, version=3, effective_from=NOON + timedelta(days=3))
    bought = replace(TRIGGER, key="bought", event=TriggerEvent.PRODUCT_CREATED, action=FlatAction(500, "usd"))
    triggers = {"later": (later,), "off": (on, off, again), "inbox": (TRIGGER,), "bought": (bought,)}
    program = replace(PROGRAM, triggers=triggers, zone=ZoneInfo("America/New_York"))
    found = explain("stripe:in_1", file_of("sub_1", "prod_inbox"), program).verdicts
    assert [(v.trigger.key, v.trigger.version, v.fired) for v in found] == [
        *(("inbox", 1, True), ("bought", 1, False), ("later", 1, False), ("off", 2, False))
    ]
    assert [v.reason for v in found[1:]] == [
        "it waits for product_created, not for payments",
        "it was not in force yet: it takes effect at 2026-03-01T07:00:01-05:00",
        "it was switched off at the time, since 2026-02-26T07:00:00-05:00",
    ]


def test_an_occasion_is_explained_by_the_verdicts_that_booked_it() -> None:
    """Of a customer's occasions the one asked for, with every trigger; of one that did not happen, nothing."""
    stage = stage_of("""
on 2026-01-01   product   Inbox
on 2026-01-01   partner   ada
on 2026-01-01   trigger   buy: 5.00 USD when a product is bought, for product Inbox
on 2026-01-01   trigger   come: 5.00 USD when a customer is created
on 2026-01-01   trigger   join: 5.00 USD when a partner joins, since 2024-12-31
on 2026-01-02   customer  cus_1 is acme of ada
on 2026-01-05   stripe    sub_1 of cus_1 trialing: Inbox 99.00 USD
on 2026-01-09   stripe    sub_1 of cus_1 active: Inbox 99.00 USD
""")
    ((file, _),) = stage.ledger.load_customers([("stripe", "cus_1")], [], with_standings=True)
    bought = explain_occasion(TriggerEvent.PRODUCT_CREATED, "stripe:sub_1/prod_inbox", file, stage.program)
    assert (bought.product_name, bought.product_status) == ("Inbox", "trial")
    assert bought.occasion is not None and bought.occasion.at.day == 5
    assert bought.attribution is not None and bought.attribution.partner_key == "ada"
    booked = [verdict for occasion, verdict in customer_verdicts(file, stage.program) if occasion == bought.occasion]
    assert [replace(verdict, trace=None) for verdict in bought.verdicts[:1]] == booked
    assert bought.verdicts[0].fired and bought.verdicts[0].trace is not None
    assert [(v.trigger.key, v.reason) for v in bought.verdicts[1:]] == [
        ("come", "it waits for customer_created, not for product_created"),
        ("join", "it waits for partner_joined, not for product_created"),
    ]
    gone = explain_occasion(TriggerEvent.PRODUCT_CREATED, "stripe:sub_9/prod_inbox", file, stage.program)
    assert (gone.occasion, gone.verdicts) == (None, ())
    joined = explain_joining("ada", stage.program)
    assert [(verdict.trigger.key, verdict.fired) for verdict in joined.verdicts if verdict.fired] == [("join", True)]
    assert len(joined.verdicts) == 3
    assert (joined.event, joined.attribution, joined.product_name) == (TriggerEvent.PARTNER_JOINED, None, None)
