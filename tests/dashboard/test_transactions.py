"""`/transactions`: payments posted by the company, what they refer to, and what they pay."""

from concurrent.futures import ThreadPoolExecutor
from itertools import permutations
from typing import Any

import pytest

from infra.providers.stripe import example_events as stripe
from infra.providers.stripe.example_events import item, line
from tests.dashboard.running import Api
from tests.stage import LONG_AGO, Stage

PAID = 1767225600000  # 2026-01-01


@pytest.fixture
def program(stage: Stage) -> Stage:
    """Inbox at 20 percent, Chat at 10, everything at 1; ada and bob sell them."""
    stage.product("Inbox", "prod_inbox")
    stage.product("Live Chat", "prod_chat")
    stage.partner("ada")
    stage.partner("bob")
    for key, percent, names in (("inbox", "20", ["Inbox"]), ("chat", "10", ["Live Chat"]), ("whole", "1", None)):
        rules = {"field": "product.name", "op": "is_any_of", "value": names} if names else None
        stage.trigger(key, percent, rules=rules)
    stage.drainer.sweep()
    return stage


def customer(api: Api, **said: Any) -> None:
    """Acme, ada's since long ago."""
    api.post("/customers", {"customer_key": "acme", "partner_key": "ada", "attributed_at": 1735689600000, **said})


def test_a_posted_payment_pays_by_product(program: Stage, api: Api) -> None:
    """Each line is led to the customer's product by its key; each pays under its own trigger, the whole once."""
    customer(api)
    product = api.post(
        "/products",
        {"product_book_key": "prod_inbox", "external_subscription_key": "lic-1", "customer_key": "acme", "amount": 9900,
         "currency": "usd", "created_at": PAID - 1000},
    )  # fmt: skip
    posted = {
        "key": "order-1",
        "amount": 14800,
        "currency": "USD",
        "customer_key": "acme",
        "created_at": PAID,
        "lines": [{"amount": 9900, "subscription_key": "lic-1"}, {"amount": 4900, "external_product_key": "prod_chat"}],
    }
    made = api.post("/transactions", posted)
    assert {key: made[key] for key in ("key", "provider", "customer_key", "amount", "currency", "occurred_at")} == {
        "key": "order-1", "provider": "api", "customer_key": "acme", "amount": 14800, "currency": "usd",
        "occurred_at": PAID,
    }  # fmt: skip
    chat, inbox = made["lines"]
    assert (chat["product_key"], chat["external_product_key"], chat["amount"], chat["reason"]) == (
        None, "prod_chat", 4900, None,
    )  # fmt: skip
    assert (inbox["product_key"], inbox["product_book_key"], inbox["reason"]) == (
        "lic-1/prod_inbox", product["product_book_key"], None,
    )  # fmt: skip
    assert program.commissions() == [
        ("chat", "order-1", "-/prod_chat", "ada", 490, "usd"),
        ("inbox", "order-1", "line:lic-1", "ada", 1980, "usd"),
        ("whole", "order-1", None, "ada", 148, "usd"),
    ]
    rewards = api.get("/rewards", transaction_key="order-1")["items"]
    assert sorted((each["line_key"] or "", each["external_product_key"]) for each in rewards) == [
        ("", None), ("-/prod_chat", "prod_chat"), ("line:lic-1", "prod_inbox"),
    ]  # fmt: skip
    assert api.get("/transactions/order-1") == made
    assert api.get("/transactions", customer_key="acme") == {"items": [made], "has_more": False}
    assert api.post("/transactions", posted) == made
    refused = api.post("/transactions", {**posted, "metadata": {"a": "b"}}, status=409)
    assert refused["errors"][0]["field"] == "key"
    assert "says otherwise" in refused["message"]


def stated(api: Api) -> dict[str, Any]:
    """Three statements that may come in any order."""
    return {
        "customer": lambda: customer(api),
        "product": lambda: api.post(
            "/products",
            {"product_book_key": "prod_inbox", "external_subscription_key": "lic-1", "customer_key": "acme",
             "partner_key": "bob", "created_at": PAID - 1000},
        ),
        "payment": lambda: api.post(
            "/transactions",
            {"key": "order-1", "amount": 9900, "currency": "usd", "customer_key": "acme", "created_at": PAID,
             "subscription_key": "lic-1"},
        ),
    }  # fmt: skip


