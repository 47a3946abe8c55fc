"""What Stripe's customer and subscription events mean, told with events of the newest shape."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.errors import Unreadable
from domain.facts import CustomerSeen, ProductStatus, SubscriptionItem, SubscriptionSeen
from tests.builders import fact_of, item, stripe_events

AT = datetime(2026, 4, 1, 12, 0, tzinfo=UTC)
INBOX = item("prod_inbox", price="price_inbox", amount=9900)


def subscription(**details: Any) -> SubscriptionSeen:
    """A subscription of cus_1, translated."""
    fact = fact_of(stripe_events.subscription("sub_1", **{"customer": "cus_1", "items": [INBOX], **details}))
    assert isinstance(fact, SubscriptionSeen)
    return fact


# --- customers


def test_customer_names_its_own_key_partner_and_member() -> None:
    """Metadata links a customer to the company's id, a partner and a team member."""
    seen = fact_of(
        stripe_events.customer("cus_1", customer_key="42", partner_key="ada", member_key="m1", name="Bo", country="de")
    )
    assert isinstance(seen, CustomerSeen)
    assert (seen.provider, seen.provider_customer_key) == ("stripe", "cus_1")
    assert (seen.customer_key, seen.partner_key, seen.member_key) == ("42", "ada", "m1")
    assert (seen.email, seen.name, seen.country) == ("1@example.com", "Bo", "DE")
    assert seen.metadata == {"customer_key": "42", "partner_key": "ada", "member_key": "m1"}
    assert not seen.deleted
    assert (seen.source.version, seen.source.rank, seen.source.occurred_at) == (0, 0, AT)


def test_customer_id_stands_in_for_customer_key() -> None:
    """`metadata.customer_id` is the company's id where `customer_key` is absent or blank."""
    assert fact_of(stripe_events.customer("cus_1", customer_id="42")).customer_key == "42"
    assert fact_of(stripe_events.customer("cus_1", customer_id="42", customer_key=" ")).customer_key == "42"
    assert fact_of(stripe_events.customer("cus_1", customer_id="42", customer_key="7")).customer_key == "7"


def test_blank_metadata_is_absent_and_keys_are_trimmed() -> None:
    """A metadata value of spaces counts as none, and spaces around a key do not make another key."""
    seen = fact_of(stripe_events.customer("cus_1", partner_key="  ", member_key=" m1 ", note="\t"))
    assert (seen.partner_key, seen.member_key) == (None, "m1")
    assert seen.metadata == {"member_key": " m1 "}


def test_blank_name_and_email_are_absent() -> None:
    """Empty strings never reach a fact."""
    seen = fact_of(stripe_events.customer("cus_1", name=" ", email="  "))
    assert (seen.name, seen.email) == (None, None)


@pytest.mark.parametrize("country", ["United States", "U1", "", None, "ÄÖ"])
def test_free_text_is_no_country(country: str | None) -> None:
    """Only two Latin letters are a country."""
    assert fact_of(stripe_events.customer("cus_1", country=country)).country is None


def test_deleted_customer_is_marked_by_event_type_or_tombstone() -> None:
    """`customer.deleted` deletes, whether it carries the last object or no more than an id."""
    whole = stripe_events.customer("cus_1", change="deleted")
    tombstone = stripe_events.customer("cus_1", change="deleted")
    tombstone["data"]["object"] = {"id": "cus_1", "object": "customer", "deleted": True}
    assert fact_of(whole).deleted
    assert fact_of(tombstone).deleted
    assert fact_of(tombstone).metadata is None
    assert fact_of(whole).source.rank == 2


def test_nul_characters_are_dropped_and_escaped_backslashes_kept() -> None:
    """A NUL, which no text column holds, disappears; a backslash before `u0000` is text and stays."""
    event = stripe_events.customer("cus_1", name="A\x00da", note="\\u0000")
    seen = fact_of(event)
    assert (seen.name, seen.metadata) == ("Ada", {"note": "\\u0000"})


# --- subscriptions


