"""`/transactions/{key}/reversals`: what was given back of posted payments, and what that takes back of commissions."""

from itertools import permutations
from typing import Any

import pytest

from infra.providers.stripe import example_events as stripe
from infra.providers.stripe.example_events import line
from tests import stripe_examples
from tests.dashboard.running import Api
from tests.stage import Stage

PAID = 1767225600000  # 2026-01-01
DAY = 86_400_000


@pytest.fixture
def program(stage: Stage, api: Api) -> Stage:
    """Inbox at 20 percent, Chat at 10, everything at 1; acme is ada's and paid 99.00 and 49.00 on one order."""
    stage.product("Inbox", "prod_inbox")
    stage.product("Live Chat", "prod_chat")
    stage.partner("ada")
    for key, percent, names in (("inbox", "20", ["Inbox"]), ("chat", "10", ["Live Chat"]), ("whole", "1", None)):
        rules = {"field": "product.name", "op": "is_any_of", "value": names} if names else None
        stage.trigger(key, percent, rules=rules)
    stage.drainer.sweep()
    api.post("/customers", {"customer_key": "acme", "partner_key": "ada", "attributed_at": PAID - 9 * DAY})
    lines = [{"amount": 9900, "external_product_key": "prod_inbox"}, {"amount": 4900, "subscription_key": "lic-1"}]
    posted = {"key": "order-1", "amount": 14800, "currency": "usd", "customer_key": "acme", "created_at": PAID}
    api.post("/transactions", {**posted, "lines": lines})
    return stage


def given_back(api: Api, amount: int, status: int = 200, path: str = "order-1", **more: Any) -> Any:
    """Tell a reversal."""
    return api.post(f"/transactions/{path}/reversals", {"amount": amount, **more}, status)


def earned(stage: Stage) -> dict[str, int]:
    """What stands of each trigger's commission on the order."""
    return {trigger: amount for trigger, *_, amount, _ in stage.commissions() if amount}


def test_what_was_given_back_lowers_the_payment_and_its_commissions(program: Stage, api: Api) -> None:
    """Half of it: each line, and every commission, by half; all of it: nothing is left of any."""
    assert earned(program) == {"inbox": 1980, "whole": 148}
    made = given_back(api, 7400, key="refund-1", created_at=PAID + DAY)
    assert made == {
        "key": "refund-1", "transaction_key": "order-1", "kind": "refund", "amount": 7400, "amount_undone": 0,
        "currency": "usd", "line_keys": [], "created_at": PAID + DAY,
    }  # fmt: skip
    shown = api.get("/transactions/order-1")
    assert (shown["amount"], shown["amount_reversed"]) == (14800, 7400)
    assert sorted(each["amount_reversed"] for each in shown["lines"]) == [2450, 4950]
    assert earned(program) == {"inbox": 990, "whole": 74}
    given_back(api, 7400, key="refund-2")
    assert earned(program) == {}
    found = api.get("/transactions/order-1/reversals")
    assert ([each["key"] for each in found["items"]], found["has_more"]) == (["refund-2", "refund-1"], False)
    before = program.books()
    program.replay()
    assert program.books() == before
    written = program.ask(
        "select subject, details ->> 'reversal' from audit_log where action = 'transaction.reversed' order by id"
    )
    assert written == [("order-1", "refund-1"), ("order-1", "refund-2")]


def test_what_was_given_back_for_one_line_is_taken_off_that_line(program: Stage, api: Api) -> None:
    """The other product's commission stays as it is; the line has no more to give than it has left."""
    made = given_back(api, 9000, key="refund-1", line_key="-/prod_inbox")
    assert (made["kind"], made["line_keys"]) == ("credit_note", ["-/prod_inbox"])
    shown = api.get("/transactions/order-1")
    assert {each["key"]: each["amount_reversed"] for each in shown["lines"]} == {"-/prod_inbox": 9000, "line:lic-1": 0}
    assert earned(program) == {"inbox": 180, "whole": 58}
    refused = given_back(api, 901, 400, line_key="-/prod_inbox")
    assert [each["field"] for each in refused["errors"]] == ["amount"]
    assert "is 9.01 USD, and 9.00 USD of this line is left" in refused["errors"][0]["message"]
    assert earned(program) == {"inbox": 180, "whole": 58}


def test_the_same_key_tells_the_same_once(program: Stage, api: Api) -> None:
    """Told again it changes nothing, whatever has happened since; other words, or another payment, are refused."""
    made = given_back(api, 14800, key="refund-1")
    assert given_back(api, 14800, key="refund-1") == made
    others: list[dict[str, Any]] = [{"amount": 100}, {"line_key": "line:lic-1"}, {"created_at": PAID + DAY}]
    for other in others:
        refused = given_back(api, **{"amount": 14800, "status": 409, "key": "refund-1", **other})
        assert "says otherwise" in refused["message"], other
    posted = {"key": "order-2", "amount": 14800, "currency": "usd", "customer_key": "acme", "created_at": PAID}
    api.post("/transactions", posted)
    assert "says otherwise" in given_back(api, 14800, 409, path="order-2", key="refund-1")["message"]
    assert program.ask("select count(*) from reversals") == [(1,)]
    one, other_one = given_back(api, 1, path="order-2"), given_back(api, 1, path="order-2")
    assert one["key"] != other_one["key"]
    assert api.get("/transactions/order-2")["amount_reversed"] == 2