@pytest.mark.parametrize("order", list(permutations(("customer", "product", "payment"))), ids="-".join)
def test_statements_in_any_order_end_in_the_same_books(program: Stage, api: Api, order: tuple[str, ...]) -> None:
    """A payment posted before its product, and both before their customer, pay as if they had come in order."""
    say = stated(api)
    for what in order:
        say[what]()
    assert program.commissions() == [
        ("inbox", "order-1", "line:lic-1", "bob", 1980, "usd"),
        ("whole", "order-1", None, "ada", 99, "usd"),
    ]
    shown = api.get("/transactions/order-1")
    assert (shown["customer_key"], shown["lines"][0]["product_key"]) == ("acme", "lic-1/prod_inbox")
    before = program.books()
    program.replay()
    assert program.books() == before
    assert program.ask("select count(*) from commission_entries where balance_minor <> amount_minor") == [(0,)]


def test_a_payment_refers_to_what_a_provider_bills(program: Stage, api: Api) -> None:
    """By `<subscription>/<product>` where the subscription has several; once Stripe's customer is linked, it pays."""
    posted = {"amount": 1000, "currency": "usd", "customer_key": "acme", "created_at": PAID}
    one = api.post("/transactions", {**posted, "key": "order-1", "subscription_key": "sub_1/prod_chat"})
    two = api.post("/transactions", {**posted, "key": "order-2", "subscription_key": "sub_1"})
    assert [each["lines"][0]["product_key"] for each in (one, two)] == [None, None]
    program.play(
        [
            stripe.subscription(
                "sub_1", customer="cus_1", at=LONG_AGO, event_key="evt_1", items=[item("prod_chat"), item("prod_inbox")]
            )
        ]
    )
    assert api.get("/customers", linked="false")["items"][0]["key"] == "stripe:cus_1"
    assert program.commissions() == []
    customer(api, provider_key="cus_1")
    assert program.commissions() == [
        ("chat", "order-1", "line:sub_1/prod_chat", "ada", 100, "usd"),
        ("whole", "order-1", None, "ada", 10, "usd"),
        ("whole", "order-2", None, "ada", 10, "usd"),
    ]
    (line_of_two,) = api.get("/transactions/order-2")["lines"]
    assert line_of_two["reason"] == (
        'subscription_key "sub_1" may mean any of "sub_1/prod_chat", "sub_1/prod_inbox"; name one of them'
    )
    assert api.get("/customers", linked="false")["items"] == []
    api.post("/transactions", {**posted, "key": "order-3", "subscription_key": "Sub_1/prod_chat"})
    explained = api.get("/transactions/order-3/explanation")
    (near,) = api.get("/transactions/order-3")["lines"]
    assert explained["lines"][0]["reason"] == near["reason"]
    assert near["reason"] == (
        'subscription_key "Sub_1/prod_chat" matches no product; "sub_1/prod_chat" differs only in capitals'
    )


def test_a_product_s_partner_and_name_reach_payments_that_refer_to_it(program: Stage, api: Api) -> None:
    """Naming another partner on Stripe's product, or renaming its entry in time, judges posted payments again."""
    customer(api, provider_key="cus_1")
    program.play(
        [stripe.subscription("sub_1", customer="cus_1", at=LONG_AGO, event_key="evt_1", items=[item("prod_chat")])]
    )
    api.post(
        "/transactions", {"key": "order-1", "amount": 1000, "currency": "usd", "customer_key": "acme",
                          "subscription_key": "sub_1"},
    )  # fmt: skip
    assert ("chat", "order-1", "line:sub_1", "ada", 100, "usd") in program.commissions()
    changed = api.patch("/products/sub_1", {"partner_key": "bob"})
    assert (changed["key"], changed["partner_key"], changed["provider"]) == ("sub_1/prod_chat", "bob", "stripe")
    assert program.commissions() == [
        ("chat", "order-1", "line:sub_1", "bob", 100, "usd"),
        ("whole", "order-1", None, "ada", 10, "usd"),
    ]
    program.partner("bob", group="gold", now=LONG_AGO, effective_from=LONG_AGO)
    program.trigger("golden", "50", now=LONG_AGO, rules={
        "all": [{"field": "partner.group", "op": "is_any_of", "value": ["gold"]},
                {"field": "line.amount", "op": "gt", "value": 1}]
    }, effective_from=1735689600000)  # fmt: skip
    program.drainer.sweep()
    assert ("golden", "order-1", "line:sub_1", "bob", 500, "usd") in program.commissions()