@pytest.mark.parametrize(
    ("status", "expected", "ended"),
    [
        ("incomplete", ProductStatus.NONE, False),
        ("trialing", ProductStatus.TRIAL, False),
        ("active", ProductStatus.ACTIVE, False),
        ("past_due", ProductStatus.ACTIVE, False),
        ("unpaid", ProductStatus.CHURNED, False),
        ("paused", ProductStatus.CHURNED, False),
        ("canceled", ProductStatus.CHURNED, True),
        ("incomplete_expired", ProductStatus.CHURNED, True),
    ],
)
def test_every_status_has_its_meaning(status: str, expected: ProductStatus, ended: bool) -> None:
    """Stripe's statuses map as DESIGN section 4 says, and only two of them end for good."""
    seen = subscription(status=status)
    assert (seen.status, seen.ended, seen.absorbing, seen.provider_status) == (expected, ended, ended, status)


def test_unknown_status_needs_an_adapter_and_is_named() -> None:
    """A status that this code does not know is unreadable, with its name, rather than guessed at."""
    with pytest.raises(Unreadable, match=r"adapter: dormant - at `\$\.data\.object\.status`"):
        subscription(status="dormant")


def test_subscription_tells_partner_currency_and_items() -> None:
    """A subscription carries its customer, partner, currency and one item per product."""
    seen = subscription(
        items=[INBOX, item("prod_chat", amount=4900, quantity=2)],
        metadata={"partner_key": "ada", "member_key": "m1"},
        currency="EUR",
    )
    assert (seen.subscription_key, seen.provider_customer_key, seen.currency) == ("sub_1", "cus_1", "eur")
    assert (seen.partner_key, seen.member_key) == ("ada", "m1")
    assert seen.items == (
        SubscriptionItem("prod_chat", ("price_chat",), 2, 9800),
        SubscriptionItem("prod_inbox", ("price_inbox",), 1, 9900),
    )
    assert not seen.items_missing


def test_items_of_one_product_are_added_up() -> None:
    """Two items of one product are one product with both prices; metered usage adds no known amount."""
    seen = subscription(
        items=[
            item("prod_inbox", price="price_b", amount=1900, quantity=3),
            item("prod_inbox", price="price_a", amount=2500),
            item("prod_inbox", price="price_usage", amount=2, quantity=None),
        ]
    )
    assert seen.items == (SubscriptionItem("prod_inbox", ("price_a", "price_b", "price_usage"), 4, 8200),)


@pytest.mark.parametrize(("amount", "quantity"), [(None, 5), (10, None)])
def test_tiered_and_metered_items_have_no_amount(amount: int | None, quantity: int | None) -> None:
    """Without a unit price or a quantity there is no amount per period."""
    (only,) = subscription(items=[item("prod_inbox", amount=amount, quantity=quantity)]).items
    assert (only.amount_minor, only.quantity) == (None, quantity)


@pytest.mark.parametrize(("rounding", "expected"), [("up", 3000), ("down", 2000)])
def test_packages_are_priced_by_the_package(rounding: str, expected: int) -> None:
    """25 units in packages of 10 are three packages rounded up, two rounded down."""
    event = stripe_events.subscription("sub_1", customer="cus_1", items=[item("prod_sms", amount=1000, quantity=25)])
    price = event["data"]["object"]["items"]["data"][0]["price"]
    price["transform_quantity"] = {"divide_by": 10, "round": rounding}
    event["data"]["previous_attributes"] = {"quantity": 11}
    seen = fact_of(event)
    assert seen.items[0].amount_minor == expected
    assert seen.previous_items[0].amount_minor == expected - 1000


def test_cancellation_counts_from_when_it_ended() -> None:
    """`ended_at` beats `canceled_at`, which beats the event's own time."""
    ended, asked = AT - timedelta(hours=1), AT - timedelta(days=9)
    seconds: dict[str, int | None] = {"ended_at": int(ended.timestamp()), "canceled_at": int(asked.timestamp())}
    event = stripe_events.subscription("sub_1", customer="cus_1", items=[INBOX], status="canceled", change="deleted")
    for gone, expected in ((None, ended), ("ended_at", asked), ("canceled_at", AT)):
        seconds |= {gone: None} if gone else {}
        event["data"]["object"] |= seconds
        assert fact_of(event).effective_at == expected
        assert fact_of(event).source.occurred_at == AT


def test_cancel_at_period_end_and_paused_collection_stay_active() -> None:
    """A subscription that will end, or whose collection is paused, is still active, from the event's time on."""
    leaving = subscription(cancel_at_period_end=True, canceled_at=1, change="updated")
    paused = subscription(pause_collection={"behavior": "void", "resumes_at": None}, change="updated")
    for seen in (leaving, paused):
        assert (seen.status, seen.ended, seen.effective_at) == (ProductStatus.ACTIVE, False, AT)


