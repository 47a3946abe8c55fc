"""`/product_book`: what may be said of an entry, and what a change makes of commissions."""

from tests.dashboard.running import Api
from tests.stage import Stage


def test_an_entry_is_made_read_listed_and_changed(api: Api) -> None:
    """What was posted is read back by key and in the list; a PATCH changes what it names and nothing else."""
    made = api.post("/product_book", {"name": "Inbox", "external_key": "prod_inbox", "aliases": ["price_b", "price_a"]})
    assert made["aliases"] == ["price_a", "price_b"]
    assert (made["name"], made["archived"], made["needs_review"], made["description"]) == ("Inbox", False, False, None)
    assert api.get(f"/product_book/{made['key']}") == made
    assert api.get("/product_book") == {"items": [made], "has_more": False}
    changed = api.patch(f"/product_book/{made['key']}", {"description": "Shared"})
    assert changed == {**made, "description": "Shared"}
    assert api.patch(f"/product_book/{made['key']}", {"description": None}) == made
    _ = Stage
