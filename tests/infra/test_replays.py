"""What a person does about events: replay and ignore, how each is bounded, and a dry run that leaves no trace."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, text

from domain.errors import Conflict, Missing, Rejected, TryLater
from infra import replays
from infra.audit import record_change
from infra.dry_runs import dry_run, merged
from infra.inbox import InboxState, claim
from infra.locks import lock_customers
from infra.providers.stripe import example_events as stripe
from infra.providers.stripe.example_events import line
from infra.replays import Changed, Which, dead_groups, ignore, matching, replay
from infra.unit_of_work import unit_of_work_on
from tests.stage import Stage

FAR = datetime(2999, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 5, 1, tzinfo=UTC)
EVENTS = (
    "select state, attempts, reason, fingerprint, finished_at is null, outcome from inbox where provider = 'stripe'"
)


@pytest.fixture
def stage(engine: Engine) -> Stage:
    """ada earned 9.90 USD on in_1; a second payment of the same kind could not be read when it came."""
    stage = Stage(engine)
    stage.product("Inbox", "prod_inbox")
    stage.partner("ada")
    stage.trigger("ten", "10")
    stage.play([stripe.customer("cus_1", customer_key="acme", partner_key="ada"), _paid("in_1")])
    stage.store([_paid("in_2")])
    _bury(stage, "in_2", "Stripe says no")
    return stage


def _paid(key: str, amount: int = 9900) -> dict[str, Any]:
    return stripe.invoice_paid(
        key, event_key=f"evt_{key}", customer="cus_1", subscription="sub_1", lines=[line("prod_inbox", amount)]
    )


def _bury(stage: Stage, invoice: str, reason: str) -> None:
    stage.bury(f"evt_{invoice}", reason=reason, fingerprint=f"stripe invoice.paid {reason}", attempts=3)


def _id(stage: Stage, invoice: str) -> int:
    return int(stage.ask("select id from inbox where event_key = :key", key=f"evt_{invoice}")[0][0])


def _replay(stage: Stage, which: Which, **options: Any) -> Changed:
    with unit_of_work_on(stage.engine) as connection:
        return replay(connection, which, FAR, _audit(connection), **options)


def _ignore(stage: Stage, which: Which, reason: str = "a test", **options: Any) -> Changed:
    with unit_of_work_on(stage.engine) as connection:
        return ignore(connection, which, reason, FAR, _audit(connection), **options)


def _audit(connection: Any) -> replays.Audit:
    def write(action: str, subject: str, details: Any) -> None:
        record_change(connection, actor="operator", action=action, subject=subject, details=details)

    return write


def _dry_run(stage: Stage, which: Which, after: int = 0) -> dict[str, Any]:
    with unit_of_work_on(stage.engine) as connection:
        return dry_run(connection, which, stage.settings, NOW, after=after)


# Replay.


def test_a_dead_letter_is_replayed_as_if_it_had_just_come(stage: Stage) -> None:
    """Due at once with nothing of its first life left, worked on, and what it caused is booked."""
    assert _replay(stage, Which(id=_id(stage, "in_2"))).count == 1
    again = stage.ask(EVENTS + " and event_key = 'evt_in_2'")
    assert again == [("received", 0, None, None, True, None)]
    stage.drainer.run()
    assert [row[1] for row in stage.commissions()] == ["stripe:in_1", "stripe:in_2"]


def test_replaying_what_was_processed_books_nothing_and_forgets_nothing(stage: Stage) -> None:
    """The books stay as they are to the last entry, and the event still says what it caused."""
    before = stage.ask("select * from commission_entries"), stage.ask(EVENTS + " and event_key = 'evt_in_1'")
    assert before[1][0][5]["commissions"]
    assert _replay(stage, Which(state=InboxState.PROCESSED, provider="stripe")).count == 2
    stage.drainer.run()
    assert (stage.ask("select * from commission_entries"), stage.ask(EVENTS + " and event_key = 'evt_in_1'")) == before


def test_what_caused_nothing_may_be_replayed_again_and_again(stage: Stage) -> None:
    """A change of the program that moved no money says so each time, the third time as the first."""
    said = stage.ask("select state, outcome from inbox where provider = 'program' order by id")
    assert {"commissions": []} in [outcome for _, outcome in said]
    for _ in range(3):
        _replay(stage, Which(state=InboxState.PROCESSED, provider="program"))
        stage.drainer.run()
        assert stage.ask("select state, outcome from inbox where provider = 'program' order by id") == said


@pytest.mark.parametrize(
    ("which", "found"),
    [
        ({"fingerprint": "stripe invoice.paid Stripe says no"}, {"evt_in_2"}),
        ({"state": InboxState.DEAD}, {"evt_in_2"}),
        ({"event_type": "invoice.paid"}, {"evt_in_1", "evt_in_2"}),
        ({"event_type": "invoice.paid", "state": InboxState.PROCESSED}, {"evt_in_1"}),
        ({"provider": "stripe", "since": FAR}, set()),
        ({"provider": "stripe", "event_type": "invoice.paid", "until": FAR}, {"evt_in_1", "evt_in_2"}),
        ({"fingerprint": "a\0b"}, set()),
        ({"provider": "chargebee"}, set()),
    ],
)
def test_a_filter_means_what_fits_all_of_it(stage: Stage, which: dict[str, Any], found: set[str]) -> None:
    """Group, provider, type, state and time window, alone or together; nothing else comes due."""
    with stage.engine.connect() as connection:
        assert matching(connection, Which(**which)) == len(found)
    assert _replay(stage, Which(**which)).count == len(found)
    due = stage.ask("select event_key from inbox where state = 'received' and event_key like 'evt_in%'")
    assert {row[0] for row in due} == found


def test_a_filter_that_says_nothing_means_nothing() -> None:
    """Everything is replayed by saying so, never by forgetting to say anything."""
    with pytest.raises(Rejected, match="names no events"):
        Which()


def test_what_a_worker_has_at_hand_is_left_to_it(stage: Stage) -> None:
    """A single one is to be asked for again later; a filter passes it over."""
    stage.store([_paid("in_3")])
    with stage.engine.connect() as worker:
        with worker.begin():
            (envelope,) = claim(worker, 10)
        for act in (_replay, _ignore):
            with pytest.raises(TryLater, match="at hand"):
                act(stage, Which(id=envelope.id))
            assert act(stage, Which(event_type="invoice.paid", state=InboxState.RECEIVED)).count == 0
    with pytest.raises(Missing):
        _replay(stage, Which(id=999_999))


def test_what_a_transaction_holds_is_not_said_to_be_due(stage: Stage) -> None:
    """A single event whose row somebody is changing at that moment is to be asked for again, not claimed done."""
    stage.store([_paid("in_3")])
    ((number,),) = stage.ask("select id from inbox where event_key = 'evt_in_3'")
    with stage.engine.begin() as worker:
        worker.execute(text("select from inbox where id = :id for update"), {"id": number})
        for act in (_replay, _ignore):
            with pytest.raises(TryLater, match="at hand"):
                act(stage, Which(id=number))


def test_replays_have_a_lane_of_their_own(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few come due each second, a second replay behind the first, so that what arrives meanwhile is soon its turn."""
    monkeypatch.setattr(replays, "DUE_PER_S", 2)
    stage.play([_paid(f"in_{number}") for number in range(10, 15)])
    window = "select round(extract(epoch from next_attempt_at - now())) from inbox where state = 'received' order by id"
    assert _replay(stage, Which(event_type="invoice.paid", state=InboxState.PROCESSED)).count == 6
    assert [int(row[0]) for row in stage.ask(window)] == [0, 0, 1, 1, 2, 2]
    assert _replay(stage, Which(event_type="customer.created")).count == 1
    assert sorted(int(row[0]) for row in stage.ask(window)) == [0, 0, 1, 1, 2, 2, 3]


