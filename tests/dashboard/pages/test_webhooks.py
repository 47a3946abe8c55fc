"""Endpoints of webhooks and their deliveries with a mouse: told, paused, looked into, sent again, deleted."""

import re

import pytest

from infra.outgoing.endpoints import EVENT_TYPES
from infra.outgoing.seals import Seal
from tests.dashboard.pages.browser import Browser, Sheet
from tests.dashboard.running import Api
from tests.infra.told import SEALING_KEY, pay, posted
from tests.stage import Stage
from tests.webhook_target import Plan, webhook_target

URL = "http://127.0.0.1:9/told"


def _register(browser: Browser, url: str = URL, *event_types: str) -> Sheet:
    chosen = dict.fromkeys(event_types or ("commission.created",), "on")
    return browser.press(browser.get("/webhook-endpoints"), "Register", 200, url=url, **chosen)


@pytest.fixture
def program(stage: Stage) -> Stage:
    """ada earns 10 % of Inbox."""
    stage.product("Inbox", "prod_inbox")
    stage.partner("ada")
    stage.trigger("ten", "10")
    return stage


def test_an_endpoint_is_registered_and_its_secret_shown_once(grace: Browser, api: Api, stage: Stage) -> None:
    """The secret that signs is on the page that follows, on no other, and audited without it."""
    sheet = _register(grace, URL, "commission.paid", "product.updated")
    (secret,) = re.findall(r"whsec_[\w+/=]+", sheet.html)
    (made,) = api.get("/webhook_endpoints")["items"]
    assert (made["url"], made["event_types"], made["active"]) == (URL, ["commission.paid", "product.updated"], True)
    ((stored,),) = stage.ask("select secret from webhook_endpoints")
    assert Seal([SEALING_KEY]).open(stored) == secret
    for path in ("/webhook-endpoints", f"/webhook-endpoints/{made['key']}"):
        assert secret not in grace.get(path).html
    written = stage.ask("select actor, subject, details::text from audit_log where action = 'webhook_endpoint.created'")
    assert [row[:2] for row in written] == [("person:grace@example.com", made["key"])]
    assert secret not in str(written)


def test_what_is_wrong_with_an_endpoint_is_said_at_its_fields(grace: Browser, api: Api) -> None:
    """An address that may not be reached and no event at all are refused together, and what was typed stays."""
    sheet = grace.press(grace.get("/webhook-endpoints"), "Register", 400, url="https://10.0.0.1/x", paused="on")
    assert {found.get("name") for _, found in sheet.tags if found.get("aria-invalid")} == {"url"}
    assert "not public" in sheet.text
    assert "names none" in sheet.text
    fields = sheet.form("Register").fields
    assert (fields["url"], fields["paused"]) == ("https://10.0.0.1/x", "on")
    assert api.get("/webhook_endpoints")["items"] == []


def test_an_endpoint_is_changed_paused_resumed_and_deleted(grace: Browser, api: Api) -> None:
    """Each press says what holds now; a box that is cleared is an event it is told no more."""
    sheet = _register(grace, URL, *EVENT_TYPES)
    form = sheet.form("Save")
    kept = {name: value for name, value in form.fields.items() if name != "product.deleted"}
    grace.send(form.action, {**kept, "url": f"{URL}/2"})
    (found,) = api.get("/webhook_endpoints")["items"]
    assert found["url"] == f"{URL}/2"
    assert set(EVENT_TYPES) - set(found["event_types"]) == {"product.deleted"}
    paused = grace.press(grace.get(form.action), "Pause")
    assert "told nothing until somebody resumes it" in paused.text
    assert api.get(f"/webhook_endpoints/{found['key']}")["active"] is False
    grace.press(paused, "Resume")
    assert api.get(f"/webhook_endpoints/{found['key']}")["active"] is True
    refused = grace.press(grace.get(form.action), "Save", 400, url="nowhere")
    assert refused.form("Save").fields["url"] == "nowhere"
    gone = grace.press(grace.get(form.action), "Delete this endpoint")
    assert f"{URL}/2 is told no more" in gone.text
    assert api.get("/webhook_endpoints")["items"] == []
    grace.get(form.action, 404)


