"""Changes of the program: versions, who is judged again, and that nobody is judged by what no longer holds."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine, text

from domain.errors import Rejected
from infra.batch import PORTION
from infra.explanations import explain_by_name
from infra.ledger.held import lock_name
from infra.locks import lock_customers
from infra.program import ProgramReader
from infra.program_changes import (
    REJUDGE,
    Rejudge,
    affected_portion,
    request_rejudge,
    save_partner,
    save_trigger,
    warnings_about,
)
from infra.providers.stripe import example_events as stripe
from infra.providers.stripe.example_events import line
from infra.reports import list_commissions
from tests.conftest import OF_THIS_DATABASE
from tests.stage import LONG_AGO, Stage
from worker.drain import Drain

PAID_AT = datetime(2026, 4, 1, tzinfo=UTC)
NOW = datetime(2026, 5, 1, tzinfo=UTC)
#: As documents write a time.
LONG_AGO_MS = round(LONG_AGO.timestamp() * 1000)


@pytest.fixture
def stage(engine: Engine) -> Stage:
    """Ada's customers 0 and 1, Bob's customer 2, two products, ten percent."""
    stage = Stage(engine)
    stage.product("Inbox", "prod_inbox")
    stage.product("Surveys", "prod_surveys")
    stage.partner("ada")
    stage.partner("bob")
    stage.trigger("ten", "10")
    owners = ("ada", "ada", "bob")
    stage.play(
        [
            stripe.customer(f"cus_{n}", event_key=f"evt_c{n}", partner_key=owner, at=LONG_AGO)
            for n, owner in enumerate(owners)
        ]
    )
    return stage


def _payment(number: int, customer: int, product: str = "prod_inbox") -> dict[str, Any]:
    return stripe.invoice_paid(
        f"in_{number:04}",
        event_key=f"evt_{number}",
        customer=f"cus_{customer}",
        lines=[line(product, 1000)],
        paid_at=PAID_AT + timedelta(seconds=number),
    )


def _open_changes(stage: Stage) -> int:
    found = stage.ask(
        "select count(*) from inbox where event_type = :kind and next_attempt_at is not null", kind=REJUDGE
    )
    return int(found[0][0])


def _total(stage: Stage, trigger: str) -> int:
    found = stage.ask("select coalesce(sum(amount_minor), 0) from commissions where trigger_key = :key", key=trigger)
    return int(found[0][0])


def _eventually(condition: Callable[[], object]) -> bool:
    until_s = time.monotonic() + 20
    while not condition():
        if time.monotonic() > until_s:
            return False
        time.sleep(0.05)
    return True


# Versions.


def test_a_change_is_read_by_every_reader_that_knew_the_old(stage: Stage) -> None:
    """A program that was read stays as it is until its revision moves, and is then read again whole."""
    reader = ProgramReader(stage.settings)
    with stage.engine.connect() as connection:
        before = reader.read(connection)
        assert reader.read(connection) is before
    stage.partner("cleo")
    with stage.engine.connect() as connection:
        after = reader.read(connection)
        assert "cleo" in after.partners
        assert "cleo" not in before.partners


def test_saying_again_what_holds_changes_nothing(stage: Stage) -> None:
    """The same product, partner and trigger saved again make no version, no revision and no work."""
    looked = "select (select revision from program_revision), (select count(*) from inbox), (select count(*) from trigger_versions)"  # noqa: E501
    before = stage.ask(looked)
    stage.product("Inbox", "prod_inbox")
    stage.partner("ada")
    stage.trigger("ten", "10")
    assert stage.ask(looked) == before


def test_a_change_that_is_not_committed_never_happened(stage: Stage) -> None:
    """Rolled back, neither version nor revision nor work is there: they commit together."""
    looked = "select (select revision from program_revision), (select count(*) from inbox), (select count(*) from partner_versions)"  # noqa: E501
    before = stage.ask(looked)
    with stage.engine.connect() as connection:
        save_partner(connection, partner_key="ada", group="gold", now=NOW)
        assert connection.scalar(text("select count(*) from inbox")) == before[0][1] + 1
        connection.rollback()
    assert stage.ask(looked) == before


def test_a_trigger_with_a_mistake_is_refused_whole(stage: Stage) -> None:
    """Nothing is written for a trigger whose document is wrong."""
    rules = {"field": "customer.shoe_size", "op": "is_any_of", "value": ["44"]}
    with pytest.raises(Rejected, match=r"shoe_size"):
        stage.trigger("five", "5", rules=rules)
    assert stage.ask("select key from triggers") == [("ten",)]


def test_what_is_in_force_is_warned_of(stage: Stage) -> None:
    """A trigger that overlaps another, and names what nobody sells, is saved all the same, with both said."""
    stage.trigger("five", "5", rules={"field": "product.name", "op": "is_any_of", "value": ["Inbocks"]})
    reader = ProgramReader(stage.settings)
    with stage.engine.connect() as connection:
        (saved,) = reader.read(connection).triggers["five"]
        found = warnings_about(connection, reader, saved, NOW)
    assert [each.kind for each in found] == ["unknown_name", "overlap"]


# Occasions other than payments.


def test_a_new_trigger_on_other_occasions_judges_everybody(stage: Stage) -> None:
    """Partners who joined, customers who came and products bought long before pay when it reaches back."""
    stage.play([_payment(number, number % 3) for number in range(6)])
    stage.play([stripe.subscription("sub_1", customer="cus_1", items=[stripe.item("prod_inbox")], at=NOW)])
    flat = {"type": "flat", "amount": 500, "currency": "usd"}
    for event in ("partner_joined", "product_created", "customer_created"):
        stage.trigger(event, event=event, action=flat, effective_from=0)
    stage.drainer.sweep()
    rows = stage.ask("select trigger_key, count(*), sum(amount_minor)::int from commissions "
                     "where transaction_key is null group by 1 order by 1")  # fmt: skip
    customers = stage.ask("select count(*) from customers")[0][0]
    products = stage.ask("select count(*) from products where status = 'active'")[0][0]
    partners = stage.ask("select count(*) from partners")[0][0]
    assert rows == [
        ("customer_created", customers, customers * 500),
        ("partner_joined", partners, partners * 500),
        ("product_created", products, products * 500),
    ]
    key = stage.ask("select key from commissions where event = 'partner_joined'")[0][0]
    with stage.engine.connect() as connection:
        assert {row["event"] for row in list_commissions(connection)} >= {"partner_joined", "product_created"}
        with pytest.raises(Rejected, match="not earned on a payment"):
            explain_by_name(connection, key, stage.settings)


# Who is judged again.


def test_a_retroactive_trigger_pays_for_what_was_paid_before(stage: Stage) -> None:
    """A trigger effective in the past judges history once; the one before it keeps what it paid."""
    stage.play([_payment(number, number % 3) for number in range(6)])
    assert (_total(stage, "ten"), _total(stage, "five")) == (600, 0)
    stage.trigger("five", "5", now=NOW, effective_from=LONG_AGO_MS)
    stage.drainer.sweep()
    assert (_total(stage, "ten"), _total(stage, "five")) == (600, 300)
    stage.replay()
    assert (_total(stage, "ten"), _total(stage, "five")) == (600, 300)


def test_a_change_judges_only_what_it_can_affect(stage: Stage) -> None:
    """A partner's the transactions of its customers, a product's those with it, a later trigger's none before."""
    stage.play([_payment(1, 0), _payment(2, 2), _payment(3, 1, "prod_surveys")])

    def affected(kind: str, key: str, since: datetime | None = None) -> list[str]:
        with stage.engine.connect() as connection:
            return [row.key for row in affected_portion(connection, Rejudge(kind, key, since), 100)]

    surveys = stage.ask("select key from product_book where external_key = 'prod_surveys'")[0][0]
    assert affected("partner", "ada") == ["stripe:in_0001", "stripe:in_0003"]
    assert affected("partner", "bob") == ["stripe:in_0002"]
    assert affected("partner", "nobody") == []
    assert affected("product_book", surveys) == ["stripe:in_0003"]
    assert affected("trigger", "ten") == ["stripe:in_0001", "stripe:in_0002", "stripe:in_0003"]
    assert affected("trigger", "ten", PAID_AT + timedelta(seconds=2)) == ["stripe:in_0002", "stripe:in_0003"]
    assert affected("trigger", "ten", NOW) == []