def test_a_long_replay_goes_on_portion_by_portion(stage: Stage) -> None:
    """Each portion is a transaction of its own and names where the next begins; none is replayed twice."""
    stage.play([_paid(f"in_{number}") for number in range(10, 14)])
    which = Which(event_type="invoice.paid")
    counts, after = [], 0
    while True:
        changed = _replay(stage, which, after=after, count=2)
        counts.append(changed.count)
        if changed.after is None:
            break
        after = changed.after
    assert counts == [2, 2, 2, 0]


# Ignore.


@pytest.mark.parametrize("state", ["received", "waiting", "dead"])
def test_ignoring_puts_an_open_event_aside(stage: Stage, state: str) -> None:
    """Whatever kept it open, it is finished now, and says why; a replay takes it back."""
    due = "null" if state == "dead" else "now() + interval '1 hour'"
    with stage.engine.begin() as connection:
        connection.execute(
            text(f"update inbox set state = '{state}', next_attempt_at = {due} where event_key = 'evt_in_2'")
        )
    assert _ignore(stage, Which(id=_id(stage, "in_2")), "  a test invoice ").count == 1
    told = "select state, reason, next_attempt_at, finished_at is not null from inbox where event_key = 'evt_in_2'"
    assert stage.ask(told) == [("ignored", "a test invoice", None, True)]
    assert _replay(stage, Which(id=_id(stage, "in_2"))).count == 1


