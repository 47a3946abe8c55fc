"""`/product_book`: what may be said of an entry, and what a change makes of commissions."""

from typing import Any

import pytest

from tests.builders import line, stripe_events
from tests.dashboard.running import Api
from tests.stage import Stage

INBOX = {"name": "Inbox", "external_key": "prod_inbox", "aliases": ["price_b", "price_a"]}


def test_an_entry_is_made_read_listed_and_changed(api: Api) -> None:
    """What was posted is read back by key and in the list; a PATCH changes what it names and nothing else."""
    made = api.post("/product_book", INBOX)
    assert made["aliases"] == ["price_a", "price_b"]
    assert (made["name"], made["archived"], made["needs_review"], made["description"]) == ("Inbox", False, False, None)
    assert api.get(f"/product_book/{made['key']}") == made
    assert api.get("/product_book") == {"items": [made], "has_more": False}
    changed = api.patch(f"/product_book/{made['key']}", {"description": "Shared"})
    assert changed == {**made, "description": "Shared"}
    assert api.patch(f"/product_book/{made['key']}", {"description": None}) == made
    for external_key in ("prod_inbox", "price_a"):
        assert api.get("/product_book", external_key=external_key)["items"] == [made]
    assert api.get("/product_book", external_key="price_c")["items"] == []


def test_saying_it_again_is_no_change_and_saying_otherwise_a_conflict(api: Api, stage: Stage) -> None:
    """The same entry twice is one, without a version more; another one with its external_key is refused."""
    assert api.post("/product_book", INBOX) == api.post("/product_book", INBOX)
    refusal = api.post("/product_book", {**INBOX, "name": "Outbox"}, 409)
    assert "PATCH" in refusal["message"]
    assert refusal["errors"][0]["field"] == "name"
    key = api.get("/product_book")["items"][0]["key"]
    api.patch(f"/product_book/{key}", {"name": "Inbox", "aliases": ["price_a", "price_b", "price_a"]})
    assert stage.ask("select count(*) from product_book_names") == [(1,)]
    assert stage.ask("select action, subject from audit_log") == [("product_book.created", key)]


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"name": "Other", "external_key": "price_a"}, "external_key"),
        ({"name": "Other", "aliases": ["prod_inbox"]}, "aliases"),
        ({"name": "Other", "aliases": ["price_b", "price_c"]}, "aliases"),
    ],
)
def test_a_provider_id_leads_to_one_entry(said: dict[str, Any], field: str, api: Api) -> None:
    """An id that leads to an entry already, by whichever way, is refused and the entry named; POST and PATCH alike."""
    key = api.post("/product_book", INBOX)["key"]
    other = api.post("/product_book", {"name": "Other"})["key"]
    for refusal in (
        api.post("/product_book", {**said, "name": "New"}, 409),
        api.patch(f"/product_book/{other}", said, 409),
    ):
        assert key in refusal["message"]
        assert refusal["errors"][0]["field"] == field
    assert api.get(f"/product_book/{other}")["aliases"] == []


def test_an_archived_entry_leaves_the_list_and_still_matches(api: Api, stage: Stage) -> None:
    """It is listed only on demand; what is billed for it still counts as it, and pays."""
    key = api.post("/product_book", {**INBOX, "archived": True})["key"]
    assert api.get("/product_book")["items"] == []
    assert [item["key"] for item in api.get("/product_book", archived=True)["items"]] == [key]
    pays_for_inbox(stage, line("prod_inbox", 9900))
    assert [row[4] for row in stage.commissions()] == [1980]


def test_ids_added_and_taken_away_count_for_what_was_billed_before(api: Api, stage: Stage) -> None:
    """A payment whose price leads nowhere pays once the alias is there, and no longer once it is gone."""
    key = api.post("/product_book", {"name": "Inbox"})["key"]
    pays_for_inbox(stage, line("prod_old", 9900))
    assert stage.commissions() == []
    placeholder = api.get("/product_book", external_key="prod_old")["items"][0]
    assert placeholder["needs_review"]
    api.patch(f"/product_book/{placeholder['key']}", {"external_key": None, "aliases": []})
    api.patch(f"/product_book/{key}", {"aliases": ["prod_old"]})
    stage.drainer.sweep()
    assert [row[4] for row in stage.commissions()] == [1980]
    api.patch(f"/product_book/{key}", {"aliases": []})
    stage.drainer.sweep()
    assert stage.commissions() == []


def test_an_entry_made_for_a_sale_is_described_by_the_first_who_says_what_it_is(api: Api, stage: Stage) -> None:
    """A POST with the external_key of an entry that waits for review names that one, from the beginning of time."""
    pays_for_inbox(stage, line("prod_inbox", 9900))
    (waiting,) = api.get("/product_book", needs_review=True)["items"]
    assert waiting["name"] == "prod_inbox"
    described = api.post("/product_book", INBOX)
    assert (described["key"], described["needs_review"]) == (waiting["key"], False)
    stage.drainer.sweep()
    assert [row[4] for row in stage.commissions()] == [1980]
    assert stage.ask("select action from audit_log") == [("product_book.changed",)]


def test_an_entry_follows_the_provider_if_it_says_so(api: Api, stage: Stage) -> None:
    """Then it is called what the provider's catalogue says; what a person says ends that."""
    key = api.post("/product_book", {"name": "Inbox", "external_key": "prod_inbox"})["key"]
    assert not api.get(f"/product_book/{key}")["follows_provider"]
    assert api.patch(f"/product_book/{key}", {"follows_provider": True})["follows_provider"]
    assert not api.patch(f"/product_book/{key}", {"description": "Ours"})["follows_provider"]
    nameless = api.post("/product_book", {"name": "Other"})["key"]
    refusal = api.patch(f"/product_book/{nameless}", {"follows_provider": True}, 400)
    assert refusal["errors"][0]["field"] == "follows_provider"


def pays_for_inbox(stage: Stage, sold: Any) -> None:
    """ada's customer pays for something; 20 % of what is called Inbox is hers."""
    stage.partner("ada")
    stage.trigger("trg", "20", rules={"field": "product.name", "op": "is_any_of", "value": ["Inbox"]})
    stage.play(
        [
            stripe_events.customer("cus_1", customer_key="acme", partner_key="ada"),
            stripe_events.invoice_paid("in_1", customer="cus_1", subscription="sub_1", lines=[sold]),
        ]
    )
