"""`/webhook_endpoints` and `/webhook_deliveries`: who is told, where that may be, and what became of it."""

import pytest
from sqlalchemy import text

from tests.dashboard.running import Api, DashboardProcess
from tests.infra.told import pay, posted
from tests.stage import Stage
from tests.webhook_target import Plan, webhook_target

PUBLIC = {"url": "http://127.0.0.1:9/told", "event_types": ["commission.created"]}


def test_an_endpoint_is_registered_read_changed_and_deleted(api: Api) -> None:
    """Its secret is in the first answer alone; a PATCH changes what it names; deleted, it is nowhere to be seen."""
    made = api.post("/webhook_endpoints", PUBLIC)
    assert made.pop("secret").startswith("whsec_")
    assert (made["url"], made["event_types"], made["active"]) == (PUBLIC["url"], PUBLIC["event_types"], True)
    assert api.get(f"/webhook_endpoints/{made['key']}") == made
    assert api.get("/webhook_endpoints") == {"items": [made], "has_more": False}
    wanted = {"event_types": ["product.updated", "commission.paid", "product.updated"], "active": False}
    changed = api.patch(f"/webhook_endpoints/{made['key']}", wanted)
    assert changed == {**made, "event_types": ["commission.paid", "product.updated"], "active": False}
    deleted = api.call("DELETE", f"/webhook_endpoints/{made['key']}")["data"]
    assert deleted == {"key": made["key"], "deleted": True}
    assert api.get("/webhook_endpoints")["items"] == []
    for method in ("GET", "DELETE"):
        api.call(method, f"/webhook_endpoints/{made['key']}", 404)
    api.patch(f"/webhook_endpoints/{made['key']}", {"active": True}, 404)


def test_a_secret_is_sealed_before_it_is_stored(api: Api, stage: Stage) -> None:
    """With a key set, what the answer shows is nowhere in the table, and the worker signs with it all the same."""
    with webhook_target() as target:
        target.secret = api.post("/webhook_endpoints", {**PUBLIC, "url": target.url})["secret"]
        ((stored,),) = stage.ask("select secret from webhook_endpoints")
        assert stored.startswith("sealed:")
        assert target.secret.removeprefix("whsec_") not in stored
        stage.product("Inbox", "prod_inbox")
        stage.partner("ada")
        stage.trigger("ten", "10")
        pay(stage)
        posted(stage)
        assert [received.verified for received in target.received] == [True]


def test_a_secret_is_rotated_while_the_old_one_goes_on_signing(api: Api, stage: Stage) -> None:
    """The new one is shown once; the receiver verifies with either; no hours end the old one; both are audited."""
    stage.product("Inbox", "prod_inbox")
    stage.partner("ada")
    stage.trigger("ten", "10")
    with webhook_target() as target:
        made = api.post("/webhook_endpoints", {**PUBLIC, "url": target.url})
        path, old = f"/webhook_endpoints/{made['key']}", made.pop("secret")
        rotated = api.post(f"{path}/rotate_secret", None)
        new = rotated.pop("secret")
        assert new.startswith("whsec_")
        assert new != old
        assert rotated == {**made, "earlier_secret_until": rotated["earlier_secret_until"]}
        assert api.get(path) == rotated == api.get("/webhook_endpoints")["items"][0]
        for number, target.secret in enumerate((old, new), start=1):
            pay(stage, number)
            posted(stage)
        ended = api.post(f"{path}/rotate_secret", {"overlap_hours": 0})
        assert ended["earlier_secret_until"] is None
        for number, target.secret in enumerate((new, ended["secret"]), start=3):
            pay(stage, number)
            posted(stage)
        assert [received.verified for received in target.received] == [True, True, False, True]
    written = stage.ask("select details::text from audit_log where action = 'webhook_endpoint.secret_rotated'")
    assert len(written) == 2
    assert "whsec_" not in str(written)
    for hours in (-1, 721, True, "24"):
        refusal = api.post(f"{path}/rotate_secret", {"overlap_hours": hours}, 400)
        assert [each["field"] for each in refusal["errors"]] == ["overlap_hours"]
    api.post("/webhook_endpoints/whep_nobody/rotate_secret", None, 404)


def test_everything_wrong_with_an_endpoint_is_said_at_once(api: Api) -> None:
    """An address that may not be reached and types there are none of are refused together, each by its field."""
    body = {"url": "https://169.254.169.254/latest/meta-data", "event_types": ["commission.creatd"]}
    refusal = api.post("/webhook_endpoints", body, 400)
    assert [each["field"] for each in refusal["errors"]] == ["url", "event_types"]
    assert "not public" in refusal["errors"][0]["message"]
    assert "commission.created" in refusal["errors"][1]["message"]
    assert api.get("/webhook_endpoints")["items"] == []