def test_what_is_wrong_with_a_reversal_is_said_at_once(program: Stage, api: Api) -> None:
    """More than is left, a line that is not there, before the payment or in the future: by field, and nothing done."""
    refused = given_back(api, 14801, 400, created_at=PAID - 1)
    assert [each["field"] for each in refused["errors"]] == ["created_at", "amount"]
    assert "148.00 USD of the payment is left" in refused["errors"][1]["message"]
    refused = given_back(api, 100, 400, line_key="prod_inbox", created_at=4102444800000)
    assert [each["field"] for each in refused["errors"]] == ["created_at", "line_key"]
    assert "it has -/prod_inbox or line:lic-1" in refused["errors"][1]["message"]
    for amount in (0, -5, True):
        assert given_back(api, amount, 400)["errors"][0]["field"] == "amount"
    given_back(api, 100, 404, path="order-9")
    api.get("/transactions/order-9/reversals", 404)
    assert program.ask("select count(*) from reversals") == [(0,)]


def test_a_providers_payment_is_given_back_by_its_provider(program: Stage, api: Api) -> None:
    """It is refused with where to do it; what the provider tells of it is listed all the same."""
    program.play(
        [
            stripe.customer("cus_1", customer_key="acme"),
            stripe.invoice_paid("in_1", customer="cus_1", lines=[line("prod_inbox", 1000)]),
            stripe_examples.charge_refunded("ch_1", 1000, 300, payment_intent="pi_1", invoice="in_1"),
        ]
    )
    refused = given_back(api, 100, 409, path="stripe:in_1")
    assert "is a payment that stripe told of; refund it there" in refused["message"]
    api.post("/transactions/stripe:in_1/reversals/undo", {"key": "ch_1"}, 409)
    (found,) = api.get("/transactions/stripe:in_1/reversals")["items"]
    assert (found["key"], found["kind"], found["amount"]) == ("ch_1", "refunded", 300)
    assert api.get("/transactions/order-1/reversals")["items"] == []


def test_a_reversal_that_did_not_come_about_is_undone(program: Stage, api: Api) -> None:
    """Payment and commissions are as if it had not been told; undoing twice is once, and what is not there is 404."""
    before = earned(program)
    given_back(api, 14800, key="refund-1")
    undone = api.post("/transactions/order-1/reversals/undo", {"key": "refund-1"})
    assert (undone["amount"], undone["amount_undone"]) == (14800, 14800)
    assert api.post("/transactions/order-1/reversals/undo", {"key": "refund-1"}) == undone
    assert earned(program) == before
    assert api.get("/transactions/order-1")["amount_reversed"] == 0
    given_back(api, 14800, key="refund-2")
    assert earned(program) == {}
    api.post("/transactions", {"key": "order-2", "amount": 1, "currency": "usd", "customer_key": "acme"})
    for path, key in (("order-1", "refund-9"), ("order-2", "refund-1"), ("order-9", "refund-1")):
        api.post(f"/transactions/{path}/reversals/undo", {"key": key}, 404)


def test_what_was_paid_out_is_clawed_back(program: Stage, api: Api) -> None:
    """An approved commission stands; what was too much of it is a negative one naming it; undone, all is as before."""
    (reward,) = [each for each in api.get("/rewards")["items"] if each["trigger_key"] == "inbox"]
    api.patch(f"/rewards/{reward['key']}", {"reward_status": "approved"})
    given_back(api, 9900, key="refund-1", line_key="-/prod_inbox")
    clawbacks = [each for each in api.get("/rewards")["items"] if each["adjusts"] == reward["key"]]
    assert [each["amount"] for each in clawbacks] == [-1980]
    api.post("/transactions/order-1/reversals/undo", {"key": "refund-1"})
    parts = program.ask("select sum(amount_minor) from commissions where trigger_key = 'inbox'")
    assert parts == [(1980,)]


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_rows_in_any_order_end_in_the_same_books(program: Stage, api: Api, order: tuple[int, ...]) -> None:
    """A payment, a refund of all lines, one of one line and its undoing, worked on in any order, end alike."""
    given_back(api, 4800, key="refund-1")
    given_back(api, 5000, key="refund-2", line_key="-/prod_inbox")
    api.post("/transactions/order-1/reversals/undo", {"key": "refund-2"})
    before = program.books()
    rows = program.ask("select id from inbox where event_type like 'transaction.%' order by id")
    emptied = ("commission_entries", "commissions", "standings", "transaction_lines", "transactions", "reversals")
    for table in emptied:
        program.tamper(f"delete from {table}")
    for place in order:
        program.tamper(f"update inbox set state = 'received', next_attempt_at = now(), claimed_by = null,"
                       f" finished_at = null where id = {rows[place][0]}")  # fmt: skip
        program.drainer.sweep()
    assert earned(program) == {"inbox": 1338, "whole": 100}
    assert _standing(program.books()) == _standing(before)


def _standing(books: dict[str, Any]) -> Any:
    return {name: rows for name, rows in books.items() if name != "entries"}
