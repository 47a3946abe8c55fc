"""Recording: what events change of the known facts, and which transactions that can affect."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from domain import ids
from domain.customers import Claim, Customer
from domain.facts import (
    BillingEvent,
    CustomerSeen,
    InvoiceLine,
    InvoicePaid,
    ProductStatus,
    Source,
    SubscriptionItem,
    SubscriptionSeen,
)
from domain.known import BEGINNING, Changes, Known, ProviderCustomer, SubscriptionWindow
from domain.products import Evidence, ProductVersion
from domain.record import record, windows
from domain.transactions import transaction_of

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LOOKBACK = timedelta(days=30)
ACME, OTHER = ids.customer_key("acme"), ids.customer_key("other")


def source(second: int, event: str = "") -> Source:
    """An event of some second."""
    return Source(0, NOON + timedelta(seconds=second), 1, event or f"evt_{second}")


def person(second: int, key: str = "cus_1", **details: str) -> CustomerSeen:
    """A customer as an event showed it."""
    return CustomerSeen("stripe", key, source(second), **details)  # type: ignore[arg-type]


def invoice(second: int, *products: str, sub: str = "sub_1", event: str = "", amount: int = 100) -> InvoicePaid:
    """Invoice in_1, paid at noon, with a line per product."""
    lines = tuple(InvoiceLine(f"il_{p}", sub, p, (), amount, 0, 1, recurring=True) for p in products)
    return InvoicePaid("stripe", "in_1", "cus_1", source(second, event), NOON, "usd", lines, lines_missing=False)


def knowing(*people: ProviderCustomer, **said: Claim) -> Known:
    """Customers as providers know them, those of ours they are linked to, and what was said of them."""
    customers = {
        p.customer: Customer(p.customer, "acme" if p.customer == ACME else "other") for p in people if p.customer
    }
    return Known(
        {(p.provider, p.key): p for p in people}, customers, {claim.subject: (claim,) for claim in said.values()}
    )


def linked(changes: Changes) -> dict[str, str | None]:
    """Our customer per provider's customer."""
    return {key: known.customer for (_, key), known in changes.provider_customers.items()}


def test_a_partner_in_the_metadata_makes_a_customer_known_and_the_company_s_own_id_counts_more() -> None:
    """By its provider id at first, under the company's id as soon as one is named, in either order."""
    named, own = person(0, partner_key="ada"), person(1, customer_key="acme")
    assert linked(record([named], Known(), LOOKBACK)) == {"cus_1": ids.customer_key("cus_1")}
    for events in ([named, own], [own, named]):
        assert linked(record(events, Known(), LOOKBACK)) == {"cus_1": ACME}


def test_the_newest_event_describes_and_links_whatever_arrives_last() -> None:
    """An older description and an older link never overwrite newer ones."""
    newer = person(5, customer_key="other", email="new@example.com")
    older = person(1, customer_key="acme", email="old@example.com")
    for events in ([newer, older], [older, newer]):
        changed = record(events, Known(), LOOKBACK).provider_customers[("stripe", "cus_1")]
        assert (changed.customer, changed.email) == (OTHER, "new@example.com")


def test_linking_touches_everything_the_customer_ever_paid() -> None:
    """Whether or not anybody has the customer: a subscription may be a partner's own."""
    changes = record([person(0, customer_key="acme")], knowing(ProviderCustomer("stripe", "cus_1")), LOOKBACK)
    assert changes.touched.customers == {("stripe", "cus_1"): (BEGINNING, "stripe:evt_0")}


def test_a_customer_that_loses_a_name_loses_what_was_said_under_it() -> None:
    """Relinking one provider id touches everything paid under the other ids of the customer it leaves."""
    people = [ProviderCustomer("stripe", key, ACME, link_source=source(0)) for key in ("cus_1", "cus_2")]
    subject = ids.provider_customer_subject("stripe", "cus_1")
    known = knowing(*people, first=Claim(subject, "ada", None, NOON, "stripe:evt_0"))
    changes = record([person(9, customer_key="other")], known, LOOKBACK)
    touched = changes.touched.customers
    assert touched[("stripe", "cus_1")] == (BEGINNING, "stripe:evt_9")
    assert touched[("stripe", "cus_2")] == (BEGINNING, "stripe:evt_9")
    assert set(changes.touched.moved) == {ACME, OTHER}


def test_two_reports_of_one_payment_are_one_transaction() -> None:
    """The newer report counts; telling the same again touches nothing."""
    first, twin = invoice(0, "prod_inbox"), invoice(1, "prod_inbox", event="evt_twin")
    for events in ([first, twin], [twin, first]):
        changes = record(events, Known(), LOOKBACK)
        assert changes.transactions["stripe:in_1"].source.event_key == "evt_twin"
    known = Known(transactions={"stripe:in_1": transaction_of(first)})
    changes = record([twin], known, LOOKBACK)
    assert (changes.touched.transactions, changes.touched.credits) == ({}, {})
    assert record([first], replace(known, transactions={"stripe:in_1": transaction_of(twin)}), LOOKBACK) == Changes(
        provider_customers={("stripe", "cus_1"): ProviderCustomer("stripe", "cus_1")}
    )


def test_a_payment_touches_itself_and_the_credits_that_may_follow_it() -> None:
    """A new charge or credit changes what later credits of the customer take back."""
    touched = record([invoice(0, "prod_inbox")], Known(), LOOKBACK).touched
    assert touched.transactions == {"stripe:in_1": "stripe:evt_0"}
    assert touched.credits == {("stripe", "cus_1"): (NOON, "stripe:evt_0")}


def test_a_payment_that_no_longer_names_a_subscription_takes_its_evidence_along() -> None:
    """Told anew with another subscription, an invoice leaves nothing behind on the first."""
    was = invoice(0, "prod_inbox")
    proof = Evidence("prod_inbox", NOON, True, "usd")
    version = ProductVersion(NOON, ProductStatus.ACTIVE, currency="usd")
    place = ("stripe", "sub_1")
    known = Known(
        transactions={"stripe:in_1": transaction_of(was)},
        subscriptions={
            place: SubscriptionWindow(
                NOON, evidence=(("stripe:in_1", proof),), versions={"prod_inbox": (version,)}
            )
        },
    )  # fmt: skip
    again = invoice(1, "prod_inbox", sub="sub_2", event="evt_again")
    assert set(windows([again], known.transactions)) == {place, ("stripe", "sub_2")}
    changes = record([again], known, LOOKBACK)
    assert changes.histories[place] == (NOON, {})
    assert changes.touched.subscriptions[place] == (NOON, "stripe:evt_again")


def test_recording_again_what_is_recorded_changes_nothing() -> None:
    """The same snapshot in the same window is not written, not folded anew, and touches nothing."""
    seen = SubscriptionSeen(
        "stripe", "sub_1", "cus_1", source(0), NOON, ProductStatus.ACTIVE, "active", False, False, "usd",
        (SubscriptionItem("prod_inbox", (), 1, 100),),
    )  # fmt: skip
    place = ("stripe", "sub_1")
    first = record([seen], Known(subscriptions={place: SubscriptionWindow(NOON)}), LOOKBACK)
    assert set(first.entries) == {ids.product_book_key("stripe", "prod_inbox")}
    window = SubscriptionWindow(NOON, snapshots=(seen,), versions=first.histories[place][1])
    known = Known(first.provider_customers, subscriptions={place: window})
    again: list[BillingEvent] = [seen]
    assert record(again, known, LOOKBACK) == Changes()
