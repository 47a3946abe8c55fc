"""Tallies: what is shown of history at a glance is what counting it would give, at a cost that does not grow."""

import json
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Connection, Engine, text

from domain.commissions import CommissionState
from infra.audit import record_change
from infra.clock import system_clock
from infra.database import migrations_config
from infra.dry_runs import dry_run
from infra.inbox import COUNTS, counts
from infra.ledger.moves import move_commission
from infra.program import ProgramReader
from infra.replays import Which, ignore, replay
from infra.shown.rewards import totals
from infra.tallies import commission_totals, fold
from infra.unit_of_work import unit_of_work_on
from tests import stripe_examples
from tests.builders import line, stripe_events
from tests.stage import Stage

_HISTORY = """
    insert into inbox (provider, event_key, event_type, occurred_at, body_codec, body_bytes, state, next_attempt_at,
        finished_at)
    select 'stripe', 'evt_old_' || :count || '_' || n, 'invoice.paid', now(), 0, 0, :state, null, now()
    from generate_series(1, :count) n
"""
_EVENTS = "select state, count(*) from inbox group by state"
_COMMISSIONS = """
    select state, currency, count(*), sum(amount_minor) from commissions where amount_minor <> 0
    group by state, currency order by 1, 2
"""


@pytest.fixture
def stage(engine: Engine) -> Stage:
    """ada earns ten percent of everything."""
    stage = Stage(engine)
    stage.partner("ada")
    stage.trigger("ten", "10")
    stage.play([stripe_events.customer("cus_1", customer_key="acme", partner_key="ada")])
    return stage


def _paid(key: str, amount: int = 9900) -> stripe_events.Event:
    return stripe_events.invoice_paid(key, event_key=f"evt_{key}", customer="cus_1", lines=[line("prod_inbox", amount)])


def assert_right(stage: Stage) -> None:
    """The tallies say what counting says."""
    with unit_of_work_on(stage.engine) as connection:
        shown, earned = counts(connection), commission_totals(connection)
    states = ("received", "waiting", "processed", "ignored", "dead")
    assert {state: shown[state] for state in states} == dict.fromkeys(states, 0) | dict(stage.ask(_EVENTS))
    assert [tuple(row) for row in earned] == [(*row[:3], int(row[3])) for row in stage.ask(_COMMISSIONS)]


def _audit(connection: Connection) -> Any:
    return lambda action, subject, details: record_change(
        connection, actor="operator", action=action, subject=subject, details=details
    )


def test_whatever_happens_the_tallies_are_what_counting_gives(stage: Stage) -> None:
    """Received, processed, ignored, waiting, dead, replayed, put aside, deleted; every move of money."""
    events = [_paid(f"in_{number}", 1000 * number) for number in range(1, 6)]
    unused = [stripe_examples.event("radar.early_fraud_warning.created", {"id": f"issfr_{n}"}) for n in range(3)]
    stage.store([*events, *unused])
    assert_right(stage)
    stage.drainer.sweep()
    assert_right(stage)
    stage.play([stripe_examples.charge_refunded("ch_1", 1000, 1000, payment_intent="pi_1", invoice="in_1")])
    stage.play([stripe_examples.charge_refunded("ch_2", 1000, 500, payment_intent="pi_2", invoice="in_none")])
    assert_right(stage)
    stage.store([_paid("in_6"), _paid("in_7")])
    stage.bury("evt_in_6", "evt_in_7", reason="broken", fingerprint="f")
    assert_right(stage)
    with unit_of_work_on(stage.engine) as connection:
        ignore(connection, Which(fingerprint="f"), "a test", system_clock(), _audit(connection))
    assert_right(stage)
    with unit_of_work_on(stage.engine) as connection:
        replay(connection, Which(provider="stripe"), system_clock(), _audit(connection))
    assert_right(stage)
    stage.replay()
    assert_right(stage)
    reader = ProgramReader(stage.settings)
    for key, state in stage.ask("select key, state from commissions where amount_minor > 0 order by key limit 2"):
        assert state == "pending"
        with unit_of_work_on(stage.engine) as connection:
            move_commission(connection, reader, key, CommissionState.APPROVED, None, "operator")
    assert_right(stage)
    with stage.engine.begin() as connection:
        connection.execute(text("delete from inbox where event_key = 'evt_in_7'"))
        connection.execute(text(_HISTORY), {"count": 3, "state": "processed"})
    assert_right(stage)
    assert {each["state"] for each in _totals(stage)} == {"pending", "approved"}


def _totals(stage: Stage) -> list[dict[str, Any]]:
    with unit_of_work_on(stage.engine) as connection:
        return totals(connection)


def test_what_is_rolled_back_is_not_tallied(stage: Stage) -> None:
    """A dry run does the work and takes it back, its tallies included; so does a transaction that fails."""
    stage.play([_paid("in_1")])
    with unit_of_work_on(stage.engine) as connection:
        dry_run(connection, Which(provider="stripe"), stage.settings, system_clock())
    assert_right(stage)


def test_folding_changes_no_sum_however_many_do_it(stage: Stage) -> None:
    """Rows become one per kind; with two at it at once, and a writer between them, every sum stays right."""
    for number in range(5):
        stage.play([_paid(f"in_{number}")])
    with stage.engine.connect() as one, stage.engine.connect() as another:
        with one.begin():
            left = fold(one)
            with another.begin():
                another.execute(text("set local lock_timeout = '20ms'"))
                stage.play([_paid("in_between")])
                assert_right(stage)
        with another.begin():
            assert fold(another) == left == 2
    assert_right(stage)
    assert stage.ask("select count(*) from tallies") == [(2,)]


def test_what_was_there_before_is_tallied_by_the_migration(stage: Stage) -> None:
    """Taken back and run again over books, once and once more after an interruption, the tallies are right."""
    stage.play([_paid("in_1"), _paid("in_2")])
    config = migrations_config()
    with stage.engine.connect() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0014")
    stage.play([_paid("in_3")])
    with stage.engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    assert_right(stage)
    with stage.engine.connect() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0015")
        command.stamp(config, "0014")  # as after an interruption: all was done, and is not noted
        command.upgrade(config, "head")
    assert_right(stage)
    stage.play([_paid("in_4")])
    assert_right(stage)


def _pages_read(stage: Stage) -> int:
    """Pages that the statement of `counts` touches."""
    ((found,),) = stage.ask(f"explain (analyze, buffers, format json) {COUNTS}")
    plan = (found if isinstance(found, list) else json.loads(found))[0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


def test_a_long_history_costs_no_more_to_show(stage: Stage) -> None:
    """With twenty thousand events behind it, the inbox's numbers are read from as many pages as with two hundred."""
    pages = []
    for count in (200, 20_000):
        with stage.engine.begin() as connection:
            connection.execute(text(_HISTORY), {"count": count, "state": "dead"})
            connection.execute(text("update inbox set state = 'processed' where state = 'dead'"))
            fold(connection)
        with stage.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("vacuum analyze inbox"))
        assert_right(stage)
        pages.append(_pages_read(stage))
    assert pages[1] <= pages[0] + 5