def test_a_line_may_be_posted_in_the_words_it_is_shown_in(program: Stage, api: Api) -> None:
    """`external_subscription_key` and `product_key` of a posted line mean what they mean on the line that is read."""
    customer(api)
    for subscription, book in (("lic-1", "prod_inbox"), ("lic-2", "prod_chat")):
        said = {"product_book_key": book, "external_subscription_key": subscription, "created_at": PAID - 1000}
        api.post("/products", {**said, "customer_key": "acme"})
    lines = [{"amount": 100, "external_subscription_key": "lic-1"}, {"amount": 50, "product_key": "lic-2/prod_chat"}]
    posted = {"amount": 150, "currency": "usd", "customer_key": "acme", "created_at": PAID, "lines": lines}
    made = api.post("/transactions", {"key": "order-1", **posted})
    shown = [(line["product_key"], line["external_subscription_key"], line["amount"]) for line in made["lines"]]
    assert sorted(shown) == [("lic-1/prod_inbox", "lic-1", 100), ("lic-2/prod_chat", "lic-2", 50)]
    twice = {"amount": 150, "subscription_key": "lic-1", "external_subscription_key": "lic-2"}
    refused = api.post("/transactions", {**posted, "lines": [twice]}, status=400)
    assert [each["field"] for each in refused["errors"]] == ["lines[0].external_subscription_key"]


def test_lines_for_one_thing_are_one_line(program: Stage, api: Api) -> None:
    """Two lines of one product are netted; a line that names nothing counts on the whole only, and says why."""
    customer(api)
    lines = [
        {"amount": 100, "external_product_key": "prod_chat"},
        {"amount": 200, "product_book_key": "prod_chat"},
        {"amount": 50},
        {"amount": 0, "subscription_key": "lic-9", "external_product_key": "prod_inbox"},
    ]
    made = api.post("/transactions", {"key": "order-1", "amount": 350, "currency": "jpy", "customer_key": "acme",
                                      "lines": lines})  # fmt: skip
    assert [(each["key"], each["amount"], each["reason"]) for each in made["lines"]] == [
        ("-/prod_chat", 300, None),
        ("line:#3", 50, "the line names no product"),
        ("line:lic-9/prod_inbox", 0, 'subscription_key "lic-9/prod_inbox" matches no product'),
    ]
    assert [row[:3] + row[4:5] for row in program.commissions()] == [
        ("chat", "order-1", "-/prod_chat", 30),
        ("whole", "order-1", None, 4),
    ]


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"amount": 100, "currency": "usd"}, ["customer_key"]),
        ({"amount": 100, "currency": "usd", "customer_key": "a", "customer_email": "a@b.c"}, ["customer_key"]),
        ({"amount": 100, "currency": "usd", "customer_email": "nobody@b.c"}, ["customer_email"]),
        ({"amount": 100, "currency": "usd", "customer_key": "cust_" + "0" * 20}, ["customer_key"]),
        ({"amount": -5, "currency": "usd", "customer_key": "a", "key": "stripe:in_1"}, ["key", "amount"]),
        ({"amount": 100, "currency": "xxxx", "customer_key": "a", "key": "abc"}, ["currency", "key"]),
        (
            {"amount": 100, "currency": "usd", "customer_key": "a", "subscription_key": "s",
             "lines": [{"amount": -1, "product_book_key": "nothing"}]},
            ["subscription_key", "lines[0].amount", "lines[0].product_book_key", "lines"],
        ),
        ({"amount": 0, "currency": "usd", "customer_key": "a", "lines": []}, ["lines"]),
        ({"amount": 0, "currency": "usd", "customer_key": "a", "created_at": 32503679999999}, ["created_at"]),
        (
            {"amount": 5, "currency": "usd", "customer_key": "a",
             "lines": [{"amount": 5, "product_book_key": "prod_inbox", "external_product_key": "prod_chat"}]},
            ["lines[0].external_product_key"],
        ),
    ],
)  # fmt: skip
def test_every_mistake_is_named(program: Stage, api: Api, body: dict[str, Any], fields: list[str]) -> None:
    """All at once, each by its field, and nothing is written down."""
    refused = api.post("/transactions", body, status=400)
    assert sorted(each["field"] for each in refused["errors"]) == sorted(fields)
    assert program.ask("select count(*) from inbox where provider = 'api'") == [(0,)]


