"""Explaining a recorded transaction: found by any of its names, true to the books, with what an eye would miss."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from domain.errors import Rejected
from infra.explanations import document, explain_by_name
from tests.builders import item, line, stripe_events
from tests.stage import Stage


@pytest.fixture
def stage(engine: Engine) -> Stage:
    """ada earns 20 % of Inbox on in_1; acme's Live Chat earns nothing."""
    stage = Stage(engine)
    stage.product("Inbox", "prod_inbox")
    stage.product("Live Chat", "prod_chat")
    stage.partner("ada")
    stage.trigger("trg_inbox", "20", rules=named("Inbox"), offer={"description": "20 % of Inbox"})
    stage.play([known_customer(), bought("sub_1", "prod_inbox"), paid("in_1", "sub_1", ("prod_inbox", 9900))])
    return stage


def named(*names: str) -> dict[str, Any]:
    """Rules that hold for products of these names."""
    return {"field": "product.name", "op": "is_any_of", "value": list(names)}


def known_customer(key: str = "cus_1", **metadata: str) -> stripe_events.Event:
    """acme, referred by ada, unless `metadata` says otherwise."""
    return stripe_events.customer(key, metadata=metadata or {"customer_key": "acme", "partner_key": "ada"})


def bought(subscription: str, product: str) -> stripe_events.Event:
    """A subscription of one product."""
    return stripe_events.subscription(subscription, customer="cus_1", items=[item(product)])


def paid(key: str, subscription: str | None, *lines: tuple[str | None, int]) -> stripe_events.Event:
    """A paid invoice of (product, minor units)."""
    found = [line(product, amount) for product, amount in lines]
    return stripe_events.invoice_paid(key, customer="cus_1", subscription=subscription, lines=found)


def explained(stage: Stage, name: str) -> dict[str, Any]:
    """The explanation as a document."""
    with stage.engine.connect() as connection:
        return document(explain_by_name(connection, name, stage.settings))


def refusal(stage: Stage, name: str) -> str:
    """What is said of a name that nothing has."""
    with pytest.raises(Rejected) as caught:
        explained(stage, name)
    return str(caught.value)


def notes(found: dict[str, Any]) -> list[str]:
    """The notes beside conditions, of all verdicts."""
    return [verdict["conditions"]["note"] for verdict in found["triggers"] if verdict["conditions"]]


def test_a_transaction_is_found_by_any_of_its_names(stage: Stage) -> None:
    """Our key, the provider's id and the key of a commission on it lead to one and the same explanation."""
    ((commission,),) = stage.ask("select key from commissions")
    by_key = explained(stage, "stripe:in_1")
    assert by_key["transaction"]["key"] == "stripe:in_1"
    assert explained(stage, "in_1") == by_key
    assert explained(stage, str(commission)) == by_key


def test_the_document_says_who_what_and_why(stage: Stage) -> None:
    """Customer, partner, lines, each trigger's verdict with expected and actual, and what is booked are all there."""
    found = explained(stage, "in_1")
    assert found["transaction"]["customer_key"] == "acme"
    assert (found["transaction"]["amount"], found["transaction"]["currency"]) == (9900, "usd")
    assert found["as_of"] == found["transaction"]["occurred_at"]
    assert found["partner_key"] == "ada"
    assert [(each["product_name"], each["product_status"], each["reason"]) for each in found["lines"]] == [
        ("Inbox", "active", None)
    ]
    (verdict,) = found["triggers"]
    assert (verdict["fired"], verdict["amount"], verdict["partner_key"]) == (True, 1980, "ada")
    assert verdict["conditions"]["expected"] == ["Inbox"]
    assert (verdict["conditions"]["actual"], verdict["conditions"]["held"]) == ("Inbox", True)
    (booked,) = found["commissions"]
    assert (booked["amount"], booked["reward_status"]) == (1980, "pending")
    assert booked["arithmetic"] == verdict["arithmetic"] == "99.00 USD line x 20 % = 19.80 USD"


def test_what_is_said_is_what_is_booked(stage: Stage) -> None:
    """The amounts of the verdicts that fired are the booked ones, line by line, also where several triggers meet."""
    stage.trigger("trg_all", "3")
    stage.play([paid("in_2", "sub_1", ("prod_inbox", 1001), ("prod_chat", 4900))])
    found = explained(stage, "in_2")
    said = {(each["trigger_key"], each["line_key"], each["amount"]) for each in found["triggers"] if each["fired"]}
    assert said == {(each["trigger_key"], each["line_key"], each["amount"]) for each in found["commissions"]}
    assert len(said) == 2


def test_a_credit_is_explained_knowing_what_a_churn_stopped(stage: Stage) -> None:
    """Instalments that a later churn stopped were never paid out: the explanation counts them as the books do."""
    drip = {"cycle": {"days": 10}, "occurrences": 3, "stop_on_churn": True}
    stage.trigger("trg_slow", rules=named("Live Chat"), action={"type": "percent", "percent": "10", "drip": drip})
    began = stripe_events.EXAMPLE_AT
    churned, credited = began + timedelta(days=12), began + timedelta(days=13)
    stage.play(
        [
            bought("sub_2", "prod_chat"),
            paid("in_2", "sub_2", ("prod_chat", 3000)),
            stripe_events.subscription(
                "sub_2", customer="cus_1", items=[item("prod_chat")], status="canceled", change="deleted",
                at=churned, started_at=began, ended_at=churned,
            ),
            stripe_events.invoice_paid(
                "in_3", customer="cus_1", subscription="sub_2", lines=[line("prod_chat", -3000)], paid_at=credited
            ),
        ]
    )  # fmt: skip
    found = explained(stage, "in_3")
    said = [each["amount"] for each in found["triggers"] if each["fired"]]
    assert said == [each["amount"] for each in found["commissions"]]
    assert -300 < sum(said) < 0


