"""What each field of a rule reads on a payment: everything as of the payment, whatever happened before and after."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain import fields
from domain.case import CaseFile, Program
from domain.catalogue import Catalogue, Entry, EntryName
from domain.customers import Claim
from domain.facts import CustomerSeen, ProductStatus, Source
from domain.judge import verdicts
from domain.money import Money
from domain.partners import Partner, PartnerVersion
from domain.products import ProductVersion
from domain.readings import customer_values, line_product_values, product_values
from domain.standings import Standing
from domain.transactions import Basis, Line, Transaction
from domain.triggers import parse_trigger

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def day(number: int) -> datetime:
    """So many days after the first payment."""
    return NOON + timedelta(days=number)


def said(number: int, event: str, **details: Any) -> CustomerSeen:
    """A description of the customer."""
    return CustomerSeen("stripe", "cus_1", Source(0, day(number), 1, event), **details)


def payment(number: int, *lines: Line) -> Transaction:
    """A payment of so many days after the first."""
    source = Source(0, day(number), 1, f"evt_{number}")
    key = f"stripe:in_{number}"
    return Transaction(key, "stripe", "cus_1", "usd", day(number), source, lines, {"channel": "web"})


INBOX = Line("sub_1/prod_inbox", "sub_1", "prod_inbox", ("price_1",), 6000, 1000, 3, recurring=True)
CHAT = Line("sub_1/prod_chat", "sub_1", "prod_chat", (), 4000, 0, 1, recurring=True)
PAID = payment(30, INBOX, CHAT)
HISTORY = (
    ProductVersion(day(-5), ProductStatus.NONE, "incomplete", 1, 1, "usd"),
    ProductVersion(day(0), ProductStatus.TRIAL, "trialing", 9000, 2, "usd"),
    ProductVersion(day(30), ProductStatus.ACTIVE, "active", 9900, 3, "usd"),
    ProductVersion(day(31), ProductStatus.CHURNED, "canceled", 1, 1, "usd"),
)
PROGRAM = Program(
    Catalogue(
        {
            "pbook_1": Entry(
                "pbook_1", (EntryName(None, "Mail"), EntryName(day(30), "Inbox"), EntryName(day(31), "Box"))
            )
        },
        {"price_1": "pbook_1"},
    ),
    {},
    {
        "ada": Partner(
            "ada",
            day(-60),
            (
                PartnerVersion(None, "bronze", frozenset({"new"}), "FR", {"tier": "1"}),
                PartnerVersion(day(30), "gold", frozenset({"vip", "old"}), "DE", {"tier": "2"}),
                PartnerVersion(day(31), "silver", frozenset(), "US", {"tier": "3"}),
            ),
        )
    },
    Basis.NET,
    timedelta(days=30),
    UTC,
)
CASE = CaseFile(
    transactions={PAID.key: PAID},
    customers={("stripe", "cus_1"): "cust_1"},
    customer_claims={"cust_1": (Claim("stripe:customer:cus_1", "ada", None, day(-40), "stripe:evt_0"),)},
    customers_created={"cust_1": day(-40)},
    descriptions={
        "cust_1": (
            said(31, "evt_c", email="c@third.com", country="US", metadata={"plan": "c"}),
            said(-40, "evt_a", email="a@first.com", country="FR", metadata={"plan": "a"}),
            said(30, "evt_b", email=" B@Second.COM ", country="DE", metadata={"plan": "b"}),
        )
    },
    previous={PAID.key: "stripe:in_0"},
    standings={"stripe:in_0": Standing(2, {"usd": 5000, "eur": 70000})},
    products={("stripe", "sub_1", "prod_inbox"): HISTORY},
)

#: Field, operator, a value with which it holds, one with which it does not.
READINGS: list[tuple[str, str, Any, Any]] = [
    ("product.name", "is_any_of", ["Inbox"], ["Mail", "Box", "prod_inbox"]),
    ("product.key", "is_any_of", ["pbook_1"], ["prod_inbox"]),
    ("product.status", "is_any_of", ["active"], ["trial", "churned"]),
    ("product.created", "within", {"between": ["2026-03-01", "2026-03-01"]}, {"current": "day"}),
    ("product.amount", "between", [{"amount": 9900, "currency": "usd"}] * 2, [9000, 9899]),
    ("product.quantity", "is_any_of", [3], [1, 2]),
    ("line.amount", "between", [5000, 5000], [6000, 10000]),
    ("line.quantity", "is_any_of", [3], [1, 2]),
    ("transaction.amount", "between", [{"amount": 9000, "currency": "usd"}] * 2, [5000, 5000]),
    ("transaction.currency", "is_any_of", ["usd"], ["eur"]),
    ("transaction.created", "within", {"current": "day"}, {"before": "2026-03-31"}),
    ("transaction.number", "is_any_of", [3], [1, 2]),
    ("transaction.metadata.channel", "is_any_of", ["web"], ["app"]),
    ("customer.created", "within", {"between": ["2026-01-20", "2026-01-20"]}, {"rolling": {"days": 69}}),
    ("customer.age", "between", [{"days": 70}, {"days": 70}], [{"days": 71}, {"days": 99}]),
    ("customer.email_domain", "is_any_of", ["second.com"], ["first.com", "third.com"]),
    ("customer.country", "is_any_of", ["DE"], ["FR", "US"]),
    ("customer.transactions", "is_any_of", [3], [2]),
    ("customer.revenue", "between", [{"amount": 14000, "currency": "usd"}] * 2, [5000, 13999]),
    ("customer.metadata.plan", "is_any_of", ["b"], ["a", "c"]),
    ("partner.key", "is_any_of", ["ada"], ["bob"]),
    ("partner.group", "is_any_of", ["gold"], ["bronze", "silver"]),
    ("partner.tags", "contains", "vip", "new"),
    ("partner.joined", "within", {"between": ["2025-12-31", "2025-12-31"]}, {"after": "2025-12-31"}),
    ("partner.age", "between", [{"days": 90}, {"days": 90}], [{"days": 91}, {"days": 99}]),
    ("partner.country", "is_any_of", ["DE"], ["FR", "US"]),
    ("partner.metadata.tier", "is_any_of", ["2"], ["1", "3"]),
]


def fires(*condition: Any) -> bool:
    """Whether a trigger with this condition, asked of Inbox, fires on the payment."""
    field, operator, value = condition
    inbox = {"field": "product.key", "op": "is_any_of", "value": ["pbook_1"]}
    rules = {"all": [inbox, {"field": field, "op": operator, "value": value}]}
    draft = parse_trigger(
        {"name": "t", "event": "transaction_created", "rules": rules, "action": {"type": "percent", "percent": "10"}}
    )
    found = {"t": (draft.as_version("t", 1, day(-100)),)}
    run = Program(PROGRAM.catalogue, found, PROGRAM.partners, Basis.NET, PROGRAM.lookback, UTC)
    return any(verdict.fired for verdict in verdicts(PAID.key, CASE, run))


@pytest.mark.parametrize("reading", READINGS, ids=lambda reading: reading[0])
def test_every_field_reads_what_was_so_at_the_payment(reading: tuple[str, str, Any, Any]) -> None:
    """It holds with what was so then, and not with what was so before, later, or of something else."""
    field, operator, right, wrong = reading
    assert fires(field, operator, right)
    assert not fires(field, operator, wrong)


def test_the_table_leaves_no_field_out() -> None:
    """Every field that a rule can name is in it, metadata of every object that has some."""
    named = {field for field, *_ in READINGS}
    assert named >= set(fields.FIELDS)
    assert {field.split(".")[0] for field in named if ".metadata." in field} == set(fields.METADATA_OBJECTS)


def test_a_product_without_a_subscription_is_what_its_line_says() -> None:
    """A one-off charge is active from its payment on; a credit of one, or a line of no product, says nothing more."""
    bought = Line("-/prod_x", None, "prod_x", (), 100, 0, 1, recurring=False)
    values = line_product_values(bought, PAID, (), PROGRAM)
    assert isinstance(values, dict)
    assert (values["name"], values["status"], values["created"]) == ("prod_x", ProductStatus.ACTIVE, PAID.occurred_at)
    free = line_product_values(Line("-/prod_x", None, "prod_x", (), 0, 0, 1, recurring=False), PAID, (), PROGRAM)
    assert isinstance(free, dict) and "status" not in free
    none = line_product_values(Line("line:il_1", "sub_1", None, (), 100, 0, 1, recurring=True), PAID, HISTORY, PROGRAM)
    assert none == fields.Unknown("the line names no product")


def test_a_product_is_known_from_its_first_version_on() -> None:
    """Before it nothing is read of its state; an amount without a currency of its own is in the payment's."""
    assert "status" not in product_values("stripe", "prod_inbox", HISTORY, day(-6), PROGRAM)
    assert product_values("stripe", "prod_inbox", HISTORY, day(-6), PROGRAM)["created"] == day(0)
    moved = tuple(replace(version, price_keys=("price_1",)) for version in HISTORY)
    for number, name in ((29, "Mail"), (30, "Inbox"), (31, "Box")):
        values = product_values("stripe", "prod_moved", moved, day(number), PROGRAM)
        assert (values["name"], values["key"]) == (name, "pbook_1")
    bare = (ProductVersion(day(0), ProductStatus.ACTIVE, None, 700, 1, None),)
    here = line_product_values(INBOX, PAID, bare, PROGRAM)
    assert isinstance(here, dict) and here["amount"] == Money(700, "usd")
    assert product_values("stripe", "prod_inbox", bare, day(1), PROGRAM)["amount"] is None


def test_of_a_customer_is_read_what_was_said_last_by_then() -> None:
    """The first word holds from the beginning; of two of one moment the newer event's counts; no mail, no domain."""
    words = CASE.descriptions["cust_1"]

    def domain_at(number: int, *more: CustomerSeen) -> object:
        return customer_values(day(-40), (*words, *more), Standing(), day(number), "usd").get("email_domain")

    assert [domain_at(number) for number in (-99, -40, 29, 30, 31)] == [
        "first.com", "first.com", "first.com", "second.com", "third.com"
    ]  # fmt: skip
    assert domain_at(30, said(30, "evt_bb", email="x@newer.com")) == "newer.com"
    assert domain_at(32, said(32, "evt_d")) is None
    assert domain_at(32, said(32, "evt_d", email="nobody")) is None
    assert domain_at(32, said(32, "evt_d", email="nobody@ ")) is None
    unknown = customer_values(None, (), Standing(1, {"usd": 5}), day(0), None)
    assert unknown == {"created": None, "transactions": 1}
    assert customer_values(None, (), Standing(1, {"usd": 5}), day(0), "eur")["revenue"] == Money(0, "eur")
