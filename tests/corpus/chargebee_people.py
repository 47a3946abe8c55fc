"""Customers, subscriptions and catalogues of Chargebee, in both of its product catalogs, beside what each means."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from tests import chargebee_events as chargebee
from tests.chargebee_events import NOON, Event, ItemExample, Json
from tests.corpus.cases import NOT_USED, UNREADABLE, Expected

#: (name, about, event, expected)
Row = tuple[str, str, Event, Expected]

WHEN, VERSION = "2026-03-01T12:00:00Z", 1_772_366_400_000
ITEMS = [ItemExample("chat-USD", 4900), ItemExample("inbox-USD", 19800, quantity=2, kind="addon")]
SOLD = [
    {"product_key": "chat-USD", "price_keys": ["chat-USD"], "quantity": 1, "amount_minor": 4900},
    {"product_key": "inbox-USD", "price_keys": ["inbox-USD"], "quantity": 2, "amount_minor": 19800},
]
#: Status, what it is here, whether it is over.
STATUSES = (
    ("future", "none", False),
    ("in_trial", "trial", False),
    ("active", "active", False),
    ("non_renewing", "active", False),
    ("paused", "churned", False),
    ("cancelled", "churned", True),
    ("transferred", "churned", True),
)


def people_cases() -> Iterator[Row]:
    """Every kind in every shape that differs."""
    yield from _customers()
    yield from _statuses()
    yield from _items()
    yield from _versions()
    yield from _endings()
    yield from _catalogues()
    yield from _odd()


def _customers() -> Iterator[Row]:
    named = {"customer_key": "acme", "partner_key": "ada", "member_key": "bea", "seats": 5, "vip": True, "tree": [1]}
    described: Json = {"email": "it@acme.example", "first_name": "Ann", "last_name": "Acme", "meta_data": named}
    described |= {"billing_address": {"country": "de", "object": "billing_address"}}
    said = {
        "fact": "CustomerSeen",
        "provider_customer_key": "c1",
        "rank": 0,
        "version": VERSION,
        "customer_key": "acme",
        "partner_key": "ada",
        "member_key": "bea",
        "email": "it@acme.example",
        "name": "Ann Acme",
        "country": "DE",
        "metadata": {"customer_key": "acme", "partner_key": "ada", "member_key": "bea", "seats": "5", "vip": "true"},
        "created_at": WHEN,
    }
    made = chargebee.event("customer_created", NOON, customer=chargebee.customer("c1", **described))
    yield "customer_created", "meta_data names the customer and whose it is; what is a list stays out", made, [said]
    custom: Json = {"cf_partner_key": "ada", "cf_customer_key": "acme", "cf_Region": "north", "company": "Acme"}
    told = chargebee.event("customer_changed", NOON, customer=chargebee.customer("c1", **custom))
    kept = {key: value for key, value in custom.items() if key.startswith("cf_")}
    seen = {"fact": "CustomerSeen", "provider_customer_key": "c1", "version": VERSION, "created_at": WHEN}
    yield (
        "customer_changed-custom-fields",
        "custom fields say it where there is no meta_data",
        told,
        [seen | {"rank": 1, "customer_key": "acme", "partner_key": "ada", "name": "Acme", "metadata": kept}],
    )
    gone = chargebee.event("customer_deleted", NOON, customer=chargebee.customer("c1", deleted=True))
    yield "customer_deleted", "a deletion carries the last full object", gone, [seen | {"rank": 2, "deleted": True}]
    moved = chargebee.event("customer_moved_out", NOON, customer=chargebee.customer("c1"))
    yield "customer_moved_out", "a customer of another site now is described as ever", moved, [seen | {"rank": 1}]


def seen_as(status: str, worth: str, **more: Any) -> Json:
    """A subscription of `ITEMS` as a fact."""
    usual = {
        "fact": "SubscriptionSeen",
        "subscription_key": "sub_1",
        "provider_customer_key": "c1",
        "rank": 1,
        "version": VERSION,
        "effective_at": WHEN,
        "status": worth,
        "provider_status": status,
        "ended": False,
        "absorbing": False,
        "currency": "usd",
        "items": SOLD,
    }
    return usual | more


def _statuses() -> Iterator[Row]:
    for catalog in (1, 2):
        for status, worth, ended in STATUSES:
            over: Json = {"cancelled_at": chargebee.second(NOON)} if status == "cancelled" else {}
            told = chargebee.subscription("sub_1", "c1", ITEMS, status=status, catalog=catalog, **over)
            event = chargebee.event("subscription_changed", NOON, subscription=told)
            about = f"{status} is {worth} here; catalog {catalog}.0"
            yield f"subscription_changed-{status}--{catalog}", about, event, [seen_as(status, worth, ended=ended)]


def _items() -> Iterator[Row]:
    charged = [*ITEMS, ItemExample("setup-USD", 50000, kind="charge")]
    told = chargebee.subscription("sub_1", "c1", charged)
    event = chargebee.event("subscription_created", NOON, subscription=told)
    yield (
        "subscription_created-charge",
        "a charge is billed once and is no item",
        event,
        [seen_as("active", "active", rank=0)],
    )
    free = chargebee.subscription("sub_1", "c1", ITEMS[:1])
    free["subscription_items"][0] |= {"quantity": 5, "free_quantity": 3, "unit_price": 100}
    del free["subscription_items"][0]["amount"]
    sold = [{**SOLD[0], "quantity": 5, "amount_minor": 200}]
    event = chargebee.event("subscription_changed", NOON, "ev_free", subscription=free)
    yield (
        "subscription_changed-free-units",
        "three of five units are free",
        event,
        [seen_as("active", "active", items=sold)],
    )
    tiered = chargebee.subscription("sub_1", "c1", ITEMS[:1])
    for known in ("quantity", "unit_price", "amount"):
        del tiered["subscription_items"][0][known]
    event = chargebee.event("subscription_changed", NOON, "ev_metered", subscription=tiered)
    sold = [{**SOLD[0], "quantity": None, "amount_minor": None}]
    yield (
        "subscription_changed-metered",
        "usage has no units and no amount",
        event,
        [seen_as("active", "active", items=sold)],
    )
    yens = chargebee.subscription("sub_1", "c1", ITEMS, currency_code="JPY")
    event = chargebee.event("subscription_renewed", NOON, subscription=yens)
    yield "subscription_renewed-jpy", "yen have no minor unit", event, [seen_as("active", "active", currency="jpy")]
    named = chargebee.subscription("sub_1", "c1", ITEMS, meta_data={"partner_key": "bob", "member_key": "cyd"})
    event = chargebee.event("subscription_changed", NOON, "ev_named", subscription=named)
    said = seen_as("active", "active", partner_key="bob", member_key="cyd")
    yield "subscription_changed-partner", "a subscription can be another partner's than its customer", event, [said]


def _versions() -> Iterator[Row]:
    earlier = NOON - timedelta(days=9)
    told = chargebee.subscription("sub_1", "c1", ITEMS, at=earlier)
    event = chargebee.event("subscription_renewal_reminder", NOON, subscription=told)
    said = seen_as("active", "active", version=VERSION - 9 * 86_400_000, effective_at="2026-02-20T12:00:00Z")
    yield "subscription_renewal_reminder", "it has been so since its version, whenever it is told", event, [said]
    unversioned = chargebee.subscription("sub_1", "c1", ITEMS, resource_version=None)
    event = chargebee.event("subscription_changed", NOON, "ev_none", subscription=unversioned)
    yield (
        "subscription_changed-no-version",
        "without a version the event's time stands in for it",
        event,
        [seen_as("active", "active")],
    )
    ahead = chargebee.subscription("sub_1", "c1", ITEMS, resource_version=VERSION + 86_400_000)
    event = chargebee.event("subscription_changed", NOON, "ev_ahead", subscription=ahead)
    yield (
        "subscription_changed-version-ahead",
        "a version of tomorrow orders, but dates nothing",
        event,
        [seen_as("active", "active", version=VERSION + 86_400_000)],
    )


def _endings() -> Iterator[Row]:
    over = chargebee.subscription(
        "sub_1", "c1", ITEMS, status="cancelled", cancelled_at=chargebee.second(NOON) - 86_400
    )
    event = chargebee.event("subscription_cancelled", NOON, subscription=over)
    said = seen_as("cancelled", "churned", ended=True, effective_at="2026-02-28T12:00:00Z")
    yield "subscription_cancelled", "over since `cancelled_at`, not since it is told; it may come back", event, [said]
    leaving = chargebee.subscription(
        "sub_1", "c1", ITEMS, status="non_renewing", cancelled_at=chargebee.second(NOON) + 86_400
    )
    event = chargebee.event("subscription_cancellation_scheduled", NOON, subscription=leaving)
    yield "subscription_cancellation_scheduled", "active until it ends", event, [seen_as("non_renewing", "active")]
    gone = chargebee.subscription("sub_1", "c1", ITEMS, deleted=True)
    event = chargebee.event("subscription_deleted", NOON, subscription=gone)
    said = seen_as("active", "churned", ended=True, absorbing=True, rank=2)
    yield "subscription_deleted", "over for good, whatever status the body carries", event, [said]
    both = chargebee.event(
        "customer_deleted", NOON, "ev_both", customer=chargebee.customer("c1", deleted=True), subscriptions=[gone]
    )
    person = {"fact": "CustomerSeen", "provider_customer_key": "c1", "rank": 2, "version": VERSION, "created_at": WHEN}
    yield "customer_deleted-subscriptions", "its subscriptions go with it", both, [person | {"deleted": True}, said]


def _catalogues() -> Iterator[Row]:
    named: Json = {
        "id": "chat",
        "name": "Live Chat",
        "description": "Talk",
        "status": "active",
        "resource_version": VERSION,
    }
    said = {
        "fact": "ProductDescribed",
        "product_key": "chat",
        "version": VERSION,
        "name": "Live Chat",
        "description": "Talk",
    }
    for kind in ("plan", "addon", "item"):
        made = chargebee.event(f"{kind}_created", NOON, None, **{kind: named})
        yield f"{kind}_created", f"what a {kind} is called", made, [said | {"rank": 0}]
        put_away = chargebee.event(f"{kind}_updated", NOON, None, **{kind: named | {"status": "archived"}})
        yield f"{kind}_updated-archived", "no longer sold", put_away, [said | {"rank": 1, "archived": True}]
        gone = chargebee.event(f"{kind}_deleted", NOON, None, **{kind: named | {"status": "deleted"}})
        yield f"{kind}_deleted", "gone for good", gone, [said | {"rank": 2, "archived": True, "deleted": True}]
    price = {"id": "chat-USD", "item_id": "chat", "name": "Chat USD", "status": "active", "resource_version": VERSION}
    for kind, rank in (("created", 0), ("updated", 1), ("deleted", 2)):
        event = chargebee.event(f"item_price_{kind}", NOON, item_price=price)
        fact = {
            "fact": "PriceDescribed",
            "price_key": "chat-USD",
            "product_key": "chat",
            "version": VERSION,
            "rank": rank,
        }
        yield f"item_price_{kind}", "of which item a price is", event, [fact]
    family = chargebee.event("item_family_created", NOON, item_family={"id": "crm", "name": "CRM"})
    yield "item_family_created", "a family holds items and is none", family, NOT_USED


def _odd() -> Iterator[Row]:
    told = chargebee.subscription("sub_1", "c1", ITEMS, status="dormant")
    event = chargebee.event("subscription_changed", NOON, "ev_dormant", subscription=told)
    yield "subscription_changed-unknown-status", "a status that nobody has explained yet", event, UNREADABLE
    told = chargebee.subscription("sub_1", "c1", ITEMS, subscription_items=None)
    event = chargebee.event("subscription_changed", NOON, "ev_neither", subscription=told)
    yield "subscription_changed-neither-catalog", "neither a plan nor items", event, UNREADABLE
    whole = chargebee.subscription("sub_1", "c1", ITEMS)
    event = chargebee.event("subscription_changed", NOON, "ev_v1", subscription=whole)
    yield (
        "subscription_changed-v1",
        "API v1 calls other things by the same names",
        event | {"api_version": "v1"},
        UNREADABLE,
    )
    event = chargebee.event("coupon_created", NOON, coupon={"id": "TEN", "name": "Ten"})
    yield "coupon_created", "nothing here depends on coupons as such", event, NOT_USED
    event = chargebee.event("rate_limited", NOON, customer=chargebee.customer("c1"))
    yield "rate_limited", "a type nobody knows yet", event, NOT_USED
    event = chargebee.event("subscription_changed", NOON, "ev_empty")
    yield "subscription_changed-empty", "nothing is in it", event, NOT_USED
    event = chargebee.event("item_created", NOON, "ev_no_item")
    yield "item_created-empty", "the item that its type promises is missing", event, UNREADABLE
