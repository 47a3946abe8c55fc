"""Asking Chargebee over real HTTP: what it has, what it has not, and what it does when it will not answer."""

import base64
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from domain.errors import CannotProcess, TryLater
from infra.pace import Pace
from infra.providers.chargebee.client import ChargebeeApi, Name
from tests.fake_chargebee import fake_chargebee
from tests.fake_stripe import FakeStripe, Trouble

SINCE = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def fake() -> Iterator[FakeStripe]:
    """A Chargebee of our own, on loopback."""
    with fake_chargebee() as running:
        yield running


@pytest.fixture
def api(fake: FakeStripe) -> ChargebeeApi:
    """A client of it that does not retry by itself and waits little."""
    return ChargebeeApi("test_key_1", fake.api_base, timeout_s=(2.0, 0.5), retries_max=0)


def events(count: int) -> list[dict[str, Any]]:
    """Events with a custom field and a list of lists in them: nothing may be lost on the way."""
    content = {"customer": {"id": "c", "cf_Partner": "ada", "odd": [[1], {"list": [{}]}]}}
    return [{"id": f"ev_{number}", "object": "event", "content": content} for number in range(count)]


def test_an_event_comes_as_it_is(fake: FakeStripe, api: ChargebeeApi) -> None:
    """The event is what Chargebee holds, field by field, asked for with the configured key."""
    fake.lists["events"] = events(2)
    assert api.fetch_event("ev_1") == fake.lists["events"][1]
    (request,) = fake.requests
    assert request.path == "/api/v2/events/ev_1"
    assert {key.lower(): value for key, value in request.headers.items()}["authorization"] == (
        "Basic " + base64.b64encode(b"test_key_1:").decode()
    )


def test_an_event_that_nobody_sent_is_none(fake: FakeStripe, api: ChargebeeApi) -> None:
    """What Chargebee does not know is told apart from what it would not say."""
    fake.lists["events"] = events(1)
    assert api.fetch_event("ev_forged") is None
    fake.troubles = [Trouble(403)]
    with pytest.raises(TryLater, match="CHARGEBEE_API_KEY"):
        api.fetch_event("ev_0")