@pytest.mark.parametrize(
    "url",
    [
        "https://10.0.0.1/",
        "https://[::1]/",
        "https://0x7f000001/",
        "https://u:p@example.com/",
        "https://[fd00::1]/",
        "",
    ],
)
def test_an_address_is_judged_when_it_is_changed_too(api: Api, url: str) -> None:
    """A registered endpoint cannot be moved to where none may be registered."""
    key = api.post("/webhook_endpoints", PUBLIC)["key"]
    assert api.patch(f"/webhook_endpoints/{key}", {"url": url}, 400)["errors"][0]["field"] == "url"
    assert api.get(f"/webhook_endpoints/{key}")["url"] == PUBLIC["url"]


def test_the_secret_is_nowhere_in_the_clear(api: Api, stage: Stage, dashboard: DashboardProcess) -> None:
    """Neither the endpoint's row, nor the kept answer of an Idempotency-Key, nor the audit, nor the log holds it."""
    made = api.post("/webhook_endpoints", PUBLIC, idempotency_key="once")
    rotated = api.post(f"/webhook_endpoints/{made['key']}/rotate_secret", {}, idempotency_key="once more")
    assert api.post("/webhook_endpoints", PUBLIC, idempotency_key="once") == made
    secrets = [each["secret"].removeprefix("whsec_") for each in (made, rotated)]
    with stage.engine.connect() as connection:
        names = connection.execute(
            text("select table_name from information_schema.tables where table_schema = 'public'")
        ).scalars()
        holding = [
            name
            for name in names
            for secret in secrets
            for written in (secret, secret.encode().hex())
            if connection.scalar(
                text(f'select exists (select from "{name}" t where strpos(t::text, :written) > 0)'),
                {"written": written},
            )
        ]
    assert holding == []
    assert not any(secret in dashboard.log() for secret in secrets)


def test_what_is_told_is_what_the_api_shows(api: Api, stage: Stage) -> None:
    """A commission's and a product's delivery hold the very items of `/rewards` and `/products`."""
    stage.product("Inbox", "prod_inbox")
    stage.partner("ada")
    stage.trigger("ten", "10")
    with webhook_target() as target:
        api.post("/webhook_endpoints", {"url": target.url, "event_types": ["commission.created", "product.created"]})
        pay(stage)
        posted(stage)
        told = {each.document["type"]: each.document["data"] for each in target.received}
    (reward,) = api.get("/rewards")["items"]
    (product,) = api.get("/products")["items"]
    assert told == {"commission.created": reward, "product.created": product}
    assert (reward["amount"], product["partner_key"]) == (300, "ada")


def test_deliveries_are_listed_by_what_became_of_them_and_sent_again(api: Api, stage: Stage) -> None:
    """Filters by endpoint, state and type; a page follows a page; a resent delivery comes once more under its id."""
    stage.product("Inbox", "prod_inbox")
    stage.partner("ada")
    stage.trigger("ten", "10")
    with webhook_target() as target:
        made = api.post(
            "/webhook_endpoints", {"url": target.url, "event_types": ["commission.created", "product.created"]}
        )
        target.secret = made["secret"]
        target.plans = [Plan(status=410)]
        pay(stage)
        pay(stage, 2)
        posted(stage)
        found = api.get("/webhook_deliveries", limit=3)
        assert (len(found["items"]), found["has_more"]) == (3, True)
        rest = api.get("/webhook_deliveries", limit=3, starting_after=found["items"][-1]["key"])
        assert (len(rest["items"]), rest["has_more"]) == (1, False)
        (dead,) = api.get("/webhook_deliveries", state="dead", endpoint_key=made["key"])["items"]
        assert (dead["last_status"], dead["attempts"]) == (410, 1)
        assert api.get("/webhook_deliveries", event_type="product.updated")["items"] == []
        assert api.get("/webhook_deliveries", endpoint_key="whep_other")["items"] == []
        assert api.get(f"/webhook_deliveries/{dead['key']}") == dead
        again = api.post(f"/webhook_deliveries/{dead['key']}/resend", None)
        assert (again["state"], again["attempts"], again["payload"]) == ("pending", 0, dead["payload"])
        api.patch(f"/webhook_endpoints/{made['key']}", {"active": True})
        before = len(target.received)
        posted(stage)
        told_again = [each for each in target.received[before:] if each.key == dead["key"]]
        assert [each.verified for each in told_again] == [True]
    api.post("/webhook_deliveries/msg_nobody/resend", None, 404)
    api.get("/webhook_deliveries", 400, state="lost")
