"""Recording what the company states: links, whose sale a product is, and what posted payments do not prove."""

from datetime import UTC, datetime, timedelta

from domain import ids
from domain.customers import Claim
from domain.facts import (
    PERSONS_WORD,
    BillingEvent,
    CustomerLinked,
    CustomerSeen,
    InvoiceLine,
    InvoicePaid,
    ProductClaimed,
    ProductStatus,
    Source,
    SubscriptionItem,
    SubscriptionSeen,
)
from domain.known import BEGINNING, Changes, Known, SubscriptionWindow
from domain.products import ProductVersion
from domain.record import record

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LOOKBACK = timedelta(days=30)
ACME, OTHER = ids.customer_key("acme"), ids.customer_key("other")


def at(second: int, version: int = 0) -> Source:
    """A word of some second."""
    return Source(version, NOON + timedelta(seconds=second), 1, f"evt_{second}")


def linked(second: int, company_key: str) -> CustomerLinked:
    """A person's word that Stripe's cus_1 is a customer of the company's."""
    return CustomerLinked("stripe", "cus_1", at(second, PERSONS_WORD), company_key)


def seen(second: int, company_key: str | None, **details: str) -> CustomerSeen:
    """Stripe's cus_1 as an event showed it."""
    return CustomerSeen("stripe", "cus_1", at(second), customer_key=company_key, **details)  # type: ignore[arg-type]


def after(*events: BillingEvent) -> str | None:
    """Whose cus_1 is in the end, told one by one."""
    known = Known()
    for event in events:
        changes = record([event], known, LOOKBACK)
        known = Known(
            {**known.provider_customers, **changes.provider_customers}, {**known.customers, **changes.customers}
        )
    return known.provider_customers[("stripe", "cus_1")].customer


def test_a_person_s_link_counts_more_than_metadata_whatever_comes_first() -> None:
    """Even a later event does not undo it; among people the newest word counts."""
    for events in ((linked(1, "acme"), seen(9, "other")), (seen(9, "other"), linked(1, "acme"))):
        assert after(*events) == ACME
    for links in ((linked(1, "acme"), linked(2, "other")), (linked(2, "other"), linked(1, "acme"))):
        assert after(*links, seen(3, "third")) == OTHER


def test_what_moved_because_of_a_link_is_judged_again() -> None:
    """Every payment of the customer under either name, from the beginning; the cause is the company's word."""
    known = Known(record([seen(1, None)], Known(), LOOKBACK).provider_customers)
    touched = record([linked(5, "acme")], known, LOOKBACK).touched
    assert touched.customers == {("stripe", "cus_1"): (BEGINNING, "api:evt_5")}
    assert touched.moved == {ACME: "api:evt_5"}


def test_the_company_s_own_id_is_linked_to_itself() -> None:
    """Whoever is merely named in a posted payment is that customer, described or not."""
    paid = InvoicePaid("api", "t-1", "acme", at(0), NOON, "usd", (), lines_missing=False)
    changes = record([paid], Known(), LOOKBACK)
    assert changes.provider_customers[("api", "acme")].customer == ACME
    assert changes.customers[ACME].customer_key == "acme"
    assert list(changes.transactions) == ["t-1"]


def test_an_attribution_may_say_from_when_it_holds() -> None:
    """`attributed_at` is the claim's own beginning."""
    since = NOON - timedelta(days=200)
    told = CustomerSeen(
        "api", "acme", at(0), customer_key="acme", partner_key="ada", member_key="amy", attributed_at=since
    )
    (claim,) = record([told], Known(), LOOKBACK).claims
    assert claim == Claim("api:customer:acme", "ada", "amy", NOON, "api:evt_0", since)


def state(second: int, *products: str, provider: str = "api") -> SubscriptionSeen:
    """A subscription as it was stated."""
    items = tuple(SubscriptionItem(product, (), 1, 100) for product in products)
    return SubscriptionSeen(
        provider, "sub_1", "acme", at(second), NOON + timedelta(seconds=second), ProductStatus.ACTIVE, "active",
        ended=False, absorbing=False, currency="usd", items=items,
    )  # fmt: skip


def window(*products: str) -> SubscriptionWindow:
    """What is known of sub_1 since noon: these products were there before."""
    before = SubscriptionWindow(NOON).before
    known = {product: ProductVersion(NOON - timedelta(days=9), ProductStatus.ACTIVE) for product in products}
    return SubscriptionWindow(NOON, type(before)(known, frozenset(products)))


def told(event: BillingEvent, *products: str, provider: str = "api") -> Changes:
    """What an event changes where these products are known."""
    return record([event], Known(subscriptions={(provider, "sub_1"): window(*products)}), LOOKBACK)


def test_a_new_product_is_news_to_every_line_that_may_refer_to_it() -> None:
    """From the beginning of time: a bare key that meant one product may now mean two. A mere change only from then."""
    added = told(state(5, "chat", "inbox"), "chat").touched.references
    assert {key: since for key, (since, _) in added.items()} == dict.fromkeys(
        ("sub_1", "sub_1/chat", "sub_1/inbox"), BEGINNING
    )
    changed = told(state(5, "chat"), "chat").touched
    assert changed.references == {key: (at(5).occurred_at, "api:evt_5") for key in ("sub_1", "sub_1/chat")}


def test_a_product_s_partner_is_claimed_whoever_bills_it() -> None:
    """The claim is about that product alone, and every payment for it is judged again from when the claim holds."""
    claimed = ProductClaimed("stripe", "sub_1", "chat", at(5), "bob", "ben", provider_customer_key="cus_1")
    changes = told(claimed, provider="stripe")
    since = at(5).occurred_at - LOOKBACK
    assert changes.claims == [Claim("stripe:product:sub_1/chat", "bob", "ben", at(5).occurred_at, "api:evt_5")]
    assert changes.touched.subscriptions == {("stripe", "sub_1"): (since, "api:evt_5")}
    assert set(changes.touched.references) == {"sub_1", "sub_1/chat"}


def test_a_subscription_s_partner_is_news_to_lines_that_refer_to_its_products() -> None:
    """All of them, those of earlier snapshots included."""
    event = SubscriptionSeen(
        "stripe", "sub_1", "cus_1", at(5), at(5).occurred_at, ProductStatus.ACTIVE, "active", ended=False,
        absorbing=True, currency="usd", items=(SubscriptionItem("inbox", (), 1, 100),), partner_key="bob",
    )  # fmt: skip
    changes = told(event, "chat", provider="stripe")
    assert set(changes.touched.references) == {"sub_1", "sub_1/chat", "sub_1/inbox"}


def test_a_posted_payment_proves_no_product() -> None:
    """What it refers to is not Active because of it: the company states how its products are."""
    line = InvoiceLine("lic_7", "lic_7", None, (), 100, 0, None, recurring=False)
    paid = InvoicePaid("api", "t-1", "acme", at(0), NOON, "usd", (line,), lines_missing=False)
    changes = record([paid], Known(), LOOKBACK)
    assert (changes.histories, changes.entries) == ({}, {})
