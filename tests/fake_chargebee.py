"""A Chargebee that answers over real HTTP on loopback: objects by id, lists by page, and planned troubles first."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote

from tests.fake_stripe import FakeStripe, error_body, fake_stripe

#: What a list is called, and what stands around each of its entries.
_ENTRIES = {
    "credit_notes": "credit_note",
    "events": "event",
    "invoices": "invoice",
    "subscriptions": "subscription",
    "customers": "customer",
    "transactions": "transaction",
}
#: What a list is narrowed to from a second on, which is itself left out.
_AFTER = {"occurred_at[after]": "occurred_at", "date[after]": "date", "updated_at[after]": "updated_at"}


@contextmanager
def fake_chargebee() -> Iterator[FakeStripe]:
    """A running fake that holds `lists` such as `events`; any entry is also there by its id."""
    with fake_stripe(_truth) as fake:
        yield fake


def _truth(fake: FakeStripe, path: str, query: Mapping[str, str]) -> tuple[int, bytes]:
    name, _, key = unquote(path).removeprefix("/api/v2/").partition("/")
    held = fake.lists.get(name)
    if held is None or name not in _ENTRIES:
        return 404, error_body(404)
    if not key:
        return 200, json.dumps(_page(held, _ENTRIES[name], query)).encode()
    found = next((entry for entry in held if entry["id"] == key), None)
    if found is None:
        return 404, error_body(404)
    return 200, json.dumps(_entry(_ENTRIES[name], _with_lines_of(found, query))).encode()


def _page(held: list[dict[str, Any]], name: str, query: Mapping[str, str]) -> dict[str, Any]:
    """`limit` entries from `offset` on; the offset is an opaque text, as Chargebee's is."""
    held = [entry for entry in held if _is_wanted(entry, query)]
    start, limit = _place(query.get("offset")), int(query.get("limit", "10"))
    page: dict[str, Any] = {"list": [_entry(name, _with_lines_of(entry, {})) for entry in held[start : start + limit]]}
    if start + limit < len(held):
        page["next_offset"] = _offset(start + limit)
    return page


def _entry(name: str, entry: dict[str, Any]) -> dict[str, Any]:
    """A subscription comes with its customer beside it."""
    return {name: entry, **({"customer": {"id": "beside"}} if name == "subscription" else {})}


def _is_wanted(entry: Mapping[str, Any], query: Mapping[str, str]) -> bool:
    """By the filters that the client uses; what a test's entry does not say is let through."""
    if (wanted := query.get("id[in]")) is not None and entry["id"] not in json.loads(wanted):
        return False
    for field in ("status", "type"):
        if (one := query.get(f"{field}[is]")) is not None and entry.get(field, one) != one:
            return False
    if entry.get("deleted") and query.get("include_deleted") != "true":
        return False
    seconds = [(int(query[each]), entry.get(field)) for each, field in _AFTER.items() if each in query]
    return all(second is None or second > after for after, second in seconds)


def _with_lines_of(entry: dict[str, Any], query: Mapping[str, str]) -> dict[str, Any]:
    if "line_items" not in entry:
        return entry
    start, limit = _place(query.get("line_items_offset")), int(query.get("line_items_limit", "50"))
    lines = entry["line_items"]
    more = {"line_items_next_offset": _offset(start + limit)} if start + limit < len(lines) else {}
    return {**entry, "line_items": lines[start : start + limit], **more}


def _place(offset: str | None) -> int:
    return int(json.loads(offset)[0]) if offset else 0


def _offset(place: int) -> str:
    return json.dumps([str(place), "230000000"])