def test_a_rule_that_differs_in_capitals_is_pointed_out(stage: Stage) -> None:
    """`is_any_of ["inbox"]` does not hold for "Inbox", and the condition says why."""
    stage.trigger("trg_small", "5", rules=named("inbox"))
    small = [each for each in explained(stage, "in_1")["triggers"] if each["trigger_key"] == "trg_small"]
    assert [each["fired"] for each in small] == [False]
    assert small[0]["conditions"]["note"] == '"Inbox" differs from "inbox" only in capitals'


def test_a_product_id_that_differs_in_capitals_is_pointed_out(stage: Stage) -> None:
    """A line whose product the book spells otherwise names the entry that was meant."""
    stage.play([paid("in_3", "sub_1", ("prod_INBOX", 9900))])
    (found,) = explained(stage, "in_3")["lines"]
    told = '"prod_INBOX" matches no product book entry; "prod_inbox" (Inbox) differs only in capitals'
    assert found["reason"] == told


def test_a_product_nobody_described_is_pointed_out(stage: Stage) -> None:
    """A line whose product the book lacks says so."""
    stage.play([paid("in_3", "sub_1", ("prod_new", 9900))])
    (found,) = explained(stage, "in_3")["lines"]
    assert found["reason"] == '"prod_new" is not described in the product book yet'


def test_a_subscription_that_differs_in_capitals_is_pointed_out(stage: Stage) -> None:
    """A line without product, on a subscription that is known in other capitals, says exactly that."""
    stage.play([paid("in_4", "Sub_1", (None, 9900))])
    (found,) = explained(stage, "in_4")["lines"]
    assert found["product_name"] is None
    assert found["reason"] == 'subscription_key "Sub_1" matches no product; "sub_1" differs only in capitals'


def test_a_line_on_nothing_says_so(stage: Stage) -> None:
    """A line of neither product nor subscription says that the provider names none."""
    stage.play([paid("in_5", None, (None, 500))])
    (found,) = explained(stage, "in_5")["lines"]
    assert found["reason"] == "the provider names no product on this line"


def test_an_unlinked_customer_is_the_reason(stage: Stage) -> None:
    """A payment of somebody nobody has linked is explained as that, with nobody's partner and nothing booked."""
    event = stripe_events.invoice_paid("in_6", customer="cus_9", subscription="sub_9", lines=[line("prod_inbox", 100)])
    stage.play([event])
    found = explained(stage, "in_6")
    assert (found["transaction"]["customer_key"], found["partner_key"], found["commissions"]) == (None, None, [])
    assert {each["reason"] for each in found["triggers"]} == {"customer cus_9 is not linked to one of ours"}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("in_none", 'no transaction or commission is called "in_none"; a transaction is called like stripe:in_...'),
        ("IN_1", '"stripe:in_1" differs only in capitals'),
        ("Stripe:in_1", '"stripe:in_1" differs only in capitals'),
        ("", 'is called ""'),
        ("in_1' or true --", "no transaction or commission is called"),
        ("in_\udcff", "not Unicode text"),
        ("in_\0", "not Unicode text"),
    ],
)
def test_a_name_that_nothing_has_is_refused_with_a_hint(name: str, said: str, stage: Stage) -> None:
    """The refusal repeats the name and says what may have been meant, whatever was typed."""
    assert said in refusal(stage, name)


def test_a_name_that_two_have_is_refused_with_both(stage: Stage) -> None:
    """Where two providers use one id, both keys are named, and each of them is explained."""
    with stage.engine.begin() as connection:
        connection.exec_driver_sql("""
            insert into transactions select 'chargebee:in_1', 'chargebee', provider_customer_key, currency,
                occurred_at, source_version, source_at, source_rank, source_event, metadata from transactions
        """)
    assert "chargebee:in_1 or stripe:in_1" in refusal(stage, "in_1")
    assert explained(stage, "chargebee:in_1")["transaction"]["provider"] == "chargebee"


def test_what_is_not_worked_yet_is_pointed_out(stage: Stage) -> None:
    """While events wait to be worked, an unknown name says how many."""
    stage.store([paid("in_7", "sub_1", ("prod_inbox", 9900))])
    assert "events not processed yet: 1, see `attribution events list`" in refusal(stage, "in_7")


def test_ages_are_days(stage: Stage) -> None:
    """An age a rule reads is shown in days."""
    stage.trigger("trg_old", "1", rules={"field": "partner.age", "op": "older_than", "value": {"days": 30}})
    (verdict,) = [each for each in explained(stage, "in_1")["triggers"] if each["trigger_key"] == "trg_old"]
    assert verdict["fired"]
    assert verdict["conditions"]["actual"]["days"] > timedelta(days=30).days
