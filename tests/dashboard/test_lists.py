"""Lists by cursor: every item once, in order, whatever arrives meanwhile."""

import threading
from typing import Any

import pytest
from sqlalchemy import text

from tests.dashboard.running import Api
from tests.stage import Stage

SAME_MOMENT = "2026-03-01T12:00:00+00:00"


@pytest.fixture
def entries(stage: Stage) -> list[str]:
    """Keys of 25 entries, newest first; five at a time were made in the same moment."""
    with stage.engine.begin() as connection:
        connection.execute(
            text("""
                insert into product_book (key, created_at)
                select 'pbook_' || lpad(n::text, 2, '0'), cast(:at as timestamptz) + (n / 5) * interval '1 second'
                from generate_series(0, 24) n
            """),
            {"at": SAME_MOMENT},
        )
        connection.execute(
            text("insert into product_book_names (key, version, name) select key, 1, key from product_book")
        )
    return [f"pbook_{number:02}" for number in range(24, -1, -1)]


def walk(api: Api, **query: Any) -> list[str]:
    """All keys, page by page."""
    keys: list[str] = []
    more = True
    while more:
        page = api.get("/product_book", **query)
        keys += [item["key"] for item in page["items"]]
        query["starting_after"] = keys[-1]
        more = page["has_more"]
    return keys


@pytest.mark.parametrize("limit", [1, 4, 5, 25, 250])
def test_pages_show_everything_once_in_order(limit: int, api: Api, entries: list[str]) -> None:
    """Newest first, ties by key; oldest first where asked; no item twice or left out, whatever a page holds."""
    assert walk(api, limit=limit) == entries
    assert walk(api, limit=limit, order_by="created_at") == entries[::-1]


def test_the_page_before_an_item_is_the_nearest_one(api: Api, entries: list[str]) -> None:
    """`ending_before` gives the items just before, in the list's order, and says whether there are more before them."""
    page = api.get("/product_book", ending_before=entries[10], limit=4)
    assert ([item["key"] for item in page["items"]], page["has_more"]) == (entries[6:10], True)
    page = api.get("/product_book", ending_before=entries[3], limit=4)
    assert ([item["key"] for item in page["items"]], page["has_more"]) == (entries[:3], False)


def test_nothing_shifts_while_rows_arrive(api: Api, stage: Stage, entries: list[str]) -> None:
    """Walked while another thread inserts newer rows all the time, what was there is shown once, in order."""
    done = threading.Event()

    def insert() -> None:
        number = 0
        while not done.is_set():
            number += 1
            with stage.engine.begin() as connection:
                key = {"key": f"pbook_new_{number}"}
                connection.execute(text("insert into product_book (key) values (:key)"), key)
                connection.execute(text("insert into product_book_names values (:key, 1, null, 'new')"), key)
            done.wait(0.005)

    thread = threading.Thread(target=insert)
    thread.start()
    try:
        found = walk(api, limit=2)
    finally:
        done.set()
        thread.join()
    assert [key for key in found if "new" not in key] == entries
    assert len(set(found)) == len(found)
    assert stage.ask("select count(*) from product_book")[0][0] > len(entries)


def test_a_cursor_need_not_pass_the_filters_any_more(api: Api, entries: list[str]) -> None:
    """An item that was changed out of the list while it was walked still says where to go on."""
    first = api.get("/product_book", limit=5)["items"]
    api.patch(f"/product_book/{first[-1]['key']}", {"archived": True})
    page = api.get("/product_book", limit=5, starting_after=first[-1]["key"])
    assert [item["key"] for item in page["items"]] == entries[5:10]


def test_periods_take_both_ends(api: Api, entries: list[str]) -> None:
    """`min_created` and `max_created` are milliseconds, both included."""
    at = 1_772_366_400_000
    found = api.get("/product_book", min_created=at + 1000, max_created=at + 2000, limit=250)["items"]
    assert [item["key"] for item in found] == entries[10:20]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"starting_after": "pbook_none"}, "starting_after"),
        ({"ending_before": "pbook_none"}, "ending_before"),
        ({"starting_after": "pbook_01", "ending_before": "pbook_02"}, "ending_before"),
        ({"limit": 0}, "limit"),
        ({"limit": 251}, "limit"),
        ({"limit": "ten"}, "limit"),
        ({"order_by": "name"}, "order_by"),
        ({"min_created": -1}, "min_created"),
        ({"page": 2}, "page"),
    ],
)
def test_a_mistake_in_the_query_is_named(query: dict[str, Any], field: str, api: Api, entries: list[str]) -> None:
    """Unknown cursors, wrong limits and unknown parameters are refused by name."""
    refusal = api.get("/product_book", 400, **query)
    assert [each["field"] for each in refusal["errors"]] == [field]
