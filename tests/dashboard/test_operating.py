"""What an operator does over HTTP: look at the inbox, replay, ignore, and see how it stands."""

from typing import Any

import pytest

from infra.providers.stripe import example_events as stripe
from infra.providers.stripe.example_events import line
from tests.dashboard.running import Api
from tests.stage import Stage

FINGERPRINT = "stripe invoice.paid broken"


@pytest.fixture
def played(stage: Stage) -> Stage:
    """ada earned on in_1; in_2 and in_3 died of one cause when they came."""
    stage.product("Inbox", "prod_inbox")
    stage.partner("ada")
    stage.trigger("ten", "10")
    stage.play([stripe.customer("cus_1", customer_key="acme", partner_key="ada"), _paid("in_1")])
    stage.store([_paid("in_2"), _paid("in_3")])
    stage.bury("evt_in_2", "evt_in_3", reason="broken", fingerprint=FINGERPRINT)
    return stage


def _paid(key: str) -> dict[str, Any]:
    return stripe.invoice_paid(key, event_key=f"evt_{key}", customer="cus_1", lines=[line("prod_inbox", 9900)])


def _event(api: Api, key: str) -> Any:
    (event,) = api.get("/events", event_key=key)["items"]
    return event


def test_events_are_listed_filtered_and_read(api: Api, played: Stage) -> None:
    """Newest first with what became of each; every filter narrows, and one event says what it caused."""
    listed = api.get("/events", provider="stripe")["items"]
    assert [each["event_key"] for each in listed[:2]] == ["evt_in_3", "evt_in_2"]
    assert [each["id"] for each in listed] == sorted((each["id"] for each in listed), reverse=True)
    done = _event(api, "evt_in_1")
    assert (done["state"], done["attempts"], done["type"]) == ("processed", 1, "invoice.paid")
    assert done["outcome"]["transactions"] == ["stripe:in_1"]
    assert len(done["outcome"]["commissions"]) == 1
    assert api.get(f"/events/{done['id']}") == api.get("/events/evt_in_1") == done
    assert len(api.get("/events", state="dead")["items"]) == 2
    assert len(api.get("/events", fingerprint=FINGERPRINT, type="invoice.paid")["items"]) == 2
    assert api.get("/events", provider="chargebee")["items"] == []
    for unknown in ("999999", "evt_nobody", "0", "\u00b2"):
        assert api.get(f"/events/{unknown}", 404)["errors"][0]["field"] == "id"


def test_events_are_paged_both_ways(api: Api, played: Stage) -> None:
    """Pages of two after and before a cursor join up without a gap, in either order; a cursor is an item's key."""
    whole = [each["key"] for each in api.get("/events", limit=250)["items"]]
    walked: list[str] = []
    page = api.get("/events", limit=2)
    while True:
        walked += [each["key"] for each in page["items"]]
        if not page["has_more"]:
            break
        page = api.get("/events", limit=2, starting_after=walked[-1])
    assert walked == whole
    before = api.get("/events", limit=2, ending_before=whole[3])
    assert [each["key"] for each in before["items"]] == whole[1:3]
    assert before["has_more"]
    oldest = api.get("/events", limit=250, order_by="created_at")["items"]
    assert [each["key"] for each in oldest] == whole[::-1]
    for cursor in ("x", "0", "²", "9" * 30):
        assert api.get("/events", 400, starting_after=cursor)["errors"][0]["field"] == "starting_after"
    both = api.get("/events", 400, starting_after=whole[0], ending_before=whole[1])
    assert both["errors"][0]["field"] == "ending_before"


def test_an_event_is_replayed_after_a_look_at_what_it_would_change(api: Api, played: Stage) -> None:
    """A dry run says it and changes nothing; the replay does it, once; by the event's number or the provider's id."""
    event = _event(api, "evt_in_2")
    tried = api.post(f"/events/{event['id']}/replay", {"dry_run": True})
    assert tried["dry_run"]
    assert tried["would_change"]["totals"] == [{"partner_key": "ada", "currency": "usd", "amount": 990}]
    assert _event(api, "evt_in_2") == event
    assert api.call("POST", "/events/evt_in_2/replay")["data"]["count"] == 1
    assert _event(api, "evt_in_2")["state"] == "received"
    played.drainer.run()
    assert _event(api, "evt_in_2")["state"] == "processed"
    assert played.ask("select count(*) from commissions") == [(2,)]
    api.post("/events/999999/replay", {}, 404)


