"""`attribution check` on books that hold, and on some that do not."""

import pytest
from sqlalchemy import Engine

from tests.builders import line, stripe_events
from tests.stage import Stage
from tests.worker.command_line import Attribution


@pytest.fixture
def stage(engine: Engine) -> Stage:
    """ada earned 19.80 USD on a payment of acme's."""
    stage = Stage(engine)
    stage.product("Inbox", "prod_inbox")
    stage.partner("ada")
    stage.trigger("trg_inbox", "20")
    customer = stripe_events.customer("cus_1", customer_key="acme", partner_key="ada")
    stage.play([customer, stripe_events.invoice_paid("in_1", customer="cus_1", lines=[line("prod_inbox", 9900)])])
    return stage


def test_check_says_that_everything_holds(attribution: Attribution, stage: Stage) -> None:
    """Exit code 0, with how much was looked at; as JSON the same."""
    answer = attribution("check")
    assert (answer.code, answer.err) == (0, "")
    assert "invariants, 1 transactions, 1 commissions" in answer.out
    assert "everything holds" in answer.out
    document = attribution("check", "--json").document
    assert (document["transactions"], document["breaches"], document["more_breaches"]) == (1, [], False)


def test_check_fails_and_says_what_a_breach_indicates(attribution: Attribution, stage: Stage) -> None:
    """Exit code 1, the invariant in words, what its failure indicates, and what does not hold."""
    stage.tamper("update commissions set amount_minor = 1981")
    answer = attribution("check")
    assert answer.code == 1
    for told in (
        "broken: a commission is the sum of its entries",
        "this indicates that a commission was changed without an entry",
        ": it amounts to 1981, its entries to 1980",
    ):
        assert told in answer.out
    answer = attribution("check", "--json")
    assert answer.code == 1
    assert [each["invariant"] for each in answer.document["breaches"]] == ["a_commission_is_the_sum_of_its_entries"]