def test_a_credit_follows_what_it_credits_whoever_paid_for_it(stage: Stage) -> None:
    """Ada's customer was charged, Bob's is credited on the same subscription: what is Ada's concerns both."""
    told = [
        stripe.invoice_paid(
            key, customer=customer, subscription="sub_1", lines=[line("prod_inbox", amount)],
            paid_at=PAID_AT + timedelta(days=day), event_key=f"evt_{key}",
        )
        for day, (key, customer, amount) in enumerate([("in_1", "cus_0", 1000), ("in_2", "cus_2", -400)])
    ]  # fmt: skip
    stage.play(told)
    gold = {"field": "partner.group", "op": "is_any_of", "value": ["gold"]}
    stage.trigger("gold", "20", rules=gold)
    stage.drainer.sweep()
    assert _total(stage, "gold") == 0
    stage.partner("ada", group="gold", effective_from=LONG_AGO)
    stage.drainer.sweep()
    assert _total(stage, "gold") == 200 - 80


def test_a_long_history_is_judged_in_portions(stage: Stage) -> None:
    """More transactions than a portion holds: each portion asks for the next, and every one is judged once."""
    count = PORTION + 10
    stage.play([_payment(number, number % 3) for number in range(count)])
    stage.trigger("five", "5", now=NOW, effective_from=LONG_AGO_MS)
    stage.drainer.sweep()
    assert _total(stage, "five") == 50 * count
    assert stage.ask("select count(*) from commission_entries e join commissions c on c.key = e.commission_key"
                     " where trigger_key = 'five'") == [(count,)]  # fmt: skip
    bodies = stage.ask("select body from inbox where event_type = :kind order by id desc limit 2", kind=REJUDGE)
    last, first = (msgspec.json.decode(body, type=Rejudge) for (body,) in bodies)
    assert (first.after, last.after) == ("", f"stripe:in_{PORTION - 1:04}")