def test_another_secret_is_made_and_shown_once(grace: Browser, stage: Stage) -> None:
    """It is on the page that follows, with until when the old one signs; what a form may not say is refused."""
    sheet = _register(grace)
    address = sheet.form("Save").action
    follows = grace.press(sheet, "Make another secret", overlap_hours="168")
    (secret,) = re.findall(r"whsec_[\w+/=]+", follows.html)
    assert secret not in sheet.html
    assert "Earlier secret signs until" in follows.text
    assert secret not in grace.get(address).html
    ((stored, for_a_week),) = stage.ask(
        "select e.secret, s.signs_until - now() between interval '167 hours' and interval '168 hours'"
        " from webhook_endpoints e join webhook_earlier_secrets s on s.endpoint_key = e.key"
    )
    assert (Seal([SEALING_KEY]).open(stored), for_a_week) == (secret, True)
    refused = grace.press(follows, "Make another secret", 400, overlap_hours="for ever")
    assert "overlap_hours" in refused.text
    gone = grace.press(follows, "Make another secret", overlap_hours="0")
    assert "Earlier secret signs until" not in gone.text
    assert stage.ask("select secret from webhook_earlier_secrets") == []


def test_a_delivery_that_did_not_arrive_is_found_and_sent_again(grace: Browser, program: Stage) -> None:
    """An endpoint that asked for no more stands as stopped; resumed, its dead letter is sent again as it was."""
    with webhook_target() as target:
        sheet = _register(grace, target.url)
        (target.secret,) = re.findall(r"whsec_[\w+/=]+", sheet.html)
        target.plans = [Plan(status=410)]
        pay(program)
        posted(program)
        ((key, payload),) = program.ask("select key, payload from webhook_deliveries")
        stopped = grace.get(sheet.form("Save").action)
        assert "It was stopped: " in stopped.text
        assert f"/webhook-deliveries/{key}" in stopped.links
        overview = grace.get("/")
        assert "Webhook endpoints that asked for no more" in overview.text
        assert f"/webhook-deliveries/{key}" in overview.links
        grace.press(stopped, "Resume")
        rows = grace.get("/webhook-deliveries?state=dead").cells
        assert [row[2] for row in rows[1:]] == ["dead"]
        one = grace.get(f"/webhook-deliveries/{key}")
        assert payload in one.text
        assert "It is due now" in grace.press(one, "Send it again").text
        posted(program)
        assert [(each.key, each.verified) for each in target.received] == [(key, True)] * 2
    assert "delivered" in grace.get(f"/webhook-deliveries/{key}").text
    written = program.ask("select actor, subject from audit_log where action = 'webhook_delivery.resent'")
    assert written == [("person:grace@example.com", key)]


def test_what_was_told_to_one_that_was_deleted_stays_to_be_read(grace: Browser, program: Stage) -> None:
    """It is dead, says so, offers no button, and a button on a page grown old is refused with the reason."""
    sheet = _register(grace)
    pay(program)
    ((key,),) = program.ask("select key from webhook_deliveries")
    old = grace.get(f"/webhook-deliveries/{key}")
    grace.press(sheet, "Delete this endpoint")
    one = grace.get(f"/webhook-deliveries/{key}")
    assert "its endpoint was deleted" in one.text
    assert {button for form in one.forms for button in form.buttons} == {"Sign out"}
    assert "its endpoint was deleted" in grace.press(old, "Send it now", 409).text
    assert "deleted" in grace.get("/webhook-deliveries").text


def test_deliveries_are_listed_by_what_is_chosen(grace: Browser, program: Stage) -> None:
    """By endpoint, state and event; a page follows a page; what fits nothing leads back."""
    _register(grace, URL, "commission.created", "product.created")
    pay(program)
    ((endpoint,),) = program.ask("select key from webhook_endpoints")

    def listed(query: str) -> int:
        return len([row for row in grace.get(f"/webhook-deliveries?{query}").cells if row[0].startswith("msg_")])

    assert listed("") == listed("state=pending") == listed(f"endpoint_key={endpoint}") == 2
    assert listed("event_type=product.created") == 1
    assert listed("state=dead") == listed("endpoint_key=whep_other") == 0
    assert listed("limit=1") == 1
    assert [link for link in grace.get("/webhook-deliveries?limit=1").links if "starting_after" in link]
