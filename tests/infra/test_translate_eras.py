"""The same happening, as every API version from 2016 to today sent it."""

from datetime import UTC, datetime

import pytest

from domain.errors import Unreadable
from domain.facts import InvoicePaid, SubscriptionSeen
from infra.providers.stripe.translate import translate
from tests.builders import ERAS, as_2016, as_2019, as_2020, as_acacia, body, fact_of, item, line, stripe_events

AT = datetime(2026, 4, 1, 12, 0, tzinfo=UTC)
ANY_ERA = pytest.mark.parametrize("era", ERAS)
SINCE_2018 = pytest.mark.parametrize("era", [name for name in ERAS if name != "2016"])


@ANY_ERA
def test_customers_look_alike_in_every_era(era: str) -> None:
    """A customer never changed shape."""
    event = stripe_events.customer("cus_1", partner_key="ada")
    assert fact_of(ERAS[era](event)) == fact_of(event)


@SINCE_2018
def test_subscription_means_the_same_in_every_era(era: str) -> None:
    """Two items of a subscription translate into the same fact from 2018 to today."""
    items = [item("prod_inbox", amount=9900), item("prod_chat", amount=4900, quantity=2)]
    event = stripe_events.subscription("sub_1", customer="cus_1", items=items, metadata={"partner_key": "ada"})
    assert fact_of(ERAS[era](event)) == fact_of(event)


@SINCE_2018
def test_cancellation_means_the_same_in_every_era(era: str) -> None:
    """An ended subscription ended at the same moment in every era."""
    event = stripe_events.subscription(
        "sub_1", customer="cus_1", items=[item("prod_inbox")], status="canceled", change="deleted", ended_at=AT
    )
    assert fact_of(ERAS[era](event)) == fact_of(event)


def test_a_2016_subscription_is_its_plan() -> None:
    """In 2016 the plan stands at the top and names no product: its id is price and product."""
    event = as_2016(
        stripe_events.subscription(
            "sub_1", customer="cus_1", items=[item("prod_inbox", price="gold", amount=900, quantity=3)]
        )
    )
    assert "items" not in event["data"]["object"]
    seen = fact_of(event)
    assert isinstance(seen, SubscriptionSeen)
    (only,) = seen.items
    assert (only.product_key, only.price_keys, only.quantity, only.amount_minor) == ("gold", ("gold",), 3, 2700)
    assert seen.currency == "usd"


def test_a_2016_plan_change_names_the_plan_before() -> None:
    """A plan change of 2016 tells the former plan by the parts that changed."""
    event = stripe_events.subscription(
        "sub_1",
        customer="cus_1",
        items=[item("prod_inbox", price="gold", amount=900)],
        change="updated",
        previous={"plan": {"id": "silver", "amount": 400, "name": "Silver"}},
    )
    (before,) = fact_of(as_2016(event)).previous_items
    assert (before.product_key, before.price_keys, before.amount_minor) == ("silver", ("silver",), 400)


@SINCE_2018
def test_invoice_means_the_same_in_every_era(era: str) -> None:
    """Charge, proration credit, one-off item and tax on top give the same lines from 2018 to today."""
    event = stripe_events.invoice_paid(
        "in_1",
        customer="cus_1",
        subscription="sub_1",
        lines=[
            line("prod_inbox", -2500, proration=True),
            line("prod_inbox", 25000, price="price_year", tax=2000),
            line("prod_setup", 700, of_subscription=False, subscription="sub_1"),
        ],
    )
    assert fact_of(ERAS[era](event)) == fact_of(event)


@SINCE_2018
def test_manual_invoice_means_the_same_in_every_era(era: str) -> None:
    """A line without a subscription or a product has none in any era."""
    event = stripe_events.invoice_paid(
        "in_1", customer="cus_1", lines=[line(None, 700), line("prod_shirt", 2900, quantity=2)]
    )
    assert fact_of(ERAS[era](event)) == fact_of(event)


@SINCE_2018
def test_included_tax_and_discount_mean_the_same_in_every_era(era: str) -> None:
    """Tax inside the amount and a coupon are taken out once, hybrids included."""
    event = stripe_events.invoice_paid(
        "in_1",
        customer="cus_1",
        subscription="sub_1",
        lines=[line("prod_inbox", 2000, tax=235, tax_inclusive=True, discount=200)],
    )
    (only,) = fact_of(ERAS[era](event)).lines
    assert (only.amount_minor, only.discount_minor) == (1765, 200)


def test_a_hybrid_fills_both_places_and_counts_once() -> None:
    """Acacia's double filling is there in the body, and its tax, price and subscription count once."""
    event = as_acacia(
        stripe_events.invoice_paid(
            "in_1", customer="cus_1", subscription="sub_1", lines=[line("prod_a", 1200, tax=200, tax_inclusive=True)]
        )
    )
    (sent,) = event["data"]["object"]["lines"]["data"]
    assert sent["taxes"]
    assert sent["tax_amounts"]
    assert sent["price"]["id"] == sent["pricing"]["price_details"]["price"]
    (only,) = fact_of(event).lines
    assert (only.amount_minor, only.price_keys, only.subscription_key) == (1000, ("price_a",), "sub_1")