@pytest.mark.parametrize("count", [0, 1, 100, 101, 250])
def test_lists_are_read_page_by_page(fake: FakeStripe, api: ChargebeeApi, count: int) -> None:
    """Every entry comes once and in order, a hundred per request, from wherever the last page said to go on."""
    fake.lists["events"] = events(count)
    found, after = api.list_events(SINCE)
    while after is not None:
        page, after = api.list_events(SINCE, after)
        found += page
    assert found == fake.lists["events"]
    assert len(fake.requests) == max(1, -(-count // 100))


def test_each_list_asks_for_what_it_says(fake: FakeStripe, api: ChargebeeApi) -> None:
    """Filters, order, place and page size go out as Chargebee's API reads them; `since` itself is within."""
    for name in ("credit_notes", "events", "invoices", "subscriptions", "transactions"):
        fake.lists[name] = [{"id": "one"}]
    asked = [
        api.list_events(SINCE),
        api.list_events(SINCE, '["0","230000000"]'),
        api.list_invoices(SINCE),
        api.list_subscriptions(),
        api.list_credit_notes(SINCE),
        api.list_transactions("refund", SINCE, '["0","230000000"]'),
        api.list_transactions("payment_reversal", SINCE),
    ]
    assert asked == [([{"id": "one"}], None)] * 7
    before = str(int(SINCE.timestamp()) - 1)
    assert [{key: text for key, text in request.query.items() if key != "limit"} for request in fake.requests] == [
        {"occurred_at[after]": before, "sort_by[asc]": "occurred_at"},
        {"occurred_at[after]": before, "sort_by[asc]": "occurred_at", "offset": '["0","230000000"]'},
        {"date[after]": before, "sort_by[asc]": "date", "status[is]": "paid"},
        {"include_deleted": "true", "sort_by[asc]": "created_at"},
        {"updated_at[after]": before, "sort_by[asc]": "date", "include_deleted": "true"},
        {
            "updated_at[after]": before,
            "sort_by[asc]": "updated_at",
            "type[is]": "refund",
            "offset": '["0","230000000"]',
        },
        {"updated_at[after]": before, "sort_by[asc]": "updated_at", "type[is]": "payment_reversal"},
    ]
    assert {request.query["limit"] for request in fake.requests} == {"100"}


@pytest.mark.parametrize("name", ["credit_note", "customer", "invoice", "subscription", "transaction"])
def test_an_object_comes_by_its_id(fake: FakeStripe, api: ChargebeeApi, name: Name) -> None:
    """It is what Chargebee holds, field by field; what it has not is none, and no id leads elsewhere."""
    fake.lists[f"{name}s"] = [{"id": "one #1", "object": name, "odd": [[1], {"list": [{}]}]}]
    assert api.fetch(name, "one #1") == fake.lists[f"{name}s"][0]
    assert api.fetch(name, "two") is None
    with pytest.raises(CannotProcess, match="not an id"):
        api.fetch(name, "../events")
    assert len(fake.requests) == 2


def test_all_lines_of_a_long_invoice_come(fake: FakeStripe, api: ChargebeeApi) -> None:
    """Lines beyond the first page are fetched, in the invoice's order."""
    fake.lists["invoices"] = [{"id": "INV 17#1", "line_items": [{"id": f"li_{n}", "amount": n} for n in range(230)]}]
    assert api.fetch_invoice_lines("INV 17#1") == fake.lists["invoices"][0]["line_items"]
    assert len(fake.requests) == 3


@pytest.mark.parametrize(
    ("trouble", "error", "reason"),
    [
        (Trouble(401), TryLater, "refused CHARGEBEE_API_KEY"),
        (Trouble(403), TryLater, "refused CHARGEBEE_API_KEY"),
        (Trouble(429), TryLater, "slow down"),
        (Trouble(429, headers={"Retry-After": "3600"}), TryLater, "slow down"),
        (Trouble(500), TryLater, "status 500"),
        (Trouble(503), TryLater, "status 503"),
        (Trouble(delay_s=1.0), TryLater, "could not be reached"),
        (Trouble(502, body=b"<html>bad gateway</html>"), TryLater, "other than JSON"),
        (Trouble(400), CannotProcess, "status 400"),
        (Trouble(404), CannotProcess, "status 404"),
        (Trouble(200, body=b'{"list": 7}'), CannotProcess, "promised"),
        (Trouble(200, body=b"[]"), CannotProcess, "promised"),
        (Trouble(200, body=b'{"list": [{"event": {}}]}'), CannotProcess, "promised"),
    ],
)
def test_troubles_are_sorted_by_what_to_do_next(
    fake: FakeStripe, api: ChargebeeApi, trouble: Trouble, error: type[Exception], reason: str
) -> None:
    """What passes is tried later; what will never do is for a person."""
    fake.lists["invoices"] = [{"id": "1"}]
    fake.troubles = [trouble]
    with pytest.raises(error, match=reason):
        api.list_invoices(SINCE)


def test_what_nobody_answers_is_tried_later() -> None:
    """A closed port is a reason to wait, not to give up."""
    api = ChargebeeApi("test_key_1", "http://127.0.0.1:9", retries_max=0)
    with pytest.raises(TryLater, match="could not be reached"):
        api.fetch_event("ev_1")


def test_a_quick_retry_waits_as_long_as_it_is_told(fake: FakeStripe) -> None:
    """After 429 the next request comes no sooner than Chargebee said, and after 500 there is one as well."""
    fake.lists["events"] = events(1)
    api = ChargebeeApi("test_key_1", fake.api_base, timeout_s=(2.0, 1.0), retries_max=1)
    fake.troubles = [Trouble(429, headers={"Retry-After": "1"})]
    began_s = time.monotonic()
    assert api.fetch_event("ev_0") == fake.lists["events"][0]
    assert time.monotonic() - began_s >= 1
    fake.troubles = [Trouble(500)]
    assert api.fetch_event("ev_0") == fake.lists["events"][0]
    fake.troubles = [Trouble(500), Trouble(500)]
    with pytest.raises(TryLater):
        api.fetch_event("ev_0")
    assert len(fake.requests) == 6


def test_requests_keep_their_pace(fake: FakeStripe) -> None:
    """While others have used up the pace nothing goes out, and whoever asked is told to come again."""
    fake.lists["events"] = events(1)
    pace = Pace("chargebee", 1, patience_s=0)
    api = ChargebeeApi("test_key_1", fake.api_base, retries_max=0, pace=pace)
    pace.take()
    with pytest.raises(TryLater, match="already"):
        api.fetch_event("ev_0")
    assert fake.requests == []


@pytest.mark.parametrize("key", ["", "../customers", "a/b", "a?b", "a%2e", "ev_1\n", "ä", "x" * 256, ".hidden"])
def test_no_id_leads_elsewhere(fake: FakeStripe, api: ChargebeeApi, key: str) -> None:
    """What cannot be an id is refused before anything is asked."""
    with pytest.raises(CannotProcess, match="not an id"):
        api.fetch_event(key)
    assert fake.requests == []
