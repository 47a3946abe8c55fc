"""`/triggers`: documents as the domain reads them, versions, and warnings."""

from typing import Any

from tests.dashboard.running import Api
from tests.stage import Stage

INBOX: dict[str, Any] = {
    "name": "20 % of Inbox",
    "event": "transaction_created",
    "rules": {"field": "product.name", "op": "is_any_of", "value": ["Inbox"]},
    "action": {"type": "percent", "percent": "20"},
    "offer": {"description": "20 % of every Inbox payment"},
}


def test_a_trigger_is_made_read_listed_and_changed(api: Api, stage: Stage) -> None:
    """What was posted is read back; a PATCH makes a version with what it names; what changes nothing makes none."""
    api.post("/product_book", {"name": "Inbox"})
    made = api.post("/triggers", INBOX)
    assert {name: made[name] for name in INBOX} == INBOX
    assert (made["version"], made["active"], made["position"], made["warnings"]) == (1, True, 0, [])
    assert api.get(f"/triggers/{made['key']}") == made
    changed = api.patch(f"/triggers/{made['key']}", {"action": {"type": "percent", "percent": "25"}})
    assert (changed["version"], changed["action"]["percent"], changed["offer"]) == (2, "25", INBOX["offer"])
    assert api.patch(f"/triggers/{made['key']}", {"position": None, "active": True}) == changed
    assert stage.ask("select version from trigger_versions order by version") == [(1,), (2,)]
    (listed,) = api.get("/triggers", active=True)["items"]
    assert listed == {name: value for name, value in changed.items() if name != "warnings"}
    assert api.get("/triggers", event="partner_joined")["items"] == []


def test_the_same_document_is_one_trigger(api: Api) -> None:
    """Posted twice it is one, so nobody is paid twice; after a change, it is another one again."""
    first = api.post("/triggers", INBOX)
    assert api.post("/triggers", INBOX)["key"] == first["key"]
    api.patch(f"/triggers/{first['key']}", {"active": False})
    second = api.post("/triggers", INBOX)
    assert second["key"] != first["key"]
    assert api.post("/triggers", INBOX)["key"] == second["key"]
    assert len(api.get("/triggers")["items"]) == 2


def test_all_mistakes_come_with_their_paths(api: Api) -> None:
    """The domain's own complaints arrive as errors, each naming its place in the document."""
    document = {
        "name": "",
        "event": "transaction_created",
        "rules": {"all": [{"field": "product.nam", "op": "is_set"}]},
        "action": {"type": "percent", "percent": "120"},
        "colour": "red",
    }
    refusal = api.post("/triggers", document, 400)
    assert {each["field"] for each in refusal["errors"]} == {"name", "rules.all[0].field", "action.percent", "colour"}
    assert api.patch("/triggers/trg_none", {"name": "x"}, 404)["errors"][0]["field"] == "key"


def test_what_is_likely_wrong_is_said_and_saved_all_the_same(api: Api) -> None:
    """A product name that nothing has, and a second trigger on the same money, are warned of."""
    first = api.post("/triggers", INBOX)
    assert [each["kind"] for each in first["warnings"]] == ["unknown_name"]
    second = api.post("/triggers", {**INBOX, "name": "Another"})
    assert {each["kind"] for each in second["warnings"]} == {"unknown_name", "overlap"}
    assert len(api.get("/triggers")["items"]) == 2
