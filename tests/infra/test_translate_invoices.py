"""What Stripe's paid invoices mean, and what becomes of events that are not used or cannot be read."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.errors import Unreadable
from domain.facts import InvoicePaid, Missing, NotUsed
from infra.providers.stripe.completing import with_all_lines
from infra.providers.stripe.translate import translate
from tests.builders import body, fact_of, line, stripe_events

AT = datetime(2026, 4, 1, 12, 0, tzinfo=UTC)


def invoice(*lines: Any, **details: Any) -> InvoicePaid:
    """A paid invoice of cus_1, translated."""
    fact = fact_of(stripe_events.invoice_paid("in_1", **{"customer": "cus_1", "lines": lines, **details}))
    assert isinstance(fact, InvoicePaid)
    return fact


def test_paid_invoice_tells_customer_time_currency_and_lines() -> None:
    """A paid invoice is its lines with their subscription, product and price, from when it was paid."""
    paid = invoice(
        line("prod_inbox", 9900, quantity=3),
        line("prod_chat", 4900, subscription="sub_2"),
        subscription="sub_1",
        currency="USD",
        at=AT + timedelta(seconds=9),
        metadata={"campaign": "spring"},
    )
    assert (paid.provider, paid.invoice_key, paid.provider_customer_key) == ("stripe", "in_1", "cus_1")
    assert (paid.paid_at, paid.source.occurred_at) == (AT, AT + timedelta(seconds=9))
    assert (paid.currency, paid.metadata, paid.lines_missing) == ("usd", {"campaign": "spring"}, False)
    first, second = paid.lines
    assert (first.subscription_key, first.product_key, first.price_keys) == ("sub_1", "prod_inbox", ("price_inbox",))
    assert (first.amount_minor, first.discount_minor, first.quantity, first.recurring) == (9900, 0, 3, True)
    assert (second.subscription_key, second.product_key, second.amount_minor) == ("sub_2", "prod_chat", 4900)


def test_both_events_of_one_payment_say_the_same() -> None:
    """`invoice.paid` and `invoice.payment_succeeded` differ in nothing but where they came from."""
    paid = invoice(line("prod_inbox", 9900), subscription="sub_1")
    succeeded = invoice(line("prod_inbox", 9900), subscription="sub_1", change="payment_succeeded")
    assert paid.source != succeeded.source
    assert (paid.lines, paid.paid_at, paid.invoice_key) == (succeeded.lines, succeeded.paid_at, succeeded.invoice_key)


@pytest.mark.parametrize("change", ["paid", "payment_succeeded"])
@pytest.mark.parametrize("status", ["draft", "open", "void", "uncollectible"])
def test_an_unpaid_invoice_is_not_used(change: str, status: str) -> None:
    """Whatever the event is called, an invoice that is not paid is no payment."""
    event = stripe_events.invoice_paid("in_1", customer="cus_1", lines=[], change=change, status=status)
    assert fact_of(event) == NotUsed("the invoice is not paid")


def test_payment_without_a_time_counts_from_the_event() -> None:
    """Where no `paid_at` is given, the event's own time stands in."""
    event = stripe_events.invoice_paid("in_1", customer="cus_1", lines=[], at=AT + timedelta(hours=1))
    event["data"]["object"]["status_transitions"]["paid_at"] = None
    assert fact_of(event).paid_at == AT + timedelta(hours=1)


def test_tax_on_top_is_not_in_the_amount_and_included_tax_is_taken_out() -> None:
    """2000 with 261 of tax inside is 1739; with 261 on top it is 2000."""
    inside = line("prod_inbox", 2000, tax=261, tax_inclusive=True)
    on_top = line("prod_chat", 2000, tax=261)
    amounts = [entry.amount_minor for entry in invoice(inside, on_top).lines]
    assert amounts == [1739, 2000]


def test_discounts_stay_on_their_lines() -> None:
    """A line's discounts are added up and kept beside its amount."""
    first, second = invoice(line("prod_inbox", 2500, discount=250), line("prod_chat", 1000)).lines
    assert (first.amount_minor, first.discount_minor) == (2500, 250)
    assert (second.amount_minor, second.discount_minor) == (1000, 0)


def test_prorations_are_negative_and_recurring_and_one_off_items_are_not() -> None:
    """Both halves of a swap belong to the subscription; a one-off item that names it does not recur."""
    credit, charge, old_style, one_off = invoice(
        line("prod_inbox", -2500, proration=True),
        line("prod_inbox", 25000, price="price_year", proration=True),
        line("prod_inbox", -100, proration=True, of_subscription=False),
        line("prod_setup", 500, of_subscription=False),
        subscription="sub_1",
    ).lines
    assert [entry.amount_minor for entry in (credit, charge, old_style, one_off)] == [-2500, 25000, -100, 500]
    assert [entry.recurring for entry in (credit, charge, old_style, one_off)] == [True, True, True, False]
    assert {entry.subscription_key for entry in (credit, charge, old_style, one_off)} == {"sub_1"}