def test_a_customer_whom_only_a_provider_knows_is_not_guessed(program: Stage, api: Api) -> None:
    """Stripe's id of somebody nobody has linked is refused with the remedy; by e-mail a linked one is found."""
    program.play([stripe.customer("cus_1", event_key="evt_1", email="Acme@Example.com")])
    body = {"amount": 100, "currency": "usd"}
    refused = api.post("/transactions", {**body, "customer_external_key": "cus_1"}, status=400)
    assert "provider_key" in refused["errors"][0]["message"]
    customer(api, provider_key="cus_1")
    assert api.post("/transactions", {**body, "customer_external_key": "cus_1"})["customer_key"] == "acme"
    assert api.post("/transactions", {**body, "customer_email": "acme@example.COM"})["customer_key"] == "acme"


def test_the_same_key_posted_at_the_same_time_is_one_payment(program: Stage, api: Api) -> None:
    """Eight callers with one key: one payment, one commission each, and the same answer to all."""
    customer(api)
    body = {"key": "order-1", "amount": 1000, "currency": "usd", "customer_key": "acme", "created_at": PAID}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: api.post("/transactions", body), range(8)))
    assert all(answer == answers[0] for answer in answers)
    assert program.commissions() == [("whole", "order-1", None, "ada", 10, "usd")]
    assert program.ask("select count(*) from commission_entries") == [(1,)]


def test_payments_of_one_customer_posted_at_the_same_time_are_all_booked(program: Stage, api: Api) -> None:
    """Other keys, one customer: each waits for its turn, none is lost and none counted twice."""
    customer(api)
    body = {"amount": 1000, "currency": "usd", "customer_key": "acme", "created_at": PAID}
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda number: api.post("/transactions", {**body, "key": f"order-{number}"}), range(6)))
    assert [row[4] for row in program.commissions()] == [10] * 6
    assert sorted(program.ask("select number from standings")) == [(number,) for number in range(1, 7)]


def test_a_payment_in_the_past_is_judged_as_of_then(program: Stage, api: Api) -> None:
    """The partner of its day is paid, and a provider's own payments are shown beside it."""
    customer(api)
    api.patch("/customers/acme", {"partner_key": "bob", "attributed_at": PAID})
    body = {"amount": 1000, "currency": "usd", "customer_key": "acme"}
    api.post("/transactions", {**body, "key": "before", "created_at": PAID - 1})
    api.post("/transactions", {**body, "key": "after", "created_at": PAID})
    program.play([stripe.invoice_paid("in_1", event_key="evt_9", customer="cus_9", subscription="sub_9",
                                      lines=[line("prod_chat", 4900)], paid_at=LONG_AGO)])  # fmt: skip
    assert [(row[1], row[3]) for row in program.commissions()] == [("after", "bob"), ("before", "ada")]
    assert [each["key"] for each in api.get("/transactions")["items"]] == ["after", "before", "stripe:in_1"]
    (unlinked,) = api.get("/transactions", linked="false")["items"]
    assert (unlinked["customer_key"], unlinked["provider_customer_key"], unlinked["lines"][0]["product_key"]) == (
        None, "cus_9", "sub_9/prod_chat",
    )  # fmt: skip
    assert api.get("/transactions/nothing", status=404)["errors"][0]["field"] == "key"