def test_invoice_discount_of_2019_is_spread_without_losing_a_cent() -> None:
    """A coupon known only to the whole invoice falls on its positive lines by largest remainder."""
    lines = [line("prod_a", 1000), line("prod_b", 1000), line("prod_c", 1000), line("prod_d", -500, proration=True)]
    event = stripe_events.invoice_paid("in_1", customer="cus_1", subscription="sub_1", lines=lines)
    event = as_2019(event)
    event["data"]["object"] |= {"discount": {"object": "discount"}, "subtotal": 2500, "total": 1500}
    paid = fact_of(event)
    assert [entry.discount_minor for entry in paid.lines] == [334, 333, 333, 0]
    assert sum(entry.amount_minor - entry.discount_minor for entry in paid.lines) == 1500


def test_invoice_discount_amounts_without_line_amounts_are_spread() -> None:
    """`total_discount_amounts` counts where no line tells its own share, and only on what a coupon touches."""
    event = as_2020(
        stripe_events.invoice_paid(
            "in_1", customer="cus_1", lines=[line("prod_a", 3000), line("prod_b", 1000), line("prod_c", 900)]
        )
    )
    event["data"]["object"]["total_discount_amounts"] = [{"amount": 150}, {"amount": 50}]
    event["data"]["object"]["lines"]["data"][2]["discountable"] = False
    assert [entry.discount_minor for entry in fact_of(event).lines] == [150, 50, 0]


@pytest.mark.parametrize("discountable", [True, False])
def test_a_spread_discount_never_exceeds_the_lines(discountable: bool) -> None:
    """An impossible discount takes no more than there is, and an undiscountable invoice still carries its own."""
    event = as_2020(stripe_events.invoice_paid("in_1", customer="cus_1", lines=[line("prod_a", 100), line("p", -10)]))
    event["data"]["object"]["total_discount_amounts"] = [{"amount": 999}]
    event["data"]["object"]["lines"]["data"][0]["discountable"] = discountable
    assert [entry.discount_minor for entry in fact_of(event).lines] == [100, 0]


def test_a_2019_discount_needs_the_totals_it_follows_from() -> None:
    """Where the discount is the difference of two totals, both must be there."""
    event = as_2019(stripe_events.invoice_paid("in_1", customer="cus_1", lines=[line("prod_a", 100, discount=10)]))
    del event["data"]["object"]["subtotal"]
    with pytest.raises(Unreadable, match="subtotal"):
        fact_of(event)


def test_a_2016_invoice_is_read_by_what_it_has() -> None:
    """Paid by a flag, timed by the event, tax on top, a discount on the whole, lines named after the subscription."""
    event = as_2016(
        stripe_events.invoice_paid(
            "in_1",
            customer="cus_1",
            subscription="sub_1",
            lines=[line("prod_inbox", 1000, price="gold", discount=100, tax=90), line("prod_chat", 0, price="free")],
        )
    )
    assert "status" not in event["data"]["object"]
    paid = fact_of(event)
    assert isinstance(paid, InvoicePaid)
    assert paid.paid_at == AT
    first, second = paid.lines
    assert (first.subscription_key, first.product_key, first.price_keys) == ("sub_1", "gold", ("gold",))
    assert (first.amount_minor, first.discount_minor, first.recurring) == (1000, 100, True)
    assert (first.line_key, second.line_key) == ("sub_1", "sub_1#2")


def test_a_2016_line_belongs_to_the_subscription_it_is_named_after() -> None:
    """The line's own name beats the invoice's subscription, which stands in where the line has another name."""
    lines = [line("prod_a", 1, subscription="sub_2"), line("prod_b", 2)]
    event = as_2016(stripe_events.invoice_paid("in_1", customer="cus_1", subscription="sub_1", lines=lines))
    event["data"]["object"]["lines"]["data"][1]["id"] = "sli_1"
    assert [entry.subscription_key for entry in fact_of(event).lines] == ["sub_2", "sub_1"]


def test_a_2016_invoice_that_is_not_paid_is_not_used() -> None:
    """The flag `paid` decides where there is no status."""
    event = as_2016(stripe_events.invoice_paid("in_1", customer="cus_1", lines=[]))
    event["data"]["object"]["paid"] = False
    assert not isinstance(translate(event["type"], event["id"], AT, body(event)), tuple)


@SINCE_2018
def test_the_versions_name_means_nothing(era: str) -> None:
    """A re-stamped event translates by its fields, whatever version it claims."""
    event = ERAS[era](stripe_events.invoice_paid("in_1", customer="cus_1", subscription="sub_1", lines=[line("p", 1)]))
    expected = fact_of(event)
    for claimed in ("2016-07-06", "2099-01-01.zinnia", None):
        event["api_version"] = claimed
        assert fact_of(event) == expected
