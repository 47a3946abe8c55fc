"""Fetching what an event left out, from a Stripe that answers over real HTTP."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from domain.errors import CannotProcess, TryLater
from domain.facts import InvoicePaid
from infra.pace import Pace
from infra.providers.stripe.client import API_VERSION, Reversals, StripeApi, UnknownObject
from infra.providers.stripe.completing import with_all_lines
from infra.providers.stripe.translate import translate
from tests.builders import body, line, stripe_events
from tests.fake_stripe import FakeStripe, Trouble, fake_stripe

LINES_PATH = "/v1/invoices/in_1/lines"


@pytest.fixture
def fake() -> Iterator[FakeStripe]:
    """A Stripe of our own, on loopback."""
    with fake_stripe() as running:
        yield running


@pytest.fixture
def api(fake: FakeStripe) -> Iterator[StripeApi]:
    """A client of it that does not retry by itself and waits little."""
    client = StripeApi("sk_test_1", fake.api_base, timeout_s=(2.0, 0.5), network_retries_max=0)
    yield client
    client.close()


def lines(count: int) -> list[dict[str, Any]]:
    """Raw lines of in_1, priced 1, 2, 3, ..."""
    examples = [line(f"prod_{number}", number, subscription="sub_1") for number in range(1, count + 1)]
    event = stripe_events.invoice_paid("in_1", customer="cus_1", lines=examples)
    found: list[dict[str, Any]] = event["data"]["object"]["lines"]["data"]
    return found


@pytest.mark.parametrize("count", [0, 1, 100, 101, 250])
def test_every_page_is_fetched_in_order(fake: FakeStripe, api: StripeApi, count: int) -> None:
    """All lines arrive once and in order, a hundred per request, after the last one seen."""
    fake.lists[LINES_PATH] = lines(count)
    assert api.fetch_invoice_lines("in_1") == fake.lists[LINES_PATH]
    assert len(fake.requests) == max(1, -(-count // 100))
    assert {request.query["limit"] for request in fake.requests} == {"100"}
    held = [entry["id"] for entry in fake.lists[LINES_PATH]]
    assert [request.query.get("starting_after") for request in fake.requests] == [None, *held[99 : count - 1 : 100]]


def test_requests_carry_the_key_and_a_pinned_version(fake: FakeStripe, api: StripeApi) -> None:
    """Stripe is asked in the version whose shapes are tested, with the configured key."""
    fake.lists[LINES_PATH] = []
    api.fetch_invoice_lines("in_1")
    (request,) = fake.requests
    headers = {name.lower(): value for name, value in request.headers.items()}
    assert headers["stripe-version"] == API_VERSION
    assert headers["authorization"] == "Bearer sk_test_1"


def test_subscription_items_are_fetched_by_subscription(fake: FakeStripe, api: StripeApi) -> None:
    """Items are listed for one subscription."""
    fake.lists["/v1/subscription_items"] = [{"id": "si_1"}, {"id": "si_2"}]
    assert [entry["id"] for entry in api.fetch_subscription_items("sub_1")] == ["si_1", "si_2"]
    assert fake.requests[0].query["subscription"] == "sub_1"


def test_fetched_lines_complete_an_event(fake: FakeStripe, api: StripeApi) -> None:
    """An event with ten of its 120 lines translates into all of them once they are fetched."""
    fake.lists[LINES_PATH] = lines(120)
    event = stripe_events.invoice_paid("in_1", customer="cus_1", lines=[], has_more=True)
    event["data"]["object"]["lines"]["data"] = lines(10)
    filled = with_all_lines(body(event), api.fetch_invoice_lines("in_1"))
    answer = translate(event["type"], event["id"], datetime(2026, 4, 1, tzinfo=UTC), filled)
    assert isinstance(answer, tuple)
    (paid,) = answer
    assert isinstance(paid, InvoicePaid)
    assert not paid.lines_missing
    assert [entry.amount_minor for entry in paid.lines] == list(range(1, 121))


@pytest.mark.parametrize("status", [409, 429, 500, 502, 503])
def test_trouble_that_passes_is_for_later(fake: FakeStripe, api: StripeApi, status: int) -> None:
    """A busy or failing Stripe postpones the work, and the next call finds everything."""
    fake.lists[LINES_PATH] = lines(3)
    fake.troubles.append(Trouble(status))
    with pytest.raises(TryLater):
        api.fetch_invoice_lines("in_1")
    assert len(api.fetch_invoice_lines("in_1")) == 3


def test_trouble_between_pages_loses_nothing(fake: FakeStripe, api: StripeApi) -> None:
    """A rate limit on the second page gives no half list; asked again, all lines come."""
    fake.lists[LINES_PATH] = lines(150)
    fake.troubles += [Trouble(), Trouble(429)]
    with pytest.raises(TryLater, match="slow down"):
        api.fetch_invoice_lines("in_1")
    assert len(api.fetch_invoice_lines("in_1")) == 150


def test_a_retry_that_stripe_asks_for_is_made_at_once(fake: FakeStripe) -> None:
    """With `Stripe-Should-Retry` the SDK tries again by itself, once as configured."""
    fake.lists[LINES_PATH] = lines(2)
    fake.troubles.append(Trouble(429, headers={"Stripe-Should-Retry": "true"}))
    client = StripeApi("sk_test_1", fake.api_base, network_retries_max=1)
    assert len(client.fetch_invoice_lines("in_1")) == 2
    assert len(fake.requests) == 2
    client.close()


def test_a_slow_stripe_is_given_up_in_time(fake: FakeStripe, api: StripeApi) -> None:
    """An answer that does not come within the timeout postpones the work."""
    fake.lists[LINES_PATH] = lines(1)
    fake.troubles.append(Trouble(delay_s=20.0))
    started = time.monotonic()
    with pytest.raises(TryLater, match="could not be reached"):
        api.fetch_invoice_lines("in_1")
    assert time.monotonic() - started < 5


def test_nobody_listening_is_for_later() -> None:
    """A Stripe that cannot be reached postpones the work."""
    with fake_stripe() as gone:
        address = gone.api_base
    client = StripeApi("sk_test_1", address, timeout_s=(0.5, 0.5), network_retries_max=0)
    with pytest.raises(TryLater, match="could not be reached"):
        client.fetch_invoice_lines("in_1")
    client.close()


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_waits_for_the_operator(fake: FakeStripe, api: StripeApi, status: int) -> None:
    """A wrong key is mended by a person: the event waits, the message names the setting and never the key."""
    fake.troubles.append(Trouble(status))
    with pytest.raises(TryLater, match="STRIPE_API_KEY") as caught:
        api.fetch_invoice_lines("in_1")
    assert "sk_test" not in str(caught.value)


@pytest.mark.parametrize("status", [400, 402, 404])
def test_what_stripe_does_not_know_is_final(fake: FakeStripe, api: StripeApi, status: int) -> None:
    """No retry helps where Stripe knows no such invoice."""
    fake.troubles.append(Trouble(status))
    with pytest.raises(CannotProcess, match=str(status)):
        api.fetch_invoice_lines("in_1")


@pytest.mark.parametrize(
    "key", ["", "in_1/../../v1/charges", "in_1?x=1", "../in_1", "in_1\n", "in_ä", "in", "in_" * 99]
)
def test_only_ids_get_into_a_path(fake: FakeStripe, api: StripeApi, key: str) -> None:
    """What is not shaped like an id is refused before anything is asked."""
    for fetch in (api.fetch_invoice_lines, api.fetch_subscription_items):
        with pytest.raises(CannotProcess, match="not an id"):
            fetch(key)
    assert fake.requests == []


@pytest.mark.parametrize(
    "answer",
    [b"[]", b'{"data": 7}', b'{"data": [7]}', b'{"data": [], "has_more": true}', b'{"data": [{}], "has_more": 1}'],
)
def test_an_answer_that_is_no_list_is_final(fake: FakeStripe, api: StripeApi, answer: bytes) -> None:
    """A list that is none, or that promises more without an object to go on from, ends in an error, not a loop."""
    fake.troubles.append(Trouble(body=answer))
    with pytest.raises(CannotProcess, match=r"something other than|promised more"):
        api.fetch_invoice_lines("in_1")


def test_a_list_without_an_end_is_given_up(fake: FakeStripe, api: StripeApi) -> None:
    """A hundred pages are more than any invoice has."""
    fake.troubles += [Trouble(body=b'{"data": [{"id": "il_1"}], "has_more": true}')] * 101
    with pytest.raises(CannotProcess, match="no end"):
        api.fetch_invoice_lines("in_1")
    assert len(fake.requests) == 100


SINCE = datetime(2026, 3, 1, tzinfo=UTC)


def test_events_are_listed_page_by_page(fake: FakeStripe, api: StripeApi) -> None:
    """Of the time asked for, each once, one request a page, going on wherever one is told to."""
    fake.lists["/v1/events"] = [{"id": f"evt_{number}"} for number in range(250)]
    after: str | None = None
    listed: list[dict[str, Any]] = []
    seen: list[str | None] = []
    while not seen or after is not None:
        objects, after = api.list_events(SINCE, after)
        listed += objects
        seen.append(after)
    assert [entry["id"] for entry in listed] == [f"evt_{number}" for number in range(250)]
    assert seen == ["evt_99", "evt_199", None]
    assert [request.query.get("created[gte]") for request in fake.requests] == ["1772323200"] * 3
    assert [request.query.get("starting_after") for request in fake.requests] == [None, "evt_99", "evt_199"]


def test_paid_invoices_and_all_subscriptions_are_listed(fake: FakeStripe, api: StripeApi) -> None:
    """Invoices by status and time, subscriptions ended or not, however old."""
    fake.lists["/v1/invoices"], fake.lists["/v1/subscriptions"] = [{"id": "in_1"}], [{"id": "sub_1"}]
    assert api.list_invoices(SINCE) == ([{"id": "in_1"}], None)
    assert api.list_subscriptions() == ([{"id": "sub_1"}], None)
    asked = [(r.query.get("status"), r.query.get("created[gte]")) for r in fake.requests]
    assert asked == [("paid", "1772323200"), ("all", None)]


@pytest.mark.parametrize("kind", ["refunds", "credit_notes", "disputes"])
def test_what_was_taken_back_is_listed_page_by_page(fake: FakeStripe, api: StripeApi, kind: Reversals) -> None:
    """Of the time asked for, whatever came of it, going on behind the last of a page."""
    fake.lists[f"/v1/{kind}"] = [{"id": f"r_{number}", "status": "failed"} for number in range(150)]
    first, after = api.list_reversals(kind, SINCE)
    second, last = api.list_reversals(kind, SINCE, after)
    assert (first + second, after, last) == (fake.lists[f"/v1/{kind}"], "r_99", None)
    assert [request.query for request in fake.requests] == [
        {"created[gte]": "1772323200", "limit": "100"},
        {"created[gte]": "1772323200", "limit": "100", "starting_after": "r_99"},
    ]


@pytest.mark.parametrize(
    ("key", "livemode"),
    [("sk_live_1", True), ("rk_live_1", True), ("sk_test_1", False), ("rk_test_1", False), ("k", None)],
)
def test_a_key_says_of_which_mode_it_is(key: str, livemode: bool | None) -> None:
    """Secret or restricted; anything else says nothing."""
    assert StripeApi(key).livemode is livemode


def test_trouble_in_the_middle_of_a_list_is_told(fake: FakeStripe, api: StripeApi) -> None:
    """What came before it has been given out; the same page can be asked for again."""
    fake.lists["/v1/events"] = [{"id": f"evt_{number}"} for number in range(150)]
    fake.troubles += [Trouble(), Trouble(500)]
    _, after = api.list_events(SINCE)
    with pytest.raises(TryLater):
        api.list_events(SINCE, after)
    assert len(api.list_events(SINCE, after)[0]) == 50


# --- patience


@pytest.fixture
def patient(fake: FakeStripe) -> Iterator[tuple[StripeApi, list[float]]]:
    """A client that tries three times, and what it would have slept."""
    slept: list[float] = []
    client = StripeApi("sk_test_1", fake.api_base, network_retries_max=2, sleep=slept.append)
    yield client, slept
    client.close()


def test_what_passes_is_tried_again_with_growing_patience(
    fake: FakeStripe, patient: tuple[StripeApi, list[float]]
) -> None:
    """Two failures are waited out, the second longer than the first, and the third answer counts."""
    api, slept = patient
    fake.objects["/v1/invoices/in_1"] = {"id": "in_1"}
    fake.troubles += [Trouble(500), Trouble(429)]
    assert api.fetch("invoices", "in_1") == {"id": "in_1"}
    assert len(slept) == 2
    assert 0.2 <= slept[0] <= 0.5 <= slept[1] + 0.11


def test_trying_again_has_an_end(fake: FakeStripe, patient: tuple[StripeApi, list[float]]) -> None:
    """After three failures it is for later."""
    api, _ = patient
    fake.troubles += [Trouble(503)] * 9
    with pytest.raises(TryLater, match="503"):
        api.fetch("invoices", "in_1")
    assert len(fake.requests) == 3


def test_stripe_says_how_long_to_wait(fake: FakeStripe, patient: tuple[StripeApi, list[float]]) -> None:
    """A short Retry-After is waited here, a long one is the inbox row's next attempt."""
    api, slept = patient
    fake.objects["/v1/invoices/in_1"] = {"id": "in_1"}
    fake.troubles += [Trouble(429, headers={"Retry-After": "3"})]
    assert api.fetch("invoices", "in_1") == {"id": "in_1"}
    assert 3.2 <= slept[0] <= 3.6
    fake.troubles += [Trouble(429, headers={"Retry-After": "120"})]
    with pytest.raises(TryLater) as caught:
        api.fetch("invoices", "in_1")
    assert (caught.value.again_after_s, len(slept)) == (120, 1)


