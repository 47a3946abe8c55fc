"""`/rewards` and explanations: what a commission says, who moves it where, and why a payment earned what it did."""

from typing import Any

import pytest

from infra.locks import lock_customers
from infra.providers.stripe import example_events as stripe
from infra.providers.stripe.example_events import item, line
from tests.dashboard.running import Api
from tests.stage import Stage

INBOX = {"field": "product.name", "op": "is_any_of", "value": ["Inbox"]}


@pytest.fixture
def played(stage: Stage) -> Stage:
    """ada earned 19.80 on the Inbox of acme's payment, and 1.48 on the whole of it."""
    stage.product("Inbox", "prod_inbox")
    stage.product("Live Chat", "prod_chat")
    stage.partner("ada")
    stage.trigger("trg_inbox", "20", rules=INBOX, offer={"description": "20 % of Inbox"})
    stage.trigger("trg_all", "1")
    items = [item("prod_inbox", amount=9900), item("prod_chat", amount=4900)]
    stage.play(
        [
            stripe.customer("cus_1", customer_key="acme", partner_key="ada"),
            stripe.subscription("sub_1", customer="cus_1", items=items),
            stripe.invoice_paid(
                "in_1",
                customer="cus_1",
                subscription="sub_1",
                lines=[line("prod_inbox", 9900), line("prod_chat", 4900)],
            ),
        ]
    )
    return stage


def _of(api: Api, trigger: str) -> Any:
    return next(each for each in api.get("/rewards")["items"] if each["trigger_key"] == trigger)


def test_a_commission_says_all_of_itself(api: Api, played: Stage) -> None:
    """Amount, whom it is for and of whom, on what line of what, how it was worked out, and its entries."""
    found = _of(api, "trg_inbox")
    told = {name: value for name, value in found.items() if name not in ("key", "created_at", "entries", "earned_at")}
    assert told == {
        "amount": 1980,
        "currency": "usd",
        "reward_status": "pending",
        "decline_reason": None,
        "partner_key": "ada",
        "member_key": None,
        "customer_key": "acme",
        "transaction_key": "stripe:in_1",
        "line_key": "sub_1/prod_inbox",
        "external_product_key": "prod_inbox",
        "trigger_key": "trg_inbox",
        "trigger_version": 1,
        "event": "transaction_created",
        "offer": "20 % of Inbox",
        "instalment": 0,
        "due_at": None,
        "adjusts": None,
        "arithmetic": "99.00 USD line x 20 % = 19.80 USD",
    }
    (entry,) = found["entries"]
    assert (entry["amount"], entry["balance"]) == (1980, 1980)
    assert entry["cause"].startswith("stripe:evt_")
    assert api.get(f"/rewards/{found['key']}") == found
    whole = _of(api, "trg_all")
    assert (whole["line_key"], whole["external_product_key"], whole["amount"]) == (None, None, 148)


def test_commissions_are_filtered(api: Api, played: Stage) -> None:
    """By partner, customer (by either key), transaction and state; what fits none of it is not there."""
    ((ours,),) = played.ask("select key from customers")
    narrowings: list[dict[str, Any]] = [
        {"partner_key": "ada"},
        {"customer_key": "acme"},
        {"customer_key": ours},
        {"transaction_key": "stripe:in_1"},
        {"reward_status": "pending"},
        {"partner_key": "ada", "customer_key": "acme", "transaction_key": "stripe:in_1", "reward_status": "pending"},
    ]
    for narrowed in narrowings:
        assert len(api.get("/rewards", **narrowed)["items"]) == 2
    others: list[dict[str, Any]] = [
        {"partner_key": "bob"},
        {"customer_key": "other"},
        {"transaction_key": "in_1"},
        {"reward_status": "paid"},
    ]
    for other in others:
        assert api.get("/rewards", **other)["items"] == []
    assert api.get("/rewards", 400, reward_status="lost")["errors"][0]["field"] == "reward_status"
    first, second = (each["key"] for each in api.get("/rewards")["items"])
    assert [each["key"] for each in api.get("/rewards", starting_after=first)["items"]] == [second]


def test_a_person_moves_a_commission_along_legal_moves(api: Api, played: Stage) -> None:
    """Approved, then paid; saying it twice changes nothing; what is not legal names what is, and all is audited."""
    key = _of(api, "trg_inbox")["key"]
    assert api.patch(f"/rewards/{key}", {"reward_status": "approved"})["reward_status"] == "approved"
    assert api.patch(f"/rewards/{key}", {"reward_status": "approved"})["reward_status"] == "approved"
    refused = api.patch(f"/rewards/{key}", {"reward_status": "pending"}, 400)
    assert "it can become paid" in refused["message"]
    assert refused["errors"][0]["field"] == "reward_status"
    assert api.patch(f"/rewards/{key}", {"reward_status": "paid"})["reward_status"] == "paid"
    assert "nothing moves it" in api.patch(f"/rewards/{key}", {"reward_status": "hold"}, 400)["message"]
    api.patch("/rewards/cmsn_none", {"reward_status": "hold"}, 404)
    moves = played.ask("select subject, details from audit_log where action = 'reward.moved' order by id")
    assert moves == [(key, {"from": "pending", "to": "approved"}), (key, {"from": "approved", "to": "paid"})]