@pytest.mark.parametrize("reason", ["", "  ", "x" * 501, "a\0b"])
def test_ignoring_needs_a_reason(stage: Stage, reason: str) -> None:
    """One that says something, and that can be kept."""
    with pytest.raises(Rejected, match="say why"):
        _ignore(stage, Which(id=_id(stage, "in_2")), reason)


def test_what_is_finished_is_not_ignored(stage: Stage) -> None:
    """Its effects are booked: a single one is refused by name, a filter leaves it alone."""
    with pytest.raises(Conflict, match="is processed; what is received, waiting or dead"):
        _ignore(stage, Which(id=_id(stage, "in_1")))
    assert _ignore(stage, Which(event_type="invoice.paid")).count == 1
    assert stage.ask("select state from inbox where event_key = 'evt_in_1'") == [("processed",)]


def test_everything_is_audited(stage: Stage) -> None:
    """Who did what to which events, how many, and why; what changed nothing is no entry."""
    _replay(stage, Which(fingerprint="nothing"))
    _replay(stage, Which(event_type="invoice.paid", state=InboxState.DEAD))
    _ignore(stage, Which(id=_id(stage, "in_2")), "not ours")
    number = _id(stage, "in_2")
    assert stage.ask("select actor, action, subject, details from audit_log order by id") == [
        ("operator", "events.replayed", "inbox", {"event_type": "invoice.paid", "state": "dead", "count": 1}),
        ("operator", "events.ignored", f"inbox:{number}", {"id": number, "count": 1, "reason": "not ours"}),
    ]


# Dead letters.


def test_dead_letters_are_grouped_by_what_killed_them(stage: Stage) -> None:
    """Per provider, type and error: how many, since when, the latest as an example, and its reason."""
    stage.store([_paid("in_3"), _paid("in_4")])
    _bury(stage, "in_3", "Stripe says no")
    _bury(stage, "in_4", "another")
    with stage.engine.connect() as connection:
        found = {group["fingerprint"]: group for group in dead_groups(connection)}
        assert dead_groups(connection, provider="chargebee") == []
    group = found["stripe invoice.paid Stripe says no"]
    assert (group["count"], group["example_id"], group["type"]) == (2, _id(stage, "in_3"), "invoice.paid")
    assert group["first_seen_at"] <= group["last_seen_at"]
    assert group["reason"] == "Stripe says no"
    assert found["stripe invoice.paid another"]["count"] == 1


def test_a_dead_letter_without_a_group_is_in_one_all_the_same(stage: Stage) -> None:
    """Somebody who buried it by hand named no group: it is listed, and replayed by what it is listed as."""
    stage.tamper("update inbox set fingerprint = null where state = 'dead'")
    with stage.engine.connect() as connection:
        (group,) = dead_groups(connection)
    assert group["fingerprint"] == "stripe invoice.paid"
    assert _replay(stage, Which(fingerprint=group["fingerprint"])).count == 1


# Dry run.