@pytest.mark.parametrize("said", ["", "soon", "-5", "1e9", "Wed, 25 Nov 2026 07:28:00 GMT"])
def test_an_odd_retry_after_is_none(fake: FakeStripe, api: StripeApi, said: str) -> None:
    """What is no number of seconds is not obeyed, and breaks nothing."""
    fake.troubles.append(Trouble(429, headers={"Retry-After": said}))
    with pytest.raises(TryLater) as caught:
        api.fetch("invoices", "in_1")
    assert caught.value.again_after_s is None


def test_nothing_is_asked_beyond_the_pace(fake: FakeStripe) -> None:
    """Where no turn is free, Stripe is not even asked."""
    pace = Pace("stripe", 1, patience_s=0.1)
    api = StripeApi("sk_test_1", fake.api_base, network_retries_max=0, pace=pace)
    pace.take()
    with pytest.raises(TryLater, match="times a second"):
        api.fetch("invoices", "in_1")
    assert fake.requests == []
    api.close()


# --- objects, and what a payment led to


def test_what_stripe_does_not_know_is_told_apart(fake: FakeStripe, api: StripeApi) -> None:
    """A 404 says that the object is not there, which no retry changes."""
    with pytest.raises(UnknownObject):
        api.fetch("products", "small-monthly")
    with pytest.raises(CannotProcess, match="not an id"):
        api.fetch("products", "../accounts")
    assert [request.path for request in fake.requests] == ["/v1/products/small-monthly"]


