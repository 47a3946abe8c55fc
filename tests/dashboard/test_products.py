"""`/products`: what the company sells without a provider, and whose sale any product is."""

from typing import Any

import pytest

from infra.providers.stripe import example_events as stripe
from infra.providers.stripe.example_events import item, line
from tests.dashboard.running import Api
from tests.stage import LONG_AGO, Stage

JANUARY = 1767225600000
DAY = 86_400_000


@pytest.fixture
def program(stage: Stage) -> Stage:
    """Two products, two partners, ten percent on every line of Inbox."""
    stage.product("Inbox", "prod_inbox")
    stage.product("Live Chat", "prod_chat")
    stage.partner("ada")
    stage.partner("bob")
    stage.trigger("inbox", "10", rules={"field": "product.name", "op": "is_any_of", "value": ["Inbox"]})
    stage.drainer.sweep()
    return stage


def inbox(**said: Any) -> dict[str, Any]:
    """Acme's Inbox on a license of the company's own."""
    return {"product_book_key": "prod_inbox", "external_subscription_key": "lic-1", "customer_key": "acme", **said}


def test_a_product_is_stated_read_listed_and_changed(program: Stage, api: Api) -> None:
    """With its history; by its own key or by its subscription's."""
    api.post("/customers", {"customer_key": "acme", "email": "a@acme.example", "partner_key": "ada"})
    made = api.post("/products", inbox(status="trial", amount=9900, currency="USD", created_at=JANUARY))
    wanted = {
        "key": "lic-1/prod_inbox", "external_subscription_key": "lic-1", "external_product_key": "prod_inbox",
        "provider": "api", "provider_status": "trial", "status": "trial", "amount": 9900, "currency": "usd",
        "quantity": 1, "customer_key": "acme", "customer_email": "a@acme.example", "partner_key": "ada",
        "purchased_at": JANUARY, "created_at": JANUARY, "history": [{"status": "trial", "effective_at": JANUARY}],
    }  # fmt: skip
    assert {key: made[key] for key in wanted} == wanted
    assert made["product_book"] == {
        "key": made["product_book_key"], "name": "Inbox", "external_key": "prod_inbox", "needs_review": False,
    }  # fmt: skip
    assert api.get("/products/lic-1") == api.get("/products/lic-1/prod_inbox") == made
    for query in ({"customer_key": "acme"}, {"external_subscription_key": "lic-1"}, {"status": "trial"},
                  {"provider_customer_key": "acme"}):  # fmt: skip
        assert api.call("GET", "/products", params=query)["data"]["items"] == [made]
    assert api.call("GET", "/products", params={"status": "churned"})["data"]["items"] == []
    active = api.patch("/products/lic-1", {"status": "active", "amount": 12_000})
    assert (active["status"], active["amount"], active["purchased_at"]) == ("active", 12_000, JANUARY)
    assert [step["status"] for step in active["history"]] == ["trial", "active"]
    assert api.patch("/products/lic-1", {"status": "active"}) == active
    churned = api.patch("/products/lic-1/prod_inbox", {"status": "churned"})
    again = api.patch("/products/lic-1", {"status": "active"})
    assert [each["status"] for each in (churned, again)] == ["churned", "active"]
    assert api.post("/products", inbox(status="trial", amount=9900, currency="usd", created_at=JANUARY)) == again


def test_a_key_that_is_taken_is_refused_naming_the_product(program: Stage, api: Api) -> None:
    """Whoever told of it."""
    program.play(
        [stripe.subscription("sub_1", customer="cus_1", at=LONG_AGO, event_key="evt_1", items=[item("prod_chat")])]
    )
    api.post("/products", inbox())
    taken = api.post("/products", inbox(external_subscription_key="sub_1"), status=409)
    assert "sub_1/prod_chat" in taken["message"]
    assert "Stripe" in taken["message"]
    assert "lic-1/prod_inbox" in api.post("/products", inbox(quantity=2), status=409)["message"]


def chat(**said: Any) -> dict[str, Any]:
    """Acme's Live Chat on the same license."""
    return {**inbox(**said), "product_book_key": "prod_chat"}


def test_one_subscription_has_several_products_each_stated_by_itself(program: Stage, api: Api) -> None:
    """In whatever order of their days; what becomes of one leaves the other alone, and its own key leads to each."""
    api.post("/customers", {"customer_key": "acme", "partner_key": "ada", "attributed_at": JANUARY})
    later = api.post("/products", inbox(amount=9900, currency="usd", created_at=JANUARY + DAY))
    made = api.post("/products", chat(status="trial", amount=4900, currency="usd", created_at=JANUARY))
    assert (made["key"], made["status"], made["purchased_at"]) == ("lic-1/prod_chat", "trial", JANUARY)
    assert api.get("/products/lic-1/prod_inbox") == later
    assert api.post("/products", chat(status="trial", amount=4900, currency="usd", created_at=JANUARY)) == made
    assert "lic-1/prod_chat" in api.post("/products", chat(quantity=2), status=409)["message"]
    churned = api.patch("/products/lic-1/prod_chat", {"status": "churned"})
    assert [step["status"] for step in churned["history"]] == ["trial", "churned"]
    assert api.get("/products/lic-1/prod_inbox") == later
    again = api.patch("/products/lic-1/prod_chat", {"status": "active"})
    assert (again["status"], again["amount"]) == ("active", 4900)
    listed = api.get("/products", external_subscription_key="lic-1")["items"]
    assert sorted(each["key"] for each in listed) == ["lic-1/prod_chat", "lic-1/prod_inbox"]
    lines = [{"amount": 4900, "subscription_key": "lic-1/prod_chat"}, {"amount": 900, "subscription_key": "lic-1"}]
    paid = {"key": "order-1", "amount": 5800, "currency": "usd", "customer_key": "acme", "lines": lines}
    bare, named = api.post("/transactions", paid)["lines"]
    assert named["product_key"] == "lic-1/prod_chat"
    assert 'may mean any of "lic-1/prod_chat", "lic-1/prod_inbox"' in bare["reason"]


