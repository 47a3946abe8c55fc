"""What PostgreSQL's ledger answers, asked directly: neighbours in time, what comes later, what is affected."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event

from domain.known import Touched
from domain.triggers import TriggerEvent
from infra.ledger.case_files import load_case_file
from infra.ledger.postgres import PostgresLedger
from infra.program import ProgramReader
from tests.builders import item, line, stripe_events
from tests.stage import Stage

START = datetime(2026, 3, 1, tzinfo=UTC)
GERMAN = {"field": "customer.country", "op": "is_any_of", "value": ["DE"]}
CHURN_DRIP = {"cycle": {"days": 10}, "occurrences": 3, "stop_on_churn": True}


def day(number: int) -> datetime:
    """So many days after the start."""
    return START + timedelta(days=number)


def paid(key: str, at: int, customer: str | None = "cus_1", subscription: str | None = None, minor: int = 1000) -> Any:
    """A payment for Inbox."""
    return stripe_events.invoice_paid(
        key, customer=customer, subscription=subscription, lines=[line("prod_inbox", minor)], paid_at=day(at)
    )


@pytest.fixture
def stage(engine: Engine) -> Stage:
    """acme pays as cus_1 and as cus_2, other as cus_3; nobody has linked cus_4."""
    stage = Stage(engine)
    stage.partner("ada")
    stage.play(
        [
            stripe_events.customer("cus_1", customer_key="acme", at=START, event_key="evt_1"),
            stripe_events.customer("cus_2", customer_key="acme", at=START, event_key="evt_2"),
            stripe_events.customer("cus_3", customer_key="other", at=START, event_key="evt_3"),
            stripe_events.customer("cus_4", at=START, event_key="evt_4"),
            *(paid("in_b", 1), paid("in_B", 1, "cus_2"), paid("in_c", 2, "cus_2"), paid("in_d", 3)),
            *(paid("in_e", 1, "cus_3"), paid("in_f", 1, "cus_4"), paid("in_g", 2, "cus_4")),
        ]
    )
    return stage


@contextmanager
def ledger_on(stage: Stage) -> Iterator[PostgresLedger]:
    """The ledger, as a batch has it."""
    with stage.engine.begin() as connection:
        yield PostgresLedger(connection, ProgramReader(stage.settings).read(connection))


def keys(*invoices: str) -> list[str]:
    """Transactions of invoices."""
    return [f"stripe:{invoice}" for invoice in invoices]


def affected(stage: Stage, touched: Touched, horizon: timedelta = timedelta(0)) -> dict[str, str]:
    """Which transactions, and the cause of each."""
    with ledger_on(stage) as ledger:
        return dict(ledger.affected(touched, horizon).transactions)


# Time lines.


def test_the_payment_before_is_the_same_customers_under_any_name(stage: Stage) -> None:
    """By time, then by key as bytes; the first has none, and whoever nobody linked has no neighbours at all."""
    with ledger_on(stage) as ledger:
        case = ledger.load_case(keys("in_b", "in_B", "in_c", "in_d", "in_e", "in_f", "in_g"))
    assert case.previous == {
        "stripe:in_B": None,
        "stripe:in_b": "stripe:in_B",
        "stripe:in_c": "stripe:in_b",
        "stripe:in_d": "stripe:in_c",
        "stripe:in_e": None,
    }
    assert case.followed == set(keys("in_B", "in_b", "in_c"))


def test_where_the_customer_stood_before_is_told_along(stage: Stage) -> None:
    """The case of one payment has the standing after the one before it, which is not itself in the case."""
    with ledger_on(stage) as ledger:
        case = ledger.load_case(keys("in_d"))
    assert set(case.transactions) == {"stripe:in_d"}
    assert {key: (each.number, each.revenue) for key, each in case.standings.items()} == {
        "stripe:in_c": (3, {"usd": 3000}),
        "stripe:in_d": (4, {"usd": 4000}),
    }


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (["in_B"], ["in_b", "in_c", "in_d"]),
        (["in_b"], ["in_c", "in_d"]),
        (["in_c", "in_e"], ["in_d"]),
        (["in_d", "in_f", "in_x"], []),
    ],
)
def test_what_comes_later_is_the_same_customers(asked: Sequence[str], found: Sequence[str], stage: Stage) -> None:
    """Whatever the customer paid after one of these, under any name; of an unlinked customer nothing."""
    with ledger_on(stage) as ledger:
        assert ledger.later(keys(*asked)) == keys(*found)


def test_a_customer_is_described_as_of_each_payment(stage: Stage) -> None:
    """Of what was said under a name, the first word and the newest by each payment are loaded, nothing else."""
    stage.trigger("german", "10", rules=GERMAN)
    stage.play(
        [
            stripe_events.customer("cus_1", customer_key="acme", at=day(at), change="updated", event_key=f"evt_on_{at}")
            for at in (0, 1, 2, 4)
        ]
    )
    with ledger_on(stage) as ledger:
        (said,) = ledger.load_case(keys("in_d")).descriptions.values()
    found = {(seen.provider_customer_key, seen.source.event_key) for seen in said}
    assert found == {("cus_1", "evt_1"), ("cus_1", "evt_on_2"), ("cus_2", "evt_2")}


def test_products_are_told_of_until_the_last_instalment(stage: Stage) -> None:
    """A churn after the payment is in the case where a drip stops on it, and not where nothing depends on it."""
    stage.play(
        [
            stripe_events.subscription("sub_1", customer="cus_1", items=[item("prod_inbox")], at=day(5)),
            paid("in_s", 5, subscription="sub_1"),
            stripe_events.subscription(
                "sub_1", customer="cus_1", items=[item("prod_inbox")], status="canceled", change="deleted",
                at=day(12), ended_at=day(12),
            ),
        ]
    )  # fmt: skip

    def statuses() -> list[str]:
        with ledger_on(stage) as ledger:
            (versions,) = ledger.load_case(keys("in_s")).products.values()
        return [version.status for version in versions]

    stage.trigger("active", "10", rules={"field": "product.status", "op": "is_any_of", "value": ["Active"]})
    assert statuses() == ["active"]
    stage.trigger("slowly", action={"type": "percent", "percent": "10", "drip": CHURN_DRIP})
    assert statuses() == ["active", "churned"]


def test_what_no_trigger_on_payments_reads_is_not_loaded(stage: Stage) -> None:
    """Neither what was said of customers nor how products stood, until a rule asks for it; all of it to explain."""
    stage.play([stripe_events.subscription("sub_1", customer="cus_1", items=[item("prod_inbox")], at=day(5)),
                paid("in_s", 5, subscription="sub_1")])  # fmt: skip

    def loaded() -> tuple[bool, bool]:
        with ledger_on(stage) as ledger:
            case = ledger.load_case(keys("in_s"))
        return bool(case.descriptions), bool(case.products)

    stage.trigger("inbox", "10", rules={"field": "product.name", "op": "is_any_of", "value": ["Inbox"]})
    assert loaded() == (False, False)
    stage.trigger("german", "10", rules=GERMAN)
    assert loaded() == (True, False)
    stage.trigger("many", "10", rules={"not": {"field": "product.quantity", "op": "lt", "value": 5}})
    assert loaded() == (True, True)
    with stage.engine.connect() as connection:
        whole = load_case_file(connection, keys("in_s"))
    assert whole.descriptions and whole.products


# What is affected.


def test_a_customer_is_affected_from_a_moment_on(stage: Stage) -> None:
    """Only payments under the touched name, from that moment; the touched place is one of the people."""
    touched = Touched(customers={("stripe", "cus_2"): (day(2), "stripe:evt_x")})
    with ledger_on(stage) as ledger:
        found = ledger.affected(touched, timedelta(0))
    assert found.transactions == {"stripe:in_c": "stripe:evt_x"}
    assert found.people == {("stripe", "cus_2"): "stripe:evt_x"}
    assert found.customers == {}


def test_a_subscription_is_affected_as_far_back_as_instalments_reach(stage: Stage) -> None:
    """A payment a day before the change is affected by a horizon of a day, not by one of a second less."""
    stage.play([paid("in_s", 5, subscription="sub_1"), paid("in_t", 7, subscription="sub_1")])
    touched = Touched(subscriptions={("stripe", "sub_1"): (day(6), "stripe:evt_x")})
    assert list(affected(stage, touched)) == keys("in_t")
    assert list(affected(stage, touched, timedelta(days=1) - timedelta(seconds=1))) == keys("in_t")
    assert list(affected(stage, touched, timedelta(days=1))) == keys("in_s", "in_t")


def test_credits_follow_what_is_affected(stage: Stage) -> None:
    """Later payments of the same name with a credit line are affected, the others are not."""
    stage.play([paid("in_s", 5, subscription="sub_1"), paid("in_t", 7, subscription="sub_1", minor=-500)])
    touched = Touched(credits={("stripe", "cus_1"): (day(4), "stripe:evt_x")})
    assert affected(stage, touched) == {"stripe:in_t": "stripe:evt_x"}
    assert affected(stage, Touched(credits={("stripe", "cus_1"): (day(8), "stripe:evt_x")})) == {}


def test_owners_of_a_subscription_are_asked_only_where_occasions_count(stage: Stage) -> None:
    """With a trigger on products the owner of a touched one is judged again; without, nobody asks who it is."""
    stage.play([stripe_events.subscription("sub_1", customer="cus_1", items=[item("prod_inbox")], at=day(5))])
    touched = Touched(
        subscriptions={("stripe", "sub_1"): (day(6), "stripe:evt_x")}, moved={"cust_1": "stripe:evt_y"}
    )  # fmt: skip
    with ledger_on(stage) as ledger:
        assert ledger.affected(touched, timedelta(0)).people == {}
    flat = {"type": "flat", "amount": 500, "currency": "usd"}
    stage.trigger("sold", event=TriggerEvent.PRODUCT_CREATED, action=flat)
    with ledger_on(stage) as ledger:
        found = ledger.affected(touched, timedelta(0))
    assert found.people == {("stripe", "cus_1"): "stripe:evt_x"}
    assert found.customers == {"cust_1": "stripe:evt_y"}


# Cost.


def test_a_case_takes_as_many_statements_whatever_its_size(stage: Stage) -> None:
    """Loading seven payments with all they need asks the database no more often than loading one."""
    asked: list[str] = []
    event.listen(stage.engine, "before_cursor_execute", lambda *about: asked.append(about[2]))

    def count(*invoices: str) -> int:
        with ledger_on(stage) as ledger:
            asked.clear()
            ledger.load_case(keys(*invoices))
            ledger.later(keys(*invoices))
        return len(asked)

    assert count("in_d") == count("in_b", "in_B", "in_c", "in_d", "in_e", "in_f", "in_g") > 0