def test_an_event_is_ignored_with_a_reason(api: Api, played: Stage) -> None:
    """The reason is kept with it and in the audit; without one nothing happens, nor to what is finished."""
    event = _event(api, "evt_in_2")
    assert api.post(f"/events/{event['id']}/ignore", {}, 400)["errors"][0]["field"] == "reason"
    assert api.post(f"/events/{event['id']}/ignore", {"reason": "  "}, 400)["errors"][0]["field"] == "reason"
    assert api.post(f"/events/{event['id']}/ignore", {"reason": "a test invoice"})["reason"] == "a test invoice"
    done = _event(api, "evt_in_1")
    assert "is processed" in api.post(f"/events/{done['id']}/ignore", {"reason": "no"}, 409)["message"]
    ((actor, details),) = played.ask("select actor, details from audit_log where action = 'events.ignored'")
    assert actor.startswith("key:pub_")
    assert details == {"id": event["id"], "count": 1, "reason": "a test invoice"}


def test_dead_letters_are_grouped_replayed_and_ignored(api: Api, played: Stage) -> None:
    """One group of two: a dry run shows both commissions, a replay takes the group away."""
    (group,) = api.get("/dead_letters")["items"]
    assert (group["key"], group["count"], group["reason"]) == (FINGERPRINT, 2, "broken")
    assert group["example_id"] == _event(api, "evt_in_3")["id"]
    assert api.get("/dead_letters", provider="chargebee")["items"] == []
    tried = api.post("/dead_letters/replay", {"fingerprint": FINGERPRINT, "dry_run": True})
    assert len(tried["would_change"]["commissions"]) == 2
    assert api.post("/dead_letters/replay", {"filter": {"fingerprint": FINGERPRINT}, "dry_run": True}) == tried
    for wrong in ({"filter": {"colour": "red"}}, {"filter": {"type": "a"}, "type": "b"}, {"filter": ["a"]}):
        (mistake,) = api.post("/dead_letters/replay", wrong, 400)["errors"]
        assert mistake["field"] in ("colour", "filter")
    nothing = api.call("POST", "/dead_letters/replay", json={"fingerprint": "another"})
    assert (nothing["data"]["count"], nothing["message"]) == (0, "nothing fits, so nothing was changed")
    assert api.post("/dead_letters", {"fingerprint": FINGERPRINT})["count"] == 2
    assert api.get("/dead_letters")["items"] == []


def test_a_group_is_ignored_with_a_reason(api: Api, played: Stage) -> None:
    """By either path, and never without saying why."""
    assert api.post("/dead_letters", {"action": "ignore"}, 400)["errors"][0]["field"] == "reason"
    assert api.post("/dead_letters/ignore", {"fingerprint": FINGERPRINT, "reason": "no"})["count"] == 2
    assert {each["reason"] for each in api.get("/events", state="ignored")["items"]} == {"no"}
    assert api.post("/dead_letters", {"action": "ignore", "reason": "no"})["count"] == 0


def test_a_filter_over_all_events_says_something(api: Api, played: Stage) -> None:
    """Processed events are replayed by a filter that names them; one that names nothing is refused."""
    assert api.post("/events/replay", {}, 400)["errors"][0]["field"] == "filter"
    tried = api.post("/events/replay", {"provider": "stripe", "state": "processed", "dry_run": True})
    assert tried["would_change"]["commissions"] == []
    assert api.post("/events/replay", {"type": "invoice.paid", "since": 0, "until": 1}) == {
        "count": 0,
        "after": None,
        "dry_run": False,
        "would_change": None,
    }


def test_status_says_it_in_the_envelope_and_at_the_top(api: Api, played: Stage) -> None:
    """Whoever waits for idle finds the five numbers in both places."""
    answer = api.call("GET", "/status")
    assert answer["data"] == {
        "received": 0,
        "waiting": 0,
        "dead": 2,
        "processed": played.ask("select count(*) from inbox where state = 'processed'")[0][0],
        "ignored": 0,
        "oldest_due_s": 0,
    }
    assert {name: answer[name] for name in answer["data"]} == answer["data"]
    assert answer["message"] == "idle"
    played.store([_paid("in_9")])
    assert api.call("GET", "/status")["received"] == 1


def test_operating_is_not_for_strangers(nobody: Api) -> None:
    """Without a key every path of an operator's is closed."""
    for path in ("/events", "/events/1", "/dead_letters", "/status"):
        assert nobody.get(path, 401)["errors"] == []