def test_a_subscription_is_one_customer_s(program: Stage, api: Api) -> None:
    """A further product on it for somebody else is refused, naming whose it is."""
    api.post("/products", inbox())
    refused = api.post("/products", chat(customer_key="beta"), status=409)
    assert refused["errors"][0]["field"] == "external_subscription_key"
    assert '"acme"' in refused["message"]


def test_what_a_provider_bills_is_its_own_to_say(program: Stage, api: Api) -> None:
    """All but whose sale it is: that comes before the subscription's partner and the customer's."""
    program.play(
        [
            stripe.customer("cus_1", event_key="evt_0", at=LONG_AGO, customer_key="acme", partner_key="ada"),
            stripe.subscription("sub_1", customer="cus_1", at=LONG_AGO, event_key="evt_1",
                                items=[item("prod_chat"), item("prod_inbox")]),
            stripe.invoice_paid("in_1", event_key="evt_2", customer="cus_1", subscription="sub_1",
                                lines=[line("prod_inbox", 1000)], paid_at=LONG_AGO),
        ]
    )  # fmt: skip
    refused = api.patch("/products/sub_1/prod_inbox", {"status": "churned", "amount": 1}, status=400)
    assert [each["field"] for each in refused["errors"]] == ["status", "amount"]
    assert "Stripe's to say" in refused["errors"][0]["message"]
    assert "name one of them" in api.get("/products/sub_1", status=400)["message"]
    changed = api.patch("/products/sub_1/prod_inbox", {"partner_key": "bob", "member_key": "ben"})
    assert (changed["partner_key"], changed["member_key"]) == ("bob", "ben")
    assert api.get("/products/sub_1/prod_chat")["partner_key"] == "ada"
    assert [row[3] for row in program.commissions()] == ["ada"]
    program.play(
        [stripe.invoice_paid("in_2", event_key="evt_3", customer="cus_1", subscription="sub_1",
                             lines=[line("prod_inbox", 1000)])]
    )  # fmt: skip
    assert {row[1]: row[3] for row in program.commissions()} == {"stripe:in_1": "ada", "stripe:in_2": "ada"}
    later = {"key": "order-1", "amount": 1000, "currency": "usd", "customer_key": "acme"}
    api.post("/transactions", {**later, "subscription_key": "sub_1/prod_inbox"})
    assert {row[1]: row[3] for row in program.commissions()}["order-1"] == "bob"


def test_an_archived_entry_is_sold_no_more(program: Stage, api: Api) -> None:
    """Nor one that does not exist, with what may have been meant."""
    entry = api.get("/product_book", external_key="prod_chat")["items"][0]["key"]
    api.patch(f"/product_book/{entry}", {"archived": True})
    archived = api.post("/products", inbox(product_book_key=entry), status=400)
    assert archived["errors"][0]["field"] == "product_book_key"
    assert "archived" in archived["message"]
    missing = api.post("/products", inbox(product_book_key="Prod_inbox", partner_key="zoe", amount=5), status=400)
    assert [each["field"] for each in missing["errors"]] == ["product_book_key", "partner_key", "currency"]
    assert "only in capitals" in missing["errors"][0]["message"]
    assert api.get("/products/lic-1", status=404)["errors"][0]["field"] == "key"


def test_an_entry_without_a_provider_s_id_is_sold_by_its_own_key(program: Stage, api: Api) -> None:
    """Its product and its payments are known by the entry's key, and pay under the entry's name."""
    entry = api.post("/product_book", {"name": "Onboarding"})["key"]
    program.trigger("on", "50", rules={"field": "product.name", "op": "is_any_of", "value": ["Onboarding"]})
    program.drainer.sweep()
    api.post("/customers", {"customer_key": "acme", "partner_key": "ada", "attributed_at": JANUARY})
    made = api.post("/products", inbox(product_book_key=entry))
    assert (made["key"], made["product_book_key"]) == (f"lic-1/{entry}", entry)
    for number, names in enumerate([{"subscription_key": "lic-1"}, {"product_book_key": entry}]):
        api.post("/transactions", {"key": f"order-{number}", "amount": 1000, "currency": "usd",
                                   "customer_key": "acme", "lines": [{"amount": 1000, **names}]})  # fmt: skip
    assert [(row[0], row[1], row[4]) for row in program.commissions()] == [
        ("on", "order-0", 500),
        ("on", "order-1", 500),
    ]
