"""Payments, the links to them, and what takes them back: whichever is heard of first."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from domain.facts import BillingEvent, InvoiceLine, InvoicePaid, InvoicePayment, Reversal, ReversalKind, Source
from domain.known import Changes, Known
from domain.record_money import cause_of, record_money, transaction_reversed

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY = "stripe:in_1"


def source(second: int) -> Source:
    """An event of some second."""
    return Source(0, NOON + timedelta(seconds=second), 1, f"evt_{second}")


def paid(second: int = 0, amount: int = 1_000, invoice: str = "in_1", payments: tuple[str, ...] = ()) -> InvoicePaid:
    """An invoice with one line."""
    line = InvoiceLine("il_1", "sub_1", "prod_1", (), amount, 0, 1, recurring=True)
    return InvoicePaid(
        "stripe", invoice, "cus_1", source(second), NOON, "usd", (line,), lines_missing=False, payment_keys=payments
    )


def refund(second: int, amount: int = 400, key: str = "re_1", invoice: str | None = "in_1",
           payments: tuple[str, ...] = ()) -> Reversal:  # fmt: skip
    """A refund by invoice or by payment."""
    return Reversal("stripe", ReversalKind.REFUND, key, source(second), "usd", amount, 0, invoice, payments)


def link(second: int, *payments: str, invoice: str = "in_1") -> InvoicePayment:
    """Which payments settled an invoice."""
    return InvoicePayment("stripe", invoice, source(second), payments)


def recorded(*events: BillingEvent, known: Known | None = None) -> Changes:
    """What these events change."""
    changes = Changes()
    record_money(events, known or Known(), changes)
    return changes


def known_after(*batches: tuple[BillingEvent, ...]) -> Known:
    """What is known after these batches."""
    known = Known()
    for events in batches:
        changes = recorded(*events, known=known)
        known = replace(
            known,
            transactions={**known.transactions, **changes.transactions},
            payments={**known.payments, **changes.payments},
            reversals={**known.reversals, **changes.reversals},
        )
    return known


def left(known: Known, key: str = KEY) -> int:
    """What is left of a payment."""
    transaction = known.transactions[key]
    return transaction.net_minor - transaction.reversed_minor


def test_a_refund_and_its_payment_meet_in_any_order_and_batch() -> None:
    """By the invoice's key, by a payment the invoice names, by a link told on its own."""
    by_invoice = (paid(0), refund(1))
    by_payment = (paid(0, payments=("ch_1", "pi_1")), refund(1, invoice=None, payments=("pi_1",)))
    by_link = (paid(0), link(1, "pi_1"), refund(2, invoice=None, payments=("pi_0", "pi_1")))
    for events in (by_invoice, by_payment, by_link):
        assert left(known_after(events)) == 600
        assert left(known_after(events[::-1])) == 600
        assert left(known_after(*[(event,) for event in events])) == 600
        assert left(known_after(*[(event,) for event in events[::-1]])) == 600
        assert left(known_after(events, events)) == 600


def test_what_changed_is_judged_again_because_of_the_event_that_changed_it() -> None:
    """Payment, refund and link each; the customer's credits from the payment's own time on."""
    first = recorded(paid(0))
    assert first.touched.transactions == {KEY: "stripe:evt_0"}
    assert first.touched.credits == {("stripe", "cus_1"): (NOON, "stripe:evt_0")}
    known = known_after((paid(0),))
    assert recorded(refund(1), known=known).touched.transactions == {KEY: "stripe:evt_1"}
    waiting = known_after((paid(0),), (refund(1, invoice=None, payments=("pi_1",)),))
    found = recorded(link(2, "pi_1"), known=waiting)
    assert found.touched.transactions == {KEY: "stripe:evt_2"}
    assert found.payments == {("stripe", "pi_1"): "in_1"}
    assert cause_of(paid(3)) == "stripe:evt_3"


def test_telling_the_same_again_changes_nothing() -> None:
    """Neither payment, link nor refund; an older word of a payment is no news either."""
    events = (paid(5, payments=("pi_1",)), refund(6), link(7, "pi_1"))
    known = known_after(events)
    again = recorded(*events, known=known)
    assert (again.transactions, again.payments, again.reversals, again.touched.transactions) == ({}, {}, {}, {})
    assert recorded(paid(4, amount=9_999), known=known).transactions == {}
    newer = recorded(paid(9), known=known)
    assert newer.transactions[KEY].source == source(9)
    assert newer.touched.transactions == {}


def test_a_newer_word_of_a_payment_keeps_what_was_taken_back() -> None:
    """Its lines are the new ones, its refund still counts, and what follows from either is judged again."""
    known = known_after((paid(0), refund(1)))
    changes = recorded(paid(2, amount=2_000), known=known)
    assert changes.transactions[KEY].reversed_minor == 400
    assert changes.touched.transactions == {KEY: "stripe:evt_2"}


def test_a_refund_that_leads_nowhere_is_kept() -> None:
    """It touches nothing until the missing link or payment comes."""
    alone = recorded(refund(1, invoice=None, payments=("pi_9",)))
    assert (len(alone.reversals), alone.transactions, alone.touched.transactions) == (1, {}, {})
    early = recorded(refund(1))
    assert (len(early.reversals), early.transactions, early.touched.transactions) == (1, {}, {})


def test_where_a_reversal_leads() -> None:
    """The invoice's own name first, else the first by name of the invoices its payments settled, else nowhere."""
    known = Known(payments={("stripe", "pi_1"): "in_7", ("stripe", "pi_2"): "in_3"})
    both = refund(1, invoice=None, payments=("pi_1", "pi_2"))
    assert transaction_reversed(both, known) == "stripe:in_3"
    assert transaction_reversed(replace(both, invoice_key="in_9"), known) == "stripe:in_9"
    assert transaction_reversed(replace(both, payment_keys=("pi_8",)), known) is None
    changes = Changes(payments={("stripe", "pi_8"): "in_5"})
    assert transaction_reversed(replace(both, payment_keys=("pi_8",)), known, changes) == "stripe:in_5"


def test_of_two_invoices_that_claim_a_payment_always_the_same_one_has_it() -> None:
    """The first by name, in whatever order; the other one gets its money back."""
    events: tuple[BillingEvent, ...] = (
        paid(0), paid(1, invoice="in_2"), refund(2, invoice=None, payments=("pi_1",)),
        link(3, "pi_1", invoice="in_2"), link(4, "pi_1"),
    )  # fmt: skip
    for order in (events, events[::-1]):
        for known in (known_after(*[(event,) for event in order]), known_after(order)):
            assert (left(known), left(known, "stripe:in_2")) == (600, 1_000)
            assert known.payments == {("stripe", "pi_1"): "in_1"}