def test_deletion_ends_whatever_the_object_says() -> None:
    """A test body of a deletion may still say active; it ends the subscription and starts nothing."""
    seen = subscription(status="active", change="deleted")
    assert (seen.status, seen.ended, seen.absorbing) == (ProductStatus.CHURNED, True, True)
    assert (seen.effective_at, seen.provider_status) == (AT, "active")


@pytest.mark.parametrize(
    ("change", "rank"),
    [("created", 0), ("updated", 1), ("paused", 1), ("resumed", 1), ("trial_will_end", 1)]
    + [("pending_update_applied", 1), ("pending_update_expired", 1), ("deleted", 2)],
)
def test_every_subscription_event_carries_the_subscription(change: str, rank: int) -> None:
    """All kinds of subscription event are read alike and ranked by where they stand in its life."""
    seen = subscription(change=change)
    assert (seen.subscription_key, seen.source.rank) == ("sub_1", rank)


def test_previous_attributes_tell_status_and_items_before() -> None:
    """What an update changed is kept, so that events of one second can be chained."""
    before = stripe_events.subscription_items("sub_1", [item("prod_chat", amount=4900)], 0)
    seen = subscription(change="updated", previous={"status": "trialing", "items": before})
    assert seen.previous_provider_status == "trialing"
    assert seen.previous_items == (SubscriptionItem("prod_chat", ("price_chat",), 1, 4900),)
    assert subscription(change="updated", previous={"metadata": {"a": None}}).previous_items is None
    assert subscription(change="updated").previous_provider_status is None


def test_previous_plan_and_quantity_are_those_of_the_only_item() -> None:
    """Old versions name the former plan in part, and the former quantity, at the top level."""
    changed_plan = subscription(change="updated", previous={"plan": {"id": "price_old", "amount": 100}})
    assert changed_plan.previous_items == (SubscriptionItem("prod_inbox", ("price_old",), 1, 100),)
    changed_count = subscription(change="updated", previous={"quantity": 3})
    assert changed_count.previous_items == (SubscriptionItem("prod_inbox", ("price_inbox",), 3, 29700),)
    two = [INBOX, item("prod_chat")]
    assert subscription(change="updated", items=two, previous={"quantity": 3}).previous_items is None


@pytest.mark.parametrize("previous", [{"items": {"data": [{}]}}, {"status": 7}, {"items": []}])
def test_odd_previous_attributes_are_no_hint_and_no_harm(previous: dict[str, Any]) -> None:
    """What only breaks ties never keeps an event from being read."""
    seen = subscription(change="updated", previous=previous)
    assert (seen.previous_items, seen.previous_provider_status) == (None, None)
    assert seen.items == (SubscriptionItem("prod_inbox", ("price_inbox",), 1, 9900),)


def test_a_first_page_of_items_says_so() -> None:
    """A subscription with more items than the event carries is marked."""
    event = stripe_events.subscription("sub_1", customer="cus_1", items=[INBOX])
    event["data"]["object"]["items"]["has_more"] = True
    assert fact_of(event).items_missing


@pytest.mark.parametrize("wrong", ["items", "customer", "status"])
def test_subscriptions_need_items_customer_and_status(wrong: str) -> None:
    """A subscription that lacks what every version has is unreadable."""
    event = stripe_events.subscription("sub_1", customer="cus_1", items=[INBOX, INBOX])
    del event["data"]["object"][wrong]
    with pytest.raises(Unreadable, match=f"`{wrong}`"):
        fact_of(event)


@pytest.mark.parametrize("mangled", [{}, {"price": {}}])
def test_items_need_a_price_with_a_name(mangled: dict[str, Any]) -> None:
    """An item that names neither price nor product is unreadable."""
    event = stripe_events.subscription("sub_1", customer="cus_1", items=[INBOX])
    event["data"]["object"]["items"]["data"] = [mangled]
    with pytest.raises(Unreadable, match="items"):
        fact_of(event)


def test_an_amount_beyond_reason_is_unreadable() -> None:
    """Unit price times quantity stays within what the ledger can add up."""
    with pytest.raises(Unreadable, match="Impossible amount"):
        subscription(items=[item("prod_inbox", amount=10**9, quantity=10**9)])
