"""The invariants over a real database: in portions, with writers about, and with books somebody tampered with."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text

from domain.invariants import Breach
from infra import checks, tallies
from infra.books import Place, Room, read_portion
from infra.checks import CHECK_EVERY, KEPT_FOR, Checked, Step, check_all, consistent, take_step
from infra.providers.stripe import example_events as stripe
from infra.providers.stripe.example_events import line
from infra.unit_of_work import unit_of_work
from tests.conftest import REPOSITORY
from tests.stage import LONG_AGO, Stage

NOW = datetime(2026, 4, 2, tzinfo=UTC)
PAYMENTS = 7


@pytest.fixture
def stage(engine: Engine) -> Stage:
    """Of seven payments the last credits the first; every payment earns ada ten percent, and her joining a bonus."""
    stage = Stage(engine)
    stage.product("Inbox", "prod_inbox")
    stage.partner("ada")
    inbox = {"field": "product.name", "op": "is_any_of", "value": ["Inbox"]}
    stage.trigger("ten", "10", rules=inbox)
    stage.trigger("bonus", event="partner_joined", action={"type": "flat", "amount": 500, "currency": "usd"})
    stage.play([stripe.customer("cus_1", customer_key="acme", partner_key="ada", at=LONG_AGO)])
    paid = [
        stripe.invoice_paid(
            f"in_{number}",
            customer="cus_1",
            subscription="sub_1",
            lines=[line("prod_inbox", 1000 if number < PAYMENTS - 1 else -400)],
            at=LONG_AGO + timedelta(days=number),
        )
        for number in range(PAYMENTS)
    ]
    stage.play(paid)
    return stage


def _check(stage: Stage, portion: int = 500, now: datetime = NOW) -> Checked:
    return check_all(stage.engine, lambda: now, portion=portion)


@pytest.mark.parametrize("portion", [1, 2, 3, 500])
def test_whole_books_hold_in_portions_of_any_size(stage: Stage, portion: int) -> None:
    """A credit in another portion than its charge breaks nothing, and everything is counted exactly once."""
    checked = _check(stage, portion)
    assert list(checked.breaches) == []
    assert (checked.transactions_count, checked.commissions_count) == (PAYMENTS, PAYMENTS + 1)
    assert [(checked.events_count,)] == stage.ask("select count(*) from inbox")


def test_how_far_it_is_is_told(stage: Stage) -> None:
    """Whoever shows a bar hears how many transactions are done, and of how many."""
    heard: list[tuple[int, int]] = []
    check_all(stage.engine, lambda: NOW, lambda done, total: heard.append((done, total)), portion=3)
    assert heard[:3] == [(3, 7), (6, 7), (7, 7)]


TAMPERED = {
    "update commissions set amount_minor = amount_minor + 1": "a_commission_is_the_sum_of_its_entries",
    "update commission_entries set balance_minor = balance_minor + 1": "balances_run",
    "update commissions set occasion_key = occasion_key || '_x'": "a_key_is_derived_from_its_cause",
    "delete from transaction_lines": "earned_on_what_was_paid",
    "update commissions set amount_minor = -amount_minor": "no_charge_costs_and_no_credit_earns",
    "update commissions set amount_minor = 10 where amount_minor = 100": "credits_never_exceed_their_charge",
    "update commissions set state = 'scheduled', due_at = '2026-01-01'": "nothing_scheduled_is_overdue",
    "update inbox set state = 'received', next_attempt_at = '2026-01-01'": "every_open_row_is_due_and_taken",
    "update inbox set state = 'dead', reason = null": "what_waits_or_failed_says_why",
    "update tallies set number = number + 1 where counted = 'events'": "tallies_are_what_counting_gives",
    "update tallies set amount_minor = amount_minor - 1 where currency = 'usd'": "tallies_are_what_counting_gives",
    "delete from tallies": "tallies_are_what_counting_gives",
}


@pytest.mark.parametrize("portion", [1, 500])
@pytest.mark.parametrize("statement", TAMPERED)
def test_books_that_somebody_tampered_with_do_not_hold(stage: Stage, statement: str, portion: int) -> None:
    """What the database's own guards would have kept from happening is found, named, and what it indicates is said."""
    stage.tamper(statement)
    found = _check(stage, portion, now=datetime(2100, 1, 1, tzinfo=UTC)).document()["breaches"]
    assert TAMPERED[statement] in {each["invariant"] for each in found}
    assert all(each["subject"] and each["message"] and each["indicates"].endswith(".") for each in found)


