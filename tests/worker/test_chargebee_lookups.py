"""What the worker asks Chargebee: whether it sent an event at all, and the lines an event left out."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine
from structlog.testing import capture_logs

from infra.settings import load_settings
from tests import chargebee_events as chargebee
from tests.chargebee_events import NOON, Event
from tests.fake_chargebee import fake_chargebee
from tests.fake_stripe import FakeStripe, Trouble
from tests.stage import Stage

SECRET = "0123456789ab"


@pytest.fixture
def fake() -> Iterator[FakeStripe]:
    """A Chargebee of our own, on loopback."""
    with fake_chargebee() as running:
        running.lists["events"] = []
        yield running


def stage_of(engine: Engine, fake: FakeStripe, **settings: str) -> Stage:
    """A program that may ask the fake."""
    known = {
        "CHARGEBEE_SITE": "acme",
        "CHARGEBEE_API_KEY": "test_key",
        "CHARGEBEE_API_BASE": fake.api_base,
        "CHARGEBEE_REQUESTS_PER_S": "100",
    }
    stage = Stage(engine, load_settings(known | settings, env_file=None))
    stage.product("Inbox", "inbox-USD")
    stage.partner("ada")
    stage.trigger("ten", "10")
    return stage


def payments(count: int) -> list[Event]:
    """Invoices of 10.00 that customers of ada's paid."""
    found = []
    for number in range(count):
        at = NOON + timedelta(minutes=number)
        person = chargebee.customer(f"c{number}", meta_data={"partner_key": "ada"})
        invoice = chargebee.invoice(f"{number}", f"c{number}", [chargebee.line("inbox-USD", 1000)], at=at)
        found.append(chargebee.event("payment_succeeded", at, f"ev_{number}", customer=person, invoice=invoice))
    return found


def states(stage: Stage) -> dict[str, int]:
    """How many events are in which state."""
    return dict(stage.ask("select state, count(*) from inbox where provider = 'chargebee' group by 1"))


def test_what_chargebee_never_sent_is_dead_and_an_alarm(engine: Engine, fake: FakeStripe) -> None:
    """Somebody who learnt the password delivers made-up events: none counts, each is an alarm, and true ones count."""
    stage, events = stage_of(engine, fake), payments(5)
    fake.lists["events"] = [*events[:2], {**events[2], "event_type": "customer_changed"}]
    with capture_logs() as logged:
        stage.store(events, delivered_with=SECRET)
        stage.drainer.sweep()
    assert states(stage) == {"processed": 2, "dead": 3}
    assert [row[1] for row in stage.commissions()] == ["chargebee:0", "chargebee:1"]
    alarms = [line for line in logged if line["event"] == "delivery.forged"]
    assert sorted(line["event_key"] for line in alarms) == ["ev_2", "ev_3", "ev_4"]
    [reason] = {row[0] for row in stage.ask("select reason from inbox where state = 'dead' and provider = 'chargebee'")}
    assert "CHARGEBEE_WEBHOOK_USERS" in reason


def test_an_event_that_is_not_listed_yet_is_asked_for_by_itself(engine: Engine, fake: FakeStripe) -> None:
    """Lists lag behind: only what Chargebee does not know by its id either is forged."""
    stage, [event] = stage_of(engine, fake), payments(1)
    fake.lists["events"] = [event]
    fake.troubles = [Trouble(200, body=b'{"list": []}')]
    stage.store([event], delivered_with=SECRET)
    stage.drainer.sweep()
    assert states(stage) == {"processed": 1}
    assert [request.path for request in fake.requests] == ["/api/v2/events", "/api/v2/events/ev_0"]


@pytest.mark.parametrize("trouble", [Trouble(500), Trouble(401), Trouble(429), Trouble(400), Trouble(200, body=b"{}")])
def test_while_chargebee_does_not_answer_its_events_wait(engine: Engine, fake: FakeStripe, trouble: Trouble) -> None:
    """Nothing is dead and nothing counts; once it answers everything does, and no attempt was used up."""
    stage, [event] = stage_of(engine, fake), payments(1)
    fake.lists["events"], fake.troubles = [event], [trouble]
    stage.store([event], delivered_with=SECRET)
    stage.drainer.sweep()
    assert stage.ask("select state, attempts, next_attempt_at > now() from inbox where provider = 'chargebee'") == [
        ("received", 0, True)
    ]
    stage.replay()
    assert states(stage) == {"processed": 1}


@pytest.mark.parametrize("confirm", ["true", "false"])
def test_only_what_came_by_webhook_is_looked_up(engine: Engine, fake: FakeStripe, confirm: str) -> None:
    """What was fetched from Chargebee is not asked for again, and a setting lets the password suffice."""
    stage, events = stage_of(engine, fake, CHARGEBEE_CONFIRM_EVENTS=confirm), payments(3)
    stage.store(events, delivered_with=SECRET if confirm == "false" else None)
    stage.drainer.sweep()
    assert states(stage) == {"processed": 3}
    assert fake.requests == []


def test_a_hundred_events_are_looked_up_at_once(engine: Engine, fake: FakeStripe) -> None:
    """A batch costs a request or two."""
    stage, events = stage_of(engine, fake), payments(120)
    fake.lists["events"] = list(events)
    stage.store(events, delivered_with=SECRET)
    stage.drainer.sweep()
    assert states(stage) == {"processed": 120}
    assert len(fake.requests) == 2


def long_invoice() -> tuple[Event, dict[str, Any]]:
    """An event with the first of 150 lines, and the whole invoice."""
    lines = [chargebee.line("inbox-USD", 100, key=f"li_{number}") for number in range(150)]
    whole = chargebee.invoice("long", "c0", lines)
    person = chargebee.customer("c0", meta_data={"partner_key": "ada"})
    shown = {**whole, "line_items": lines[:1], "line_items_next_offset": '["1","2"]'}
    return chargebee.event("invoice_updated", NOON, customer=person, invoice=shown), whole


def test_missing_lines_are_fetched(engine: Engine, fake: FakeStripe) -> None:
    """An invoice whose event carries its first lines only is judged with all of them."""
    stage, (event, whole) = stage_of(engine, fake), long_invoice()
    fake.lists["invoices"] = [whole]
    stage.play([event])
    assert [row[4] for row in stage.commissions()] == [1500]


def test_without_a_key_an_event_with_missing_lines_waits_and_says_so(engine: Engine, fake: FakeStripe) -> None:
    """The event is kept, visible, with what to set."""
    stage, (event, _) = Stage(engine), long_invoice()
    stage.play([event])
    [(state, reason)] = stage.ask("select state, reason from inbox where provider = 'chargebee'")
    assert (state, stage.commissions(), fake.requests) == ("waiting", [], [])
    assert "CHARGEBEE_SITE and CHARGEBEE_API_KEY" in reason