def test_a_dry_run_says_what_a_replay_would_change(stage: Stage) -> None:
    """Which transactions, products and commissions, from what to what, and by how much in all."""
    found = _dry_run(stage, Which(state=InboxState.DEAD))
    assert (found["matching"], found["tried"], found["busy"], found["more"]) == (1, 1, 0, False)
    assert [(each["event_key"], each["state"]) for each in found["events"]] == [("evt_in_2", "processed")]
    (commission,) = found["commissions"]
    assert commission["before"] is None
    assert commission["after"]["amount"] == 990
    assert (commission["partner_key"], commission["transaction_key"]) == ("ada", "stripe:in_2")
    (transaction,) = found["transactions"]
    assert transaction["after"] == {"amount": 9900, "amount_reversed": 0, "lines": 1}
    assert found["totals"] == [{"partner_key": "ada", "currency": "usd", "amount": 990}]
    assert _replay(stage, Which(state=InboxState.DEAD)).count == 1
    stage.drainer.run()
    told = stage.ask("select amount_minor from commissions where key = :key", key=commission["key"])
    assert told == [(990,)]


def test_a_dry_run_leaves_no_trace(stage: Stage) -> None:
    """Every table is as before, a worker's locks are free again, and nothing is audited."""
    tables = ("inbox", "commissions", "commission_entries", "transactions", "products", "audit_log", "standings")
    before = {table: stage.ask(f"select * from {table} order by 1, 2") for table in tables}
    _dry_run(stage, Which(provider="stripe"))
    assert {table: stage.ask(f"select * from {table} order by 1, 2") for table in tables} == before
    with stage.engine.connect() as connection:
        assert lock_customers(connection, {"stripe:customer:cus_1"})


def test_a_dry_run_of_what_is_done_changes_nothing(stage: Stage) -> None:
    """Replaying processed events is harmless, and the dry run is able to say so."""
    found = _dry_run(stage, Which(state=InboxState.PROCESSED, provider="stripe"))
    assert found["tried"] == 2
    assert found["commissions"] == found["products"] == found["transactions"] == found["totals"] == []


def test_a_dry_run_shows_what_would_fail_again(stage: Stage) -> None:
    """One that cannot be read is dead again, with its reason, and keeps no other from being tried."""
    stage.store([stripe.invoice_paid("in_5", event_key="evt_in_5", customer="cus_1", lines=[line("prod_inbox", 500)])])
    with stage.engine.begin() as connection:
        connection.execute(
            text("update inbox set body = '\\x00', body_bytes = 1, body_codec = 0 where event_key = 'evt_in_5'")
        )
    found = _dry_run(stage, Which(event_type="invoice.paid"))
    assert {each["event_key"]: each["state"] for each in found["events"]} == {
        "evt_in_1": "processed",
        "evt_in_2": "processed",
        "evt_in_5": "dead",
    }
    assert next(each["reason"] for each in found["events"] if each["state"] == "dead")
    assert len(found["commissions"]) == 1


def test_a_dry_run_does_not_wait_for_a_busy_customer(stage: Stage) -> None:
    """Where a worker has the customer, the event is said to be busy, at once."""
    with stage.engine.connect() as worker, worker.begin():
        assert lock_customers(worker, {"stripe:customer:cus_1"})
        found = _dry_run(stage, Which(state=InboxState.DEAD))
    assert (found["tried"], found["busy"]) == (0, 1)
    assert [each["state"] for each in found["events"]] == ["busy"]


def test_a_dry_run_is_bounded(stage: Stage) -> None:
    """It counts all that are meant, tries two hundred, and says where to go on; the portions add up."""
    stage.store([_paid(f"in_{number}", 100 + number) for number in range(100, 310)])
    found = _dry_run(stage, Which(event_type="invoice.paid", state=InboxState.RECEIVED))
    assert (found["matching"], found["tried"]) == (210, 200)
    assert len(found["commissions"]) == 200
    rest = _dry_run(stage, Which(event_type="invoice.paid", state=InboxState.RECEIVED), after=found["after"])
    assert (rest["tried"], rest["after"], rest["more"]) == (10, None, False)
    whole = merged(found, rest)
    assert (whole["tried"], len(whole["commissions"]), whole["after"], whole["more"]) == (210, 210, None, False)
    amount = found["totals"][0]["amount"] + rest["totals"][0]["amount"]
    assert whole["totals"] == [{"partner_key": "ada", "currency": "usd", "amount": amount}]