def test_what_was_changed_with_the_triggers_asleep_is_named_with_the_remedy(stage: Stage) -> None:
    """Rows and money that no trigger tallied are said by kind; the SQL of the runbook sets them right."""
    with stage.engine.begin() as connection:
        for table in ("commissions", "inbox"):
            connection.execute(text(f"alter table {table} disable trigger user"))
        connection.execute(text("delete from inbox where event_type = 'customer.created'"))
        connection.execute(text("update commissions set state = 'approved' where amount_minor = 500"))
        for table in ("commissions", "inbox"):
            connection.execute(text(f"alter table {table} enable trigger user"))
    found = {each.subject: each.message for each in _check(stage).breaches}
    assert set(found) == {"events processed", "commissions approved usd", "commissions pending usd"}
    assert found["events processed"].startswith(
        "13 rows are tallied, and counting gives 12; count anew by the SQL under"
    )
    page = (REPOSITORY / "docs" / "operations.md").read_text()
    (remedy,) = re.findall(r"## Backup and restore\n.*?```sql\n(.*?)```", page, flags=re.DOTALL)
    with stage.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in filter(str.strip, remedy.split(";")):
            connection.execute(text(statement))
    assert list(_check(stage).breaches) == []


def test_a_worker_leaves_what_is_too_much_to_count_to_a_person(stage: Stage) -> None:
    """Beyond so many bytes of rows the tallies are compared by `attribution check` alone."""
    stage.tamper("delete from tallies")
    last = Place(Room.INBOX)
    with stage.engine.connect() as connection:
        read = tallies.size(connection)
        assert read > 0
        assert read_portion(connection, last, recounted_max=read - 1).books.tallies == ()
        assert read_portion(connection, last, recounted_max=read) == read_portion(connection, last)
        assert len(read_portion(connection, last).books.tallies) == 2


def test_a_portion_is_of_one_moment(stage: Stage) -> None:
    """What is booked while a portion is being read is in none of its parts: half of it would look like a breach."""
    with consistent(stage.engine) as connection, unit_of_work(connection):
        before = read_portion(connection, Place())
        stage.trigger("ten", "20", rules={"field": "product.name", "op": "is_any_of", "value": ["Inbox"]})
        stage.play([stripe.invoice_paid("in_9", customer="cus_1", lines=[line("prod_inbox", 1000)])])
        assert read_portion(connection, Place()) == before


def test_more_breaches_than_are_kept_are_said_to_be_more(stage: Stage) -> None:
    """Memory stays bounded however much is wrong, and nobody takes the first few for all."""
    checked = Checked(breaches={Breach("balances_run", str(n), "wrong"): None for n in range(checks.BREACHES_MAX - 1)})
    stage.tamper("update commissions set amount_minor = amount_minor + 1")
    with stage.engine.connect() as connection:
        kept = checked.add(read_portion(connection, Place()), NOW)
    assert len(kept) == 1
    assert (len(checked.breaches), checked.more) == (checks.BREACHES_MAX, True)


# In slices, as the worker does.


def _steps(stage: Stage, now: datetime) -> Iterator[Step]:
    """Step after step, each on a connection of its own as if of another process, until none is due."""
    while True:
        with consistent(stage.engine) as connection, unit_of_work(connection):
            step = take_step(connection, now)
        if step is None:
            return
        yield step


def test_any_process_goes_on_where_another_stopped(stage: Stage) -> None:
    """Step by step the same is looked at as at once; the last step has the whole, and so has its row."""
    *earlier, last = _steps(stage, NOW)
    assert len(earlier) == 2
    assert all(step.finished is None for step in earlier)
    assert last.finished == _check(stage)
    row = "select finished_at, transactions_count, commissions_count, events_count, breaches, more_breaches from checks"
    whole = last.finished
    assert whole is not None
    counts = (whole.transactions_count, whole.commissions_count, whole.events_count)
    assert stage.ask(row) == [(NOW, *counts, [], False)]


def test_a_step_that_was_not_committed_is_taken_again(stage: Stage) -> None:
    """Killed in the middle of a step, a check neither loses nor counts anything twice."""
    with consistent(stage.engine) as connection:
        take_step(connection, NOW)
        connection.rollback()
    last = list(_steps(stage, NOW))[-1]
    assert last.finished == _check(stage)


def test_a_check_begins_when_the_last_is_old_enough(stage: Stage) -> None:
    """Once an hour; a breach is told once per check, and rows of very old checks are cleared away."""
    assert len(list(_steps(stage, NOW))) == 3
    stage.tamper("update commissions set amount_minor = amount_minor + 1 where amount_minor = -40")
    assert list(_steps(stage, NOW + CHECK_EVERY - timedelta(seconds=1))) == []
    later = list(_steps(stage, NOW + CHECK_EVERY))
    assert [breach.invariant for step in later for breach in step.found] == ["a_commission_is_the_sum_of_its_entries"]
    finished = later[-1].finished
    assert finished is not None
    assert len(finished.breaches) == 1
    list(_steps(stage, NOW + CHECK_EVERY + KEPT_FOR + timedelta(seconds=1)))
    assert stage.ask("select count(*) from checks") == [(1,)]