def test_a_busy_customer_holds_up_only_what_comes_after_it(stage: Stage) -> None:
    """A portion goes as far as the first transaction whose customer another worker has, and goes on when it is free."""
    stage.play([_payment(1, 0), _payment(2, 1), _payment(3, 2), _payment(4, 0)])
    with stage.engine.connect() as holder:
        assert lock_customers(holder, [lock_name("stripe", "cus_2")])
        stage.trigger("five", "5", now=NOW, effective_from=LONG_AGO_MS)
        stage.drainer.run(slice_s=0.3)
        assert _total(stage, "five") == 100
        assert _open_changes(stage) == 1
    assert _eventually(lambda: stage.drainer.sweep() and _open_changes(stage) == 0)
    assert _total(stage, "five") == 200


def test_asking_twice_for_the_same_work_is_asking_once(stage: Stage) -> None:
    """The same portion for the same cause is one row."""
    before = stage.ask("select count(*) from inbox")[0][0]
    with stage.engine.begin() as connection:
        for _ in range(3):
            request_rejudge(connection, Rejudge("trigger", "ten"), "version 7", NOW)
    assert stage.ask("select count(*) from inbox") == [(before + 1,)]


def test_a_request_that_makes_no_sense_is_dead_and_keeps_nobody(stage: Stage) -> None:
    """An unknown kind, and a body that is no request, end dead with a reason; payments beside them are judged."""
    with stage.engine.begin() as connection:
        request_rejudge(connection, Rejudge("weather", "rain"), "test", NOW)
        request_rejudge(connection, Rejudge("trigger", "ten"), "test", NOW)
        connection.execute(
            text("""
                update inbox set body = convert_to('[]', 'UTF8'), body_bytes = 2
                where id = (select max(id) from inbox)
            """)
        )
    stage.play([_payment(1, 0)])
    reasons = stage.ask("select reason from inbox where state = 'dead' order by id")
    assert reasons[0] == ("nothing is known of a change of kind weather",)
    assert reasons[1][0].startswith("not a request to judge again")
    assert _total(stage, "ten") == 100


# Races.


def test_nobody_judges_while_the_program_changes(stage: Stage) -> None:
    """A drain that knew the old program waits for a change that is being made, and judges by the new one."""
    stage.store([_payment(1, 0)])
    with ThreadPoolExecutor(1) as pool:
        with stage.engine.begin() as changing:
            save_trigger(changing, "five", _document("five", "5"), LONG_AGO)
            drained = pool.submit(stage.drainer.run)
            waiting = "select count(*) from pg_locks where not granted" + OF_THIS_DATABASE
            assert _eventually(lambda: stage.ask(waiting) == [(1,)])
            assert _total(stage, "ten") == 0
        drained.result(20)
    # The request to judge again became due after the drain began; without it the new trigger is judged already.
    assert (_total(stage, "ten"), _total(stage, "five")) == (100, 50)


def test_changes_in_live_traffic_leave_no_payment_judged_by_the_old(stage: Stage) -> None:
    """200 payments over three drains while five triggers are made: in the end each pays for every payment, once."""
    stage.store(_payment(number, number % 3) for number in range(200))
    names = [f"trigger-{number}" for number in range(5)]

    def work(_: int) -> None:
        drain = Drain(stage.engine, stage.settings)
        assert _eventually(lambda: drain.sweep() and len(stage.ask("select key from triggers")) == 6 and _idle(stage))

    with ThreadPoolExecutor(4) as pool:
        drains = [pool.submit(work, number) for number in range(3)]
        for name in names:
            time.sleep(0.1)
            stage.trigger(name, "1")
        for drain in drains:
            drain.result(60)
    assert {name: _total(stage, name) for name in ("ten", *names)} == {"ten": 20_000} | dict.fromkeys(names, 2000)
    assert stage.ask("select count(*) from commission_entries") == [(200 * 6,)]


def _idle(stage: Stage) -> bool:
    return stage.ask("select count(*) from inbox where next_attempt_at is not null") == [(0,)]


def _document(name: str, percent: str) -> dict[str, Any]:
    action = {"type": "percent", "percent": percent}
    return {"name": name, "event": "transaction_created", "action": action}


def test_what_is_paid_in_the_second_a_trigger_is_saved_in_is_paid_under_it(stage: Stage) -> None:
    """Providers tell whole seconds: the payment's second is the trigger's, though its moment was a little later."""
    with stage.engine.begin() as connection:
        save_trigger(connection, "late", _document("late", "5"), PAID_AT + timedelta(milliseconds=300))
    stage.play([_payment(0, 0)])
    assert _total(stage, "late") == 50
