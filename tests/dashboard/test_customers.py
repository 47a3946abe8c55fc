"""`/customers`: what the company says of them, whose they are, and what providers call them."""

from typing import Any

import pytest

from infra.locks import lock_customers
from infra.providers.stripe import example_events as stripe
from infra.providers.stripe.example_events import line
from tests.dashboard.running import Api
from tests.stage import LONG_AGO, Stage

LONG_AGO_MS = 1735689600000


@pytest.fixture
def program(stage: Stage) -> Stage:
    """Ten percent on everything; ada and bob are partners."""
    stage.partner("ada")
    stage.partner("bob")
    stage.trigger("ten", "10")
    stage.drainer.sweep()
    return stage


def paid(invoice: str, customer: str) -> dict[str, Any]:
    """A payment of 10.00 long ago."""
    return stripe.invoice_paid(
        invoice, event_key=f"evt_{invoice}", customer=customer, subscription=None, lines=[line("prod_chat", 1000)],
        paid_at=LONG_AGO,
    )  # fmt: skip


def test_a_customer_is_stated_read_listed_and_changed(program: Stage, api: Api) -> None:
    """By either key; what is left out of a PATCH stays, null clears, and the same again is no change."""
    said = {
        "customer_key": "acme/eu",
        "email": "Ann@Acme.example",
        "name": "Acme",
        "country": "DE",
        "metadata": {"plan": "pro"},
        "partner_key": "ada",
        "member_key": "amy",
        "attributed_at": LONG_AGO_MS,
        "provider_key": "cus_1",
    }
    made = api.post("/customers", said)
    assert {key: made[key] for key in said} == said
    assert made["provider_keys"] == [
        {"provider": "chargebee", "key": "cus_1"},
        {"provider": "stripe", "key": "cus_1"},
    ]
    assert api.get("/customers/acme/eu") == api.get(f"/customers/{made['key']}") == made
    for query in ({}, {"email": "ann@acme.EXAMPLE"}, {"provider_key": "cus_1"}, {"partner_key": "ada"},
                  {"customer_key": "acme/eu"}, {"key": made["key"]}):  # fmt: skip
        assert api.call("GET", "/customers", params=query)["data"]["items"] == [made]
    assert api.get("/customers", partner_key="bob")["items"] == []
    assert api.get("/customers", customer_key="acme")["items"] == []
    changed = api.patch("/customers/acme/eu", {"name": "Acme Europe", "country": None})
    assert changed == {**made, "name": "Acme Europe", "country": None}
    rows = program.ask("select count(*) from inbox where provider = 'api'")
    assert api.patch("/customers/acme/eu", {"name": "Acme Europe", "partner_key": "ada"}) == changed
    assert program.ask("select count(*) from inbox where provider = 'api'") == rows
    assert api.post("/customers", {**said, "name": "Acme Europe", "country": None, "attributed_at": None}) == changed
    assert "PATCH" in api.post("/customers", said, status=409)["message"]
    assert program.ask("select action, subject from audit_log where action like 'customer%' order by 1") == [
        ("customer.changed", made["key"]),
        ("customer.stated", made["key"]),
    ]


def test_what_a_statement_came_to_is_in_the_inbox(program: Stage, api: Api) -> None:
    """One processed row with its outcome and the exact document; replayed, it says the same."""
    api.post("/customers", {"customer_key": "acme", "partner_key": "ada", "provider_key": "cus_1"})
    assert program.ask("select event_type, state, outcome -> 'customers' from inbox where provider = 'api'") == [
        ("customer.stated", "processed", ["acme", "cus_1", "cus_1"])
    ]
    before = program.books()
    program.replay()
    assert program.books() == before


def test_a_person_s_link_counts_more_than_what_the_provider_says(program: Stage, api: Api) -> None:
    """Whether metadata that names another customer comes before or after it; payments move along and are paid."""
    metadata = {"customer_key": "other", "partner_key": "bob"}
    program.play([stripe.customer("cus_1", event_key="evt_1", at=LONG_AGO, metadata=metadata), paid("in_1", "cus_1")])
    assert [row[3] for row in program.commissions()] == ["bob"]
    api.post("/customers", {"customer_key": "acme", "partner_key": "ada", "attributed_at": LONG_AGO_MS})
    linked = api.patch("/customers/acme", {"provider_key": "cus_1"})
    assert linked["provider_key"] == "cus_1"
    program.play([stripe.customer("cus_1", change="updated", event_key="evt_2", metadata={"customer_key": "other"})])
    assert api.get("/transactions/stripe:in_1")["customer_key"] == "acme"
    assert program.ask("select customer from commissions where amount_minor <> 0") == [(linked["key"],)]
    moved = api.post("/customers", {"customer_key": "third", "provider_key": "cus_1"})
    assert api.get("/transactions/stripe:in_1")["customer_key"] == moved["customer_key"] == "third"


def test_another_partner_earns_from_now_on(program: Stage, api: Api) -> None:
    """What was earned stays; `attributed_at` moves it on purpose."""
    api.post("/customers", {"customer_key": "acme", "partner_key": "ada", "attributed_at": LONG_AGO_MS,
                            "provider_key": "cus_1"})  # fmt: skip
    program.play([paid("in_1", "cus_1")])
    assert api.patch("/customers/acme", {"partner_key": "bob"})["partner_key"] == "bob"
    assert [row[3] for row in program.commissions()] == ["ada"]
    api.patch("/customers/acme", {"attributed_at": LONG_AGO_MS})
    assert [row[3] for row in program.commissions()] == ["bob"]


@pytest.mark.parametrize(
    ("body", "field", "hint"),
    [
        ({"partner_key": "Ada"}, "partner_key", 'differs from "ada" only in capitals'),
        ({"partner_key": "zoe"}, "partner_key", "/partnerships"),
        ({"partner_key": None}, "partner_key", "cannot be taken away"),
        ({"member_key": "amy"}, "member_key", "partner_key as well"),
        ({"attributed_at": 1767225600}, "attributed_at", "looks like seconds"),
        ({"email": "nobody"}, "email", ""),
        ({"country": "Germany"}, "country", ""),
        ({"nickname": "x"}, "nickname", "unknown field"),
    ],
)
def test_a_mistake_is_named_with_its_remedy(api: Api, program: Stage, body: Any, field: str, hint: str) -> None:
    """And nothing is written down."""
    (error,) = api.post("/customers", {"customer_key": "acme", **body}, status=400)["errors"]
    assert (error["field"], hint in error["message"]) == (field, True)
    assert api.get("/customers/acme", status=404)["errors"][0]["field"] == "key"
    assert api.patch("/customers/acme", {"name": "x"}, status=404)["errors"][0]["field"] == "key"
    assert program.ask("select count(*) from inbox where provider = 'api'") == [(0,)]


def test_whoever_is_busy_with_a_customer_is_waited_for_and_then_given_up(program: Stage, api: Api) -> None:
    """While a worker has the customer there is no answer but 503; nothing is half done, and then it works."""
    api.post("/customers", {"customer_key": "acme"})
    with program.engine.begin() as connection:
        assert lock_customers(connection, ["api:customer:acme"])
        refused = api.call("PATCH", "/customers/acme", 503, json={"name": "Acme"})
        assert "busy" in refused["message"]
    assert api.patch("/customers/acme", {"name": "Acme"})["name"] == "Acme"
