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


#: 1 January 2100.
SOME_DAY = 4_102_444_800_000


def _versions(api: Api, key: str) -> list[tuple[int, str, bool, bool]]:
    """(version, percent, active, in effect) of a trigger, the latest saved first."""
    return [
        (each["version"], each["action"]["percent"], each["active"], each["in_effect"])
        for each in api.get(f"/triggers/{key}/versions")["items"]
    ]


def test_every_version_can_be_read(api: Api) -> None:
    """All that was ever saved, the latest first, as it was saved, and which of them counts now."""
    made = api.post("/triggers", INBOX)
    api.patch(f"/triggers/{made['key']}", {"action": {"type": "percent", "percent": "25"}})
    planned = {"action": {"type": "percent", "percent": "30"}, "effective_from": SOME_DAY}
    latest = api.patch(f"/triggers/{made['key']}", planned)
    assert _versions(api, made["key"]) == [(3, "30", True, False), (2, "25", True, True), (1, "20", True, False)]
    newest, *_, oldest = api.get(f"/triggers/{made['key']}/versions")["items"]
    assert (newest["effective_from"], newest["name"]) == (SOME_DAY, latest["name"])
    assert oldest["rules"] == INBOX["rules"]
    assert api.get("/triggers/trg_none/versions", 404)["errors"][0]["field"] == "key"


def test_a_trigger_says_what_counts_now_and_what_is_planned(api: Api) -> None:
    """The item is the latest saved version; which one counts, and when others take over, stands beside it."""
    key = api.post("/triggers", INBOX)["key"]
    for percent, days in (("30", 2), ("28", 3), ("25", 1), ("24", 2)):  # the last two replace the first two
        at = SOME_DAY + days * 86_400_000
        saved = api.patch(f"/triggers/{key}", {"action": {"type": "percent", "percent": percent}, "effective_from": at})
    (listed,) = api.get("/triggers")["items"]
    read = api.get(f"/triggers/{key}")
    for shown in (saved, listed, read):
        assert (shown["version"], shown["action"]["percent"], shown["in_force"]) == (5, "24", 1)
        assert [each["version"] for each in shown["planned"]] == [4, 5]
    assert [each["effective_from"] - SOME_DAY for each in read["planned"]] == [86_400_000, 2 * 86_400_000]
    waiting = api.post("/triggers", {**INBOX, "name": "Some day", "effective_from": SOME_DAY})
    assert (waiting["in_force"], waiting["planned"]) == (None, [{"version": 1, "effective_from": SOME_DAY}])


def test_a_change_from_now_on_leaves_planned_terms_to_their_day(api: Api) -> None:
    """A new name does not bring forward what is to count from a day to come, and goes into it as well."""
    key = api.post("/triggers", INBOX)["key"]
    api.patch(f"/triggers/{key}", {"action": {"type": "percent", "percent": "30"}, "effective_from": SOME_DAY})
    renamed = api.patch(f"/triggers/{key}", {"name": "Inbox, renamed"})
    assert _versions(api, key)[:2] == [(4, "30", True, False), (3, "20", True, True)]
    assert (renamed["version"], renamed["effective_from"], renamed["name"]) == (4, SOME_DAY, "Inbox, renamed")
    assert api.patch(f"/triggers/{key}", {"name": "Inbox, renamed"}) == renamed
    api.patch(f"/triggers/{key}", {"active": False})
    assert _versions(api, key)[:2] == [(6, "30", False, False), (5, "20", False, True)]


def test_a_change_of_what_has_yet_to_begin_does_not_begin_it(api: Api) -> None:
    """A trigger for a day to come is renamed and still begins on that day, unless the change says when."""
    key = api.post("/triggers", {**INBOX, "effective_from": SOME_DAY})["key"]
    renamed = api.patch(f"/triggers/{key}", {"name": "Some day"})
    assert (renamed["version"], renamed["effective_from"]) == (2, SOME_DAY)
    assert _versions(api, key) == [(2, "20", True, False), (1, "20", True, False)]
    assert api.patch(f"/triggers/{key}", {"effective_from": 1_767_225_600_000})["version"] == 3
    assert _versions(api, key)[0] == (3, "20", True, True)


def test_what_is_planned_for_one_day_is_warned_of(api: Api) -> None:
    """Two triggers that begin together some day are compared as of that day, and one that begins after another too."""
    first = api.post("/triggers", {**INBOX, "effective_from": SOME_DAY})
    second = api.post("/triggers", {**INBOX, "name": "Another", "effective_from": SOME_DAY + 1000})
    assert "overlap" in {each["kind"] for each in second["warnings"]}
    assert "overlap" in {each["kind"] for each in api.get(f"/triggers/{first['key']}")["warnings"]}
    api.patch(f"/triggers/{second['key']}", {"active": False})
    assert "overlap" not in {each["kind"] for each in api.get(f"/triggers/{first['key']}")["warnings"]}
