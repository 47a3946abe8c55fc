"""One subscription's life as Chargebee tells it, in either catalog: what tests play in any order."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests import chargebee_events as chargebee
from tests.chargebee_events import Event, ItemExample, Json

#: What is sold: (catalog 1.0, catalog 2.0).
CHAT, INBOX, SURVEYS = ("chat", "chat-USD"), ("inbox", "inbox-USD"), ("surveys", "surveys-USD")
CUSTOMER = "acme"


def at(month: int, day: int, seconds: float = 0) -> datetime:
    """Noon of a day in 2026, and some seconds."""
    return datetime(2026, month, day, 12, tzinfo=UTC) + timedelta(seconds=seconds)


class Life:
    """The events, and what builds them; `catalog` is 1 or 2."""

    def __init__(self, catalog: int) -> None:
        self.catalog = catalog
        self._moved = at(3, 20)

    def key(self, product: tuple[str, str]) -> str:
        """A product as this catalog names it."""
        return product[self.catalog - 1]

    def events(self) -> list[Event]:
        """Trial, activation, a swap with a credit note, renewal, refund, cancellation, reactivation; and reminders."""
        return [
            *self._catalogue(),
            chargebee.event("customer_created", at(3, 1), customer=self.customer()),
            self._told("subscription_created", at(3, 1), "in_trial", self._first_items()),
            self._told("subscription_trial_end_reminder", at(3, 12), "in_trial", self._first_items(), since=at(3, 1)),
            *self._activated(),
            *self._changed(),
            *self._renewed(),
            *self._refunded(),
            self._told(
                "subscription_cancelled", at(4, 20), "cancelled", self._later_items(), cancelled_at=_second(at(4, 20))
            ),
            self._told(
                "subscription_reactivated", at(5, 1), "active", self._later_items(), invoice=self.fourth_invoice()
            ),
            chargebee.event("invoice_generated", at(5, 1), invoice=self.fourth_invoice()),
        ]

    def customer(self) -> Json:
        """Acme, whom ada referred."""
        return chargebee.customer(CUSTOMER, at(3, 1), meta_data={"partner_key": "ada"}, email="it@acme.example")

    def _catalogue(self) -> list[Event]:
        if self.catalog == 1:
            described = {"id": "chat", "name": "Live Chat", "status": "active", "resource_version": 1, "object": "plan"}
            return [chargebee.event("plan_created", at(2, 1), plan=described)]
        return [
            chargebee.event(
                "item_created", at(2, 1), item={"id": "chat-item", "name": "Live Chat", "status": "active"}
            ),
            chargebee.event("item_price_created", at(2, 1, 1), item_price={"id": "chat-USD", "item_id": "chat-item"}),
        ]

    def _first_items(self) -> list[ItemExample]:
        return [ItemExample(self.key(CHAT), 4900), ItemExample(self.key(INBOX), 9900, kind="addon")]

    def _later_items(self) -> list[ItemExample]:
        return [ItemExample(self.key(CHAT), 4900), ItemExample(self.key(SURVEYS), 3900, kind="addon")]

    def _told(
        self,
        event_type: str,
        when: datetime,
        status: str,
        items: list[ItemExample],
        *,
        since: datetime | None = None,
        cancelled_at: int | None = None,
        **content: Any,
    ) -> Event:
        """An event with the subscription as it is since `since`, and its customer as ever."""
        subscription = chargebee.subscription(
            "sub_1",
            CUSTOMER,
            items,
            at=(since or when) + timedelta(milliseconds=300),
            status=status,
            catalog=self.catalog,
            cancelled_at=cancelled_at,
        )
        return chargebee.event(event_type, when, subscription=subscription, customer=self.customer(), **content)

    def line(self, product: tuple[str, str], amount: int, key: str, **fields: Any) -> Json:
        """A line for a product, of the entity type that this catalog has for it."""
        kind = "plan" if product is CHAT else "addon"
        return chargebee.line(
            self.key(product), amount, key=key, kind=kind if self.catalog == 1 else f"{kind}_item_price", **fields
        )

    def first_invoice(self, when: datetime | None = None, **fields: Any) -> Json:
        """Live Chat and Inbox, paid by card; as it is at `when`, if not at once."""
        lines = [self.line(CHAT, 4900, "li_1"), self.line(INBOX, 9900, "li_2")]
        return chargebee.invoice("1", CUSTOMER, lines, at=when or at(3, 15), paid_at=_second(at(3, 15)), **fields)

    def _activated(self) -> list[Event]:
        invoice = self.first_invoice()
        paid = chargebee.transaction("txn_1", CUSTOMER, 14800, at=at(3, 15))
        paid["linked_invoices"] = [{"invoice_id": "1", "applied_amount": 14800, "invoice_status": "paid"}]
        due = {
            **invoice,
            "status": "payment_due",
            "amount_paid": 0,
            "resource_version": invoice["resource_version"] - 9,
        }
        due.pop("paid_at")
        return [
            chargebee.event("invoice_generated", at(3, 15), "ev_due", invoice=due),
            self._told("subscription_activated", at(3, 15), "active", self._first_items(), invoice=invoice),
            self._told(
                "payment_succeeded", at(3, 15), "active", self._first_items(), invoice=invoice, transaction=paid
            ),
            chargebee.event("transaction_created", at(3, 15), transaction=paid),
        ]

    def _proration(self) -> Json:
        """60.00 of Inbox come back, as credits."""
        lines = [self.line(INBOX, 6000, "li_cn_1", reference_line_item_id="li_2" if self.catalog == 2 else None)]
        return chargebee.credit_note("CN-1", "1", CUSTOMER, lines, at=self._moved)

    def second_invoice(self) -> Json:
        """The rest of the month of Surveys, settled by those credits."""
        lines = [self.line(SURVEYS, 2000, "li_3")]
        settled: Json = {"amount_paid": 0, "credits_applied": 2000, "linked_payments": []}
        return chargebee.invoice("2", CUSTOMER, lines, at=self._moved, **settled)

    def _changed(self) -> list[Event]:
        note, invoice = self._proration(), self.second_invoice()
        named = self.first_invoice(
            self._moved, issued_credit_notes=[{"cn_id": "CN-1", "cn_total": 6000, "cn_status": "refund_due"}]
        )
        return [
            self._told(
                "subscription_changed", self._moved, "active", self._later_items(), invoice=invoice, credit_notes=[note]
            ),
            chargebee.event("credit_note_created", self._moved, credit_note=note),
            chargebee.event("invoice_updated", self._moved, invoice=named),
        ]

    def third_invoice(self, when: datetime | None = None) -> Json:
        """Live Chat and Surveys; 40.00 of it from credits, the rest by card."""
        lines = [self.line(CHAT, 4900, "li_4"), self.line(SURVEYS, 3900, "li_5")]
        fields: Json = {"credits_applied": 4000, "amount_paid": 4800, "paid_at": _second(at(4, 15))}
        return chargebee.invoice("3", CUSTOMER, lines, at=when or at(4, 15), **fields)

    def _renewed(self) -> list[Event]:
        draft = {**self.third_invoice(), "id": "draft_inv_3", "status": "pending"}
        draft.pop("paid_at")
        used_up = {**self._proration(), "status": "refunded", "amount_allocated": 6000, "amount_available": 0}
        used_up |= {"resource_version": round(at(4, 15).timestamp() * 1000)}
        return [
            self._told("subscription_renewed", at(4, 15), "active", self._later_items(), invoice=draft),
            chargebee.event("invoice_generated", at(4, 15, 60), invoice=self.third_invoice(at(4, 15, 60))),
            chargebee.event("credit_note_updated", at(4, 15), credit_note=used_up),
        ]

    def _refunded(self) -> list[Event]:
        """Half of that month's Live Chat is paid back: a credit note, and a refund of it."""
        lines = [self.line(CHAT, 2450, "li_cn_2")]
        note = chargebee.credit_note("CN-2", "3", CUSTOMER, lines, at=at(4, 16), status="refunded")
        note |= {"amount_refunded": 2450, "amount_available": 0}
        note["linked_refunds"] = [{"txn_id": "txn_r", "applied_amount": 2450, "txn_status": "success"}]
        refund = chargebee.transaction("txn_r", CUSTOMER, 2450, at=at(4, 16), kind="refund", refunded_txn_id="txn_3")
        refund["linked_credit_notes"] = [chargebee.linked_note(note, 2450)]
        invoice = self.third_invoice(at(4, 16))
        invoice["issued_credit_notes"] = [{"cn_id": "CN-2", "cn_total": 2450, "cn_status": "refunded"}]
        begun = {**refund, "status": "in_progress", "resource_version": refund["resource_version"] - 9}
        return [
            chargebee.event("refund_initiated", at(4, 16), transaction=begun, customer=self.customer()),
            chargebee.event(
                "payment_refunded", at(4, 16), transaction=refund, invoice=invoice, credit_note=note,
                customer=self.customer(),
            ),
            chargebee.event("transaction_updated", at(4, 16), transaction=refund),
        ]  # fmt: skip

    def fourth_invoice(self) -> Json:
        """Live Chat and Surveys once more."""
        lines = [self.line(CHAT, 4900, "li_6"), self.line(SURVEYS, 3900, "li_7")]
        return chargebee.invoice("4", CUSTOMER, lines, at=at(5, 1))


def _second(when: datetime) -> int:
    return chargebee.second(when)


#: (transaction, product) -> commission in minor units, at the end of it: 10 % of Live Chat and Surveys, 20 % of Inbox.
COMMISSIONS: dict[tuple[str, tuple[str, str]], int] = {
    ("chargebee:1", CHAT): 490,
    ("chargebee:1", INBOX): 780,
    ("chargebee:2", SURVEYS): 200,
    ("chargebee:3", CHAT): 245,
    ("chargebee:3", SURVEYS): 390,
    ("chargebee:4", CHAT): 490,
    ("chargebee:4", SURVEYS): 390,
}
#: product -> when it became what, by month and day.
HISTORY: dict[tuple[str, str], list[tuple[tuple[int, int], str]]] = {
    CHAT: [((3, 1), "trial"), ((3, 15), "active"), ((4, 20), "churned"), ((5, 1), "active")],
    INBOX: [((3, 1), "trial"), ((3, 15), "active"), ((3, 20), "churned")],
    SURVEYS: [((3, 20), "active"), ((4, 20), "churned"), ((5, 1), "active")],
}