def test_a_connected_account_is_asked_about_in_its_name(fake: FakeStripe, api: StripeApi) -> None:
    """Only the requests of that account's client carry the account."""
    fake.objects["/v1/invoices/in_1"] = {"id": "in_1"}
    api.of_account("acct_1").fetch("invoices", "in_1")
    api.of_account(None).fetch("invoices", "in_1")
    named = [{name.lower(): value for name, value in request.headers.items()} for request in fake.requests]
    assert [headers.get("stripe-account") for headers in named] == ["acct_1", None]


def test_a_payment_leads_to_its_invoices_or_its_session(fake: FakeStripe, api: StripeApi) -> None:
    """By payment intent or by charge; only a payment intent comes from a session."""
    fake.lists["/v1/invoice_payments"] = [
        {"id": "inpay_1", "invoice": "in_1", "payment": {"type": "payment_intent", "payment_intent": "pi_1"}},
        {"id": "inpay_2", "invoice": "in_2", "payment": {"type": "charge", "charge": "ch_2"}},
    ]
    fake.lists["/v1/checkout/sessions"] = [{"id": "cs_test_a1", "payment_intent": "pi_3"}]
    assert api.find_invoices_paid_by("pi_1") == ["in_1"]
    assert api.find_invoices_paid_by("ch_2") == ["in_2"]
    assert api.find_invoices_paid_by("pi_3") == []
    assert api.find_sessions_paid_by("pi_3") == ["cs_test_a1"]
    assert api.find_sessions_paid_by("ch_2") == []
    assert fake.requests[1].query["payment[type]"] == "charge"
