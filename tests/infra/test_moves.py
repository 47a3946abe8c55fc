"""What moves a commission besides facts: the calendar and people, on PostgreSQL."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from domain.commissions import CommissionState
from domain.errors import Rejected, TryLater
from infra.ledger.moves import lock_name, move_commission, release
from infra.locks import lock_customers
from infra.program import ProgramReader
from infra.rows import fetch
from tests.builders import item, line, stripe_events
from tests.stage import Stage

PAID_AT = datetime(2026, 3, 31, 12, tzinfo=UTC)
DRIP = {"cycle": {"months": 1}, "occurrences": 3}


@pytest.fixture
def stage(engine: Engine) -> Stage:
    """A payment of 30.00 USD that earns ada 3.00 at once, and 3.00 over three months."""
    stage = Stage(engine)
    stage.product("Inbox", "prod_inbox")
    stage.partner("ada")
    stage.trigger("once", "10")
    stage.trigger("slowly", action={"type": "percent", "percent": "10", "drip": DRIP})
    stage.play(
        [
            stripe_events.customer("cus_1", customer_key="acme", partner_key="ada", at=PAID_AT),
            stripe_events.subscription("sub_1", customer="cus_1", items=[item("prod_inbox", amount=3000)], at=PAID_AT),
            stripe_events.invoice_paid(
                "in_1", customer="cus_1", subscription="sub_1", lines=[line("prod_inbox", 3000)], paid_at=PAID_AT
            ),
        ]
    )
    return stage


def states(stage: Stage) -> list[tuple[str, int, str, int]]:
    """(trigger, instalment, state, minor units)."""
    query = "select trigger_key, instalment, state, amount_minor from commissions where amount_minor <> 0 order by 1, 2"
    return [(trigger, number, state, minor) for trigger, number, state, minor in stage.ask(query)]


def released(stage: Stage, now: datetime, hold_days: int | None = None) -> int:
    """Release what is due at a moment."""
    with stage.engine.begin() as connection:
        return release(connection, now, hold_days)


def moved(stage: Stage, trigger: str, to: CommissionState, reason: str | None = None) -> None:
    """A person moves the first commission of a trigger."""
    with stage.engine.begin() as connection:
        rows = fetch(connection, "select key from commissions where trigger_key = :t order by instalment", t=trigger)
        move_commission(connection, ProgramReader(stage.settings), rows[0].key, to, reason, "person:pm")


def test_instalments_wait_for_their_day(stage: Stage) -> None:
    """Each becomes pending on its due date, month ends clamped, and not a second earlier."""
    assert [row[2] for row in states(stage)] == ["pending", "scheduled", "scheduled", "scheduled"]
    assert released(stage, PAID_AT) == 1
    april = datetime(2026, 4, 30, 12, tzinfo=UTC)
    assert released(stage, april - timedelta(seconds=1)) == 0
    assert released(stage, april) == 1
    assert states(stage) == [
        ("once", 0, "pending", 300),
        ("slowly", 1, "pending", 100),
        ("slowly", 2, "pending", 100),
        ("slowly", 3, "scheduled", 100),
    ]
    assert released(stage, april) == 0


def test_the_hold_period_ends_in_approval_only_where_it_is_set(stage: Stage) -> None:
    """Without HOLD_DAYS a person approves; with it, so many days after the money was earned or fell due."""
    assert released(stage, PAID_AT + timedelta(days=14)) == 1
    assert {row[2] for row in states(stage)} == {"pending", "scheduled"}
    assert released(stage, PAID_AT + timedelta(days=13), hold_days=14) == 0
    assert released(stage, PAID_AT + timedelta(days=14), hold_days=14) == 2
    assert [row[2] for row in states(stage)] == ["approved", "approved", "scheduled", "scheduled"]


def test_what_somebody_works_on_is_released_later(stage: Stage) -> None:
    """While a worker has the customer, the calendar waits."""
    with stage.engine.begin() as connection:
        row = fetch(connection, "select * from commissions limit 1")[0]
        assert lock_customers(connection, {lock_name(row)})
        assert released(stage, PAID_AT) == 0
        with pytest.raises(TryLater):
            moved(stage, "once", CommissionState.APPROVED)
    assert released(stage, PAID_AT) == 1


def test_only_legal_moves_are_made(stage: Stage) -> None:
    """What is paid stays paid; an unknown key is said to be one."""
    moved(stage, "once", CommissionState.APPROVED)
    moved(stage, "once", CommissionState.PAID)
    with pytest.raises(Rejected, match="nothing moves it"):
        moved(stage, "once", CommissionState.PENDING)
    with stage.engine.begin() as connection, pytest.raises(Rejected, match="no commission is called"):
        move_commission(connection, ProgramReader(stage.settings), "cmsn_x", CommissionState.HOLD, None, "person:pm")


def test_what_was_declined_is_not_taken_back_from_another_customer_s_credit(stage: Stage) -> None:
    """The subscription is billed to somebody else by now, who is credited for what was charged before."""
    credit = stripe_events.invoice_paid(
        "in_2",
        customer="cus_2",
        subscription="sub_1",
        lines=[line("prod_inbox", -1500)],
        paid_at=PAID_AT + timedelta(days=3),
    )
    stage.play([credit])
    assert [row for row in states(stage) if row[0] == "once"] == [
        ("once", 0, "pending", 300),
        ("once", 0, "pending", -150),
    ]
    moved(stage, "once", CommissionState.DECLINED, "bought by an employee")
    assert [row for row in states(stage) if row[0] == "once"] == [("once", 0, "declined", 300)]


def test_what_was_declined_is_not_taken_back(stage: Stage) -> None:
    """Declining needs a reason, and a credit that took the commission back gives that up again."""
    credit = stripe_events.invoice_paid(
        "in_2",
        customer="cus_1",
        subscription="sub_1",
        lines=[line("prod_inbox", -1500)],
        paid_at=PAID_AT + timedelta(days=3),
    )
    stage.trigger("line", "20", rules={"field": "product.name", "op": "is_any_of", "value": ["Inbox"]})
    stage.drainer.sweep()
    stage.play([credit])
    assert sorted(row[3] for row in states(stage) if row[0] == "line") == [-300, 600]
    with pytest.raises(Rejected, match="with a reason"):
        moved(stage, "line", CommissionState.DECLINED)
    with stage.engine.begin() as connection:
        key = fetch(connection, "select key from commissions where trigger_key = 'line' and amount_minor > 0")[0].key
        reader = ProgramReader(stage.settings)
        move_commission(connection, reader, key, CommissionState.DECLINED, "bought by an employee", "person:pm")
    assert stage.ask("select state, amount_minor, decline_reason from commissions where trigger_key = 'line' "
                     "order by amount_minor desc") == [("declined", 600, "bought by an employee"),
                                                       ("reversed", 0, None)]  # fmt: skip
