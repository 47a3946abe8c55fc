"""`/partnerships`: who the partners are, who belongs to them, and with what their members come in."""

from tests.dashboard.running import Api, DashboardProcess
from tests.stage import Stage

BOB = {"member_key": "bob", "name": "Bob", "email": "bob@ada.example"}
ADA = {
    "partner_key": "ada",
    "name": "Ada Consulting",
    "email": "partners@ada.example",
    "group": "resellers",
    "tags": ["gold", "europe"],
    "country": "DE",
    "joined_at": 1_700_000_000_000,
    "members": [BOB],
    "metadata": {"crm": "A-17"},
}


def versions(stage: Stage) -> int:
    """How many versions of partners there are."""
    return int(stage.ask("select count(*) from partner_versions")[0][0])


def test_a_partner_is_made_read_listed_and_changed(api: Api, stage: Stage) -> None:
    """What was posted is read back; a PATCH changes what it names, null clears, and what is no change is no version."""
    made = api.post("/partnerships", ADA)
    assert {name: made[name] for name in ADA} == {**ADA, "tags": ["europe", "gold"]}
    assert made["key"] == "ada"
    assert api.get("/partnerships/ada") == made
    assert api.get("/partnerships", group="resellers", tag="gold")["items"] == [made]
    assert api.get("/partnerships", tag="silver")["items"] == []
    assert api.patch("/partnerships/ada", {"group": None, "name": "Ada & Co"}) == {
        **made,
        "group": None,
        "name": "Ada & Co",
    }
    assert versions(stage) == 2
    api.patch("/partnerships/ada", {"tags": ["gold", "europe", "gold"], "email": ADA["email"]})
    assert versions(stage) == 2


def test_saying_it_again_is_no_mistake_and_saying_otherwise_is(api: Api, stage: Stage) -> None:
    """The same POST twice is one partner; another one with its key is refused, naming the field that differs."""
    assert api.post("/partnerships", ADA) == api.post("/partnerships", ADA)
    refusal = api.post("/partnerships", {**ADA, "country": "FR"}, 409)
    assert refusal["errors"][0]["field"] == "country"
    assert versions(stage) == 1


def test_members_come_and_go_and_their_tokens_with_them(api: Api, dashboard: DashboardProcess) -> None:
    """A removed member's token opens nothing, not even when the member is back."""
    api.post("/partnerships", ADA)
    token = api.post("/partnerships/ada/tokens", {"member_key": "bob"})
    assert token["token"] not in str(api.get("/partnerships/ada/tokens"))
    assert api.get("/partnerships/ada/tokens")["items"][0]["revoked_at"] is None
    assert api.patch("/partnerships/ada", {"members": []})["members"] == []
    assert api.get("/partnerships/ada/tokens")["items"][0]["revoked_at"] is not None
    assert api.patch("/partnerships/ada", {"members": [BOB]})["members"] == [BOB]
    assert api.get("/partnerships/ada/tokens")["items"][0]["revoked_at"] is not None


def test_a_token_is_for_a_member_and_shown_once(api: Api, stage: Stage) -> None:
    """No token for strangers; a repeat with the same Idempotency-Key makes no other, and is given the same one."""
    api.post("/partnerships", ADA)
    assert api.post("/partnerships/ada/tokens", {"member_key": "eve"}, 400)["errors"][0]["field"] == "member_key"
    api.post("/partnerships/nobody/tokens", {"member_key": "bob"}, 404)
    token = api.post("/partnerships/ada/tokens", {"member_key": "bob"}, idempotency_key="once")
    assert api.post("/partnerships/ada/tokens", {"member_key": "bob"}, idempotency_key="once") == token
    [(kept,)] = stage.ask("select answer from idempotent_answers where idempotency_key = 'once'")
    assert token["token"].encode() not in bytes(kept)
    assert len(api.get("/partnerships/ada/tokens")["items"]) == 1
    assert api.call("DELETE", f"/partnerships/ada/tokens/{token['key']}")["data"]["revoked_at"] is not None
    api.call("DELETE", "/partnerships/ada/tokens/tok_none", 404)


def test_a_member_is_named_once(api: Api) -> None:
    """A list with one member twice is refused, naming the second place."""
    refusal = api.post("/partnerships", {**ADA, "members": [BOB, BOB]}, 400)
    assert refusal["errors"][0]["field"] == "members[1].member_key"