def test_declining_needs_a_reason(api: Api, played: Stage) -> None:
    """The partner will read it; no other move takes one."""
    key = _of(api, "trg_inbox")["key"]
    missing = api.patch(f"/rewards/{key}", {"reward_status": "declined"}, 400)
    assert missing["errors"][0]["field"] == "decline_reason"
    needless = api.patch(f"/rewards/{key}", {"reward_status": "approved", "decline_reason": "no"}, 400)
    assert needless["errors"][0]["field"] == "decline_reason"
    declined = api.patch(f"/rewards/{key}", {"reward_status": "declined", "decline_reason": "Your own company"})
    assert (declined["reward_status"], declined["decline_reason"]) == ("declined", "Your own company")
    assert api.get(f"/rewards/{key}") == declined


def test_a_customer_whose_events_are_being_worked_on_is_waited_for(api: Api, played: Stage) -> None:
    """For a moment; then the caller is asked to come again, and nothing has changed."""
    key = _of(api, "trg_inbox")["key"]
    ((customer,),) = played.ask("select key from customers")
    with played.engine.connect() as worker, worker.begin():
        assert lock_customers(worker, {customer})
        assert "try again" in api.patch(f"/rewards/{key}", {"reward_status": "approved"}, 503)["message"]
    assert api.patch(f"/rewards/{key}", {"reward_status": "approved"})["reward_status"] == "approved"


def test_what_no_trigger_asks_for_any_more_is_shown_on_demand(api: Api, played: Stage) -> None:
    """It depends on the order in which things were told; a list of commissions does not."""
    played.trigger("trg_inbox", "20", rules={**INBOX, "value": ["Other"]}, effective_from=0)
    played.drainer.run()
    assert {each["trigger_key"] for each in api.get("/rewards")["items"]} == {"trg_all"}
    (gone,) = api.get("/rewards", reward_status="reversed")["items"]
    assert (gone["trigger_key"], gone["amount"], len(gone["entries"])) == ("trg_inbox", 0, 2)
    assert api.get(f"/rewards/{gone['key']}") == gone


def test_an_explanation_shows_every_trigger_on_every_line(api: Api, played: Stage) -> None:
    """Fired or not, with each condition's expected and actual value; by transaction or commission."""
    found = api.get("/transactions/stripe:in_1/explanation")
    by_place = {(each["trigger_key"], each["line_key"]): each for each in found["triggers"]}
    assert set(by_place) == {("trg_all", None), ("trg_inbox", "sub_1/prod_inbox"), ("trg_inbox", "sub_1/prod_chat")}
    fired = by_place["trg_inbox", "sub_1/prod_inbox"]
    assert (fired["fired"], fired["amount"], fired["partner_key"]) == (True, 1980, "ada")
    other = by_place["trg_inbox", "sub_1/prod_chat"]
    assert not other["fired"]
    assert (other["conditions"]["expected"], other["conditions"]["actual"]) == (["Inbox"], "Live Chat")
    assert (found["transaction"]["customer_key"], found["partner_key"]) == ("acme", "ada")
    assert sorted(each["amount"] for each in found["commissions"]) == [148, 1980]
    assert api.get(f"/transactions/{_of(api, 'trg_inbox')['key']}/explanation") == found
    assert '"stripe:in_1" differs only in capitals' in api.get("/transactions/IN_1/explanation", 404)["message"]


def test_a_reward_is_explained_whatever_it_was_earned_on(api: Api, played: Stage) -> None:
    """On a payment as the payment is; on a product that was bought, that one, with every trigger that waited for it."""
    played.trigger(
        "trg_bought", event="product_created", rules=INBOX, action={"type": "flat", "amount": 500, "currency": "usd"},
        effective_from=0,
    )  # fmt: skip
    played.drainer.run()
    payment = api.get(f"/rewards/{_of(api, 'trg_inbox')['key']}/explanation")
    assert {**api.get("/transactions/stripe:in_1/explanation"), "occasion": None} == payment
    bought = _of(api, "trg_bought")["key"]
    found = api.get(f"/rewards/{bought}/explanation")
    assert (found["transaction"], found["lines"], found["occasion"]["event"]) == (None, [], "product_created")
    assert (found["occasion"]["product_name"], found["occasion"]["customer_key"]) == ("Inbox", "acme")
    assert [each["trigger_key"] for each in found["triggers"] if each["fired"]] == ["trg_bought"]
    assert [each["key"] for each in found["commissions"]] == [bought]
    assert "reward" in api.get(f"/transactions/{bought}/explanation", 400)["message"]
    api.get("/rewards/cmsn_none/explanation", 404)