def test_a_manual_line_has_neither_subscription_nor_product() -> None:
    """A line someone typed in keeps its money and names no product."""
    (only,) = invoice(line(None, 700, description="Consulting")).lines
    assert (only.subscription_key, only.product_key, only.price_keys) == (None, None, ())
    assert (only.amount_minor, only.recurring, only.description) == (700, False, "Consulting")


def test_a_zero_invoice_without_lines_is_a_payment() -> None:
    """A trial's first invoice may have no line at all."""
    assert invoice(subscription="sub_1").lines == ()


def test_nobody_may_be_named_on_an_invoice() -> None:
    """An invoice without a customer is kept for whoever it turns out to be."""
    assert invoice(line("prod_inbox", 100), customer=None).provider_customer_key is None


def test_missing_lines_are_said_and_can_be_filled_in() -> None:
    """With more lines than the event carries, the fetched ones take their place and nothing else changes."""
    lines = [line("prod_inbox", 100 * number) for number in range(1, 13)]
    whole = stripe_events.invoice_paid("in_1", customer="cus_1", subscription="sub_1", lines=lines)
    page = stripe_events.invoice_paid("in_1", customer="cus_1", subscription="sub_1", lines=lines[:10], has_more=True)
    page["id"] = whole["id"]
    page["data"]["object"]["total"] = whole["data"]["object"]["total"]  # of all lines, wherever they are
    assert fact_of(page).lines_missing
    filled = with_all_lines(body(page), whole["data"]["object"]["lines"]["data"])
    assert translate(page["type"], page["id"], AT, filled) == (fact_of(whole),)
    assert sum(entry.amount_minor for entry in fact_of(whole).lines) == 7800


@pytest.mark.parametrize("broken", [b"", b"[]", b"{}", b'{"data": null}', b"\xff"])
def test_filling_in_lines_needs_an_invoice(broken: bytes) -> None:
    """Lines cannot be put into what is no invoice event."""
    with pytest.raises(Unreadable):
        with_all_lines(broken, [])


# --- what is not used, and what cannot be read


@pytest.mark.parametrize(
    "event_type",
    ["customer.source.created", "account.updated", "payout.paid", "tax_rate.created", "x"],
)
def test_other_types_are_not_used_and_not_even_read(event_type: str) -> None:
    """A type without a meaning here is named in the reason, whatever its body holds."""
    assert translate(event_type, "evt_1", AT, b"not json") == NotUsed(f"{event_type} events are not used")


THIN = b"""{"object": "v2.core.event", "related_object": {"id": "in_1", "type": "%s", "url": "http://127.0.0.1/x"}}"""


def test_a_thin_event_of_a_used_type_must_be_fetched() -> None:
    """It names the kind of object it is about; one of a type without a meaning here is left alone."""
    missing = translate("v1.invoice.paid", "evt_1", AT, THIN % b"invoice")
    assert missing == Missing("the event names its object (invoice) without carrying it")
    unused = translate("v1.billing.meter.error_report_triggered", "evt_1", AT, THIN % b"billing.meter")
    assert unused == NotUsed("v1.billing.meter.error_report_triggered events are not used")


@pytest.mark.parametrize("sent", [THIN % b"payout", b"{}", b"not json"])
def test_a_thin_event_that_names_nothing_of_use_is_unreadable(sent: bytes) -> None:
    """A kind of object that none of the used types is about needs an adapter."""
    with pytest.raises(Unreadable):
        translate("v1.invoice.paid", "evt_1", AT, sent)


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (("data",), None, "`data`"),
        (("data", "object", "object"), "charge", "$.data.object.object"),
        (("data", "object", "lines"), ..., "`lines`"),
        (("data", "object", "lines", "data", 0, "amount"), "9900", "$.data.object.lines.data[...].amount"),
        (("data", "object", "lines", "data", 0, "amount"), 1.5, "amount"),
        (("data", "object", "lines", "data", 0, "amount"), 10**17, "amount"),
        (("data", "object", "lines", "data", 0, "parent"), ..., "`parent`"),
        (("data", "object", "parent"), ..., "`parent`"),
        (("data", "object", "status"), ..., "`status`"),
        (("data", "object", "status_transitions", "paid_at"), -1, "paid_at"),
        (("data", "object", "currency"), "dollars", "currency"),
        (("data", "object", "currency"), "12$", "currency"),
        (("data", "object", "id"), "", "id"),
        (("data", "object", "metadata"), {"a": 1}, "metadata"),
    ],
)
def test_what_cannot_be_read_is_named_by_path(path: tuple[str | int, ...], value: object, told: str) -> None:
    """A missing or impossible field is unreadable, and the error says which one."""
    event: Any = stripe_events.invoice_paid("in_1", customer="cus_1", lines=[line("prod_inbox", 9900)])
    place = event
    for step in path[:-1]:
        place = place[step]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    with pytest.raises(Unreadable) as caught:
        fact_of(event)
    assert told in str(caught.value)


def test_deep_nesting_is_unreadable() -> None:
    """A body nested without end is refused instead of exhausting the stack."""
    with pytest.raises(Unreadable, match="nested"):
        translate("customer.created", "evt_1", AT, b'{"x":' + b"[" * 100_000)
