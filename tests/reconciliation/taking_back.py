"""What is taken back of one payment at either provider, as stories: what was delivered, and what nobody ever told."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tests import chargebee_events as chargebee
from tests import stripe_examples as stripe
from tests.builders import line, stripe_events
from tests.reconciliation import chargebee_scene
from tests.reconciliation.scene import DAY, TODAY, customer

BOUGHT_AT = TODAY - 20 * DAY
TAKEN_AT = TODAY - 9 * DAY
LATER = TAKEN_AT + 2 * DAY

Event = dict[str, Any]
#: What tells a refund, say, of `amount` at some moment.
Told = Callable[..., Event]


@dataclass(frozen=True, slots=True)
class Story:
    """What happens to a payment of 99.00 for Inbox, of which a fifth is grace's, and 49.00 for Live Chat."""

    #: Where a report has it, under which key.
    section: str
    key: str
    delivered: list[Event]
    lost: list[Event]
    #: What grace has of it in the end, in cents.
    earned: int
    #: The fields that the provider has otherwise; nothing: we lack it whole.
    differs: tuple[str, ...] = ()

    def all_told(self) -> list[Event]:
        """What the provider had to tell."""
        return [*self.delivered, *self.lost]


# Stripe


def stripe_bought(at: datetime = BOUGHT_AT) -> list[Event]:
    """Customer 1, who is grace's, pays by a payment that is linked to the invoice."""
    lines = [line("prod_inbox", 9900, key="il_1"), line("prod_chat", 4900, key="il_2")]
    paid = stripe_events.invoice_paid("in_1", customer="cus_1", lines=lines, paid_at=at)
    payment = {"type": "payment_intent", "payment_intent": "pi_1"}
    return [customer(1, at), paid, stripe.invoice_payment("inpay_1", "in_1", payment, at=at)]


def refund(status: str = "succeeded", at: datetime = TAKEN_AT, made: datetime = TAKEN_AT, **more: Any) -> Event:
    """A quarter of the payment is paid back."""
    told = {"succeeded": "refund.created", "failed": "refund.failed"}[status]
    return stripe.refund(
        "re_1", 3700, what=told, status=status, charge="ch_1", payment_intent="pi_1", made=stripe.second(made), at=at,
        **more,
    )  # fmt: skip


def note(what: str = "created", at: datetime = TAKEN_AT, **more: Any) -> Event:
    """5.00 of Inbox alone."""
    lines = [stripe.note_line("cnli_1", 500, of="il_1")]
    return stripe.credit_note("cn_1", "in_1", lines, what=what, made=stripe.second(TAKEN_AT), at=at, **more)


def dispute(*moved: int, status: str = "needs_response", at: datetime = TAKEN_AT, made: datetime = TAKEN_AT) -> Event:
    """All of it is disputed."""
    return stripe.dispute(
        "dp_1", 14800, what="updated", status=status, moved=moved, charge="ch_1", payment_intent="pi_1",
        made=stripe.second(made), at=at,
    )  # fmt: skip


def stripe_stories() -> dict[str, Story]:
    """By what happened."""
    bought, early = stripe_bought(), TODAY - 80 * DAY
    early_bought, early_taken = stripe_bought(early), early + DAY
    return {
        "a refund": Story("refunds", "re_1", bought, [refund()], 1485),
        "a refund that failed": Story(
            "refunds", "re_1", [*bought, refund()], [refund("failed", LATER)], 1980, ("undone",)
        ),
        "a credit note": Story("credit_notes", "cn_1", bought, [note()], 1880),
        "a credit note and a refund that it covers": Story(
            "credit_notes", "cn_1", [*bought, refund()], [note(refunds=[("re_1", 500)])], 1459
        ),
        "a credit note that is void": Story(
            "credit_notes", "cn_1", [*bought, note()], [note("voided", LATER)], 1980, ("undone",)
        ),
        "a dispute that is lost": Story(
            "disputes", "dp_1", [*bought, dispute()], [dispute(-14800), dispute(-14800, status="lost", at=LATER)], 0
        ),
        "a dispute of long ago that is won": Story(
            "disputes", "dp_1",
            [*early_bought, dispute(-14800, at=early_taken, made=early_taken)],
            [dispute(-14800, 14800, status="won", at=LATER, made=early_taken)], 1980, ("undone",),
        ),
    }  # fmt: skip


# Chargebee


def chargebee_bought(at: datetime = BOUGHT_AT) -> list[Event]:
    """Customer 1, who is grace's, pays."""
    return [*chargebee_scene.catalogue(at - DAY), *chargebee_scene.bought(1, at)]


def credit(at: datetime = TAKEN_AT, **fields: Any) -> chargebee.Json:
    """5.00 of Inbox alone."""
    lines = [chargebee.line(chargebee_scene.INBOX, 500, key="li_cn", reference_line_item_id="li_inv_1_1")]
    dated = {"date": chargebee.second(TAKEN_AT), **fields}
    return chargebee.credit_note("CN-1", "inv_1", "cust_1", lines, at=at, **dated)


def paid_back(status: str = "success", at: datetime = TAKEN_AT) -> chargebee.Json:
    """The refund of that credit note."""
    moved = {"status": status, "date": chargebee.second(TAKEN_AT), "refunded_txn_id": "txn_inv_1"}
    named = [chargebee.linked_note(credit(), 500)]
    return chargebee.transaction("txn_r", "cust_1", 500, at=at, kind="refund", linked_credit_notes=named, **moved)


def reversed_payment(at: datetime = TAKEN_AT) -> chargebee.Json:
    """The bank takes the whole payment back."""
    linked = [{"invoice_id": "inv_1", "applied_amount": 14800, "invoice_status": "payment_due"}]
    return chargebee.transaction(
        "txn_d", "cust_1", 14800, at=at, kind="payment_reversal", reference_transaction_id="txn_inv_1",
        linked_invoices=linked,
    )  # fmt: skip


def chargebee_stories() -> dict[str, Story]:
    """By what happened."""
    bought = chargebee_bought()

    def told(event_type: str, at: datetime = TAKEN_AT, **content: Any) -> Event:
        return chargebee.event(event_type, at, **content)

    noted = told("credit_note_created", credit_note=credit())
    refunded = told("payment_refunded", TAKEN_AT + timedelta(seconds=1), transaction=paid_back())
    return {
        "a credit note": Story("credit_notes", "CN-1", bought, [noted], 1880),
        "a credit note that is void": Story(
            "credit_notes", "CN-1", [*bought, noted],
            [told("credit_note_updated", LATER, credit_note=credit(LATER, status="voided"))], 1980, ("undone",),
        ),
        "a refund": Story("refunds", "txn_r", [*bought, noted], [refunded], 1880),
        "a refund that failed": Story(
            "refunds", "txn_r", [*bought, noted, refunded],
            [told("transaction_updated", LATER, transaction=paid_back("failure", LATER))], 1880, ("undone",),
        ),
        "a payment that is reversed": Story(
            "disputes", "txn_d", bought, [told("transaction_created", transaction=reversed_payment())], 0
        ),
    }  # fmt: skip
