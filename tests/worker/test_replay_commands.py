"""`attribution events show|replay|ignore` and `dead list|replay|ignore`: what they do, say, and refuse."""

import pytest
from sqlalchemy import Engine

from tests.builders import line, stripe_events
from tests.stage import Stage
from tests.worker.command_line import Attribution

FINGERPRINT = "stripe invoice.paid [red]broken"


@pytest.fixture
def stage(engine: Engine) -> Stage:
    """ada earned 19.80 USD on in_1; in_2 died when it came."""
    stage = Stage(engine)
    stage.product("Inbox", "prod_inbox")
    stage.partner("ada")
    stage.trigger("trg_inbox", "20")
    customer = stripe_events.customer("cus_1", customer_key="acme", partner_key="ada")
    stage.play([customer, _paid("in_1")])
    stage.store([_paid("in_2")])
    stage.bury("evt_in_2", reason="[red]broken", fingerprint=FINGERPRINT)
    return stage


def _paid(key: str) -> stripe_events.Event:
    return stripe_events.invoice_paid(key, event_key=f"evt_{key}", customer="cus_1", lines=[line("prod_inbox", 9900)])


def _state(stage: Stage, key: str) -> str:
    return str(stage.ask("select state from inbox where event_key = :key", key=key)[0][0])


def test_an_event_is_shown_by_either_name(attribution: Attribution, stage: Stage) -> None:
    """By number and by the provider's id the same is told: state, reason or what it caused."""
    shown = attribution("events", "show", "evt_in_2")
    assert shown.code == 0
    assert "because [red]broken" in shown.out
    number = str(attribution("events", "show", "evt_in_2", "--json").document["id"])
    assert attribution("events", "show", number) == shown
    done = attribution("events", "show", "evt_in_1").out
    assert "transactions: stripe:in_1" in done
    assert "commissions: cmsn_" in done
    missing = attribution("events", "show", "evt_none")
    assert missing.code == 1
    assert 'no event is called "evt_none"' in missing.err


def test_an_event_is_replayed_after_a_dry_run(attribution: Attribution, stage: Stage) -> None:
    """The dry run tells of the commission and changes nothing; the replay makes it due; then it is booked."""
    tried = attribution("events", "replay", "evt_in_2", "--dry-run")
    assert tried.code == 0
    assert "1 events are meant, 1 were tried; nothing was changed" in tried.out
    assert "ada would get 19.80 USD more" in tried.out
    assert _state(stage, "evt_in_2") == "dead"
    document = attribution("events", "replay", "evt_in_2", "--dry-run", "--json").document
    assert document["totals"] == [{"partner_key": "ada", "currency": "usd", "amount": 1980}]
    assert attribution("events", "replay", "evt_in_2").out == "1 event is due again.\n"
    stage.drainer.run()
    assert _state(stage, "evt_in_2") == "processed"
    assert "it would change nothing" in attribution("events", "replay", "--type", "invoice.paid", "--dry-run").out


def test_a_filter_replays_what_fits(attribution: Attribution, stage: Stage) -> None:
    """State, type, provider and a time window in UTC; a filter that says nothing is refused."""
    answer = attribution("events", "replay", "--state", "processed", "--provider", "stripe", "--json")
    assert answer.document == {"count": 2}
    window = ("--since", "2026-01-01T00:00:00+01:00", "--until", "1767348000000")
    assert attribution("events", "replay", *window).out == "0 events are due again.\n"
    refused = attribution("events", "replay")
    assert refused.code == 2
    assert "names no events" in refused.err
    assert attribution("events", "replay", "--since", "yesterday").code == 2


def test_an_event_is_ignored_with_a_reason(attribution: Attribution, stage: Stage) -> None:
    """Kept with it and in the audit; without one it is wrong usage, and what is finished is refused."""
    assert attribution("events", "ignore", "evt_in_2").code == 2
    assert attribution("events", "ignore", "evt_in_2", "--reason", " ").code == 1
    assert attribution("events", "ignore", "evt_in_2", "--reason", "a test").out == "1 event is ignored.\n"
    assert stage.ask("select reason from inbox where event_key = 'evt_in_2'") == [("a test",)]
    assert stage.ask("select actor, action from audit_log") == [("operator", "events.ignored")]
    refused = attribution("events", "ignore", "evt_in_1", "--reason", "a test")
    assert refused.code == 1
    assert "is processed" in refused.err


def test_dead_letters_are_listed_by_what_killed_them(attribution: Attribution, stage: Stage) -> None:
    """With how many, since when and an example; any text in it is shown as text."""
    told = attribution("dead", "list").out
    assert told.startswith(FINGERPRINT)
    assert "1 event, received from" in told
    (group,) = attribution("dead", "list", "--json").document
    assert (group["fingerprint"], group["count"]) == (FINGERPRINT, 1)
    assert attribution("dead", "list", "--provider", "chargebee").out == "no dead letters\n"


def test_a_group_is_replayed_or_ignored(attribution: Attribution, stage: Stage) -> None:
    """By its fingerprint, by what fits, or all; nothing else is touched."""
    assert attribution("dead", "replay", "another").out == "0 events are due again.\n"
    assert "19.80 USD" in attribution("dead", "replay", FINGERPRINT, "--dry-run").out
    assert attribution("dead", "ignore", FINGERPRINT).code == 2
    assert attribution("dead", "ignore", FINGERPRINT, "--reason", "a test").out == "1 event is ignored.\n"
    assert attribution("dead", "replay").out == "0 events are due again.\n"
    assert _state(stage, "evt_in_1") == "processed"
