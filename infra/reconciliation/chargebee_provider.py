"""Chargebee as a reconciliation sees it.

Lists are oldest first and go on at an offset: what is new while somebody pages is at the end, and is listed as well.
Events of the list say whether their webhook was delivered; every other byte of meaning is the webhook's.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from domain.differences import Kind
from domain.errors import CannotProcess
from infra.providers.chargebee.client import ChargebeeApi, Name
from infra.providers.chargebee.envelope import read_envelope
from infra.providers.chargebee.keys import could_be_key
from infra.reconciliation.listed import ListedBooks, decoded, moment
from infra.reconciliation.provider import ListedEvent, ListedObject

#: What an object is called in an event's content and in a path, and what tells of it as it is. A dispute is a payment
#: that was reversed; one that failed late is seen in its invoice, which is paid no longer.
_NAMES: Final[dict[Kind | None, Name]] = {
    Kind.SUBSCRIPTION: "subscription",
    Kind.INVOICE: "invoice",
    Kind.REFUND: "transaction",
    Kind.CREDIT_NOTE: "credit_note",
    Kind.DISPUTE: "transaction",
    None: "customer",
}
_TYPES: Final = {
    Kind.SUBSCRIPTION: "subscription_changed",
    Kind.INVOICE: "invoice_updated",
    Kind.REFUND: "transaction_updated",
    Kind.CREDIT_NOTE: "credit_note_updated",
    Kind.DISPUTE: "transaction_updated",
    None: "customer_changed",
}
#: Whatever brings an invoice that is paid by then; which of them comes first depends on the site's settings.
_PAID: Final = (
    "invoice_generated",
    "invoice_updated",
    "payment_refunded",
    "payment_succeeded",
    "subscription_activated",
    "subscription_activated_with_backdating",
    "subscription_advance_invoice_schedule_added",
    "subscription_cancelled",
    "subscription_canceled_with_backdating",
    "subscription_changed",
    "subscription_changed_with_backdating",
    "subscription_created",
    "subscription_created_with_backdating",
    "subscription_items_renewed",
    "subscription_reactivated",
    "subscription_reactivated_with_backdating",
    "subscription_renewed",
    "subscription_resumed",
    "subscription_started",
    "unbilled_charges_invoiced",
)
_MOVED: Final = ("payment_failed", "payment_refunded", "refund_initiated", "transaction_created", "transaction_updated")
_SERVED: Final = ("in_trial", "active", "non_renewing")


class ChargebeeProvider(ListedBooks):
    """Implements `infra.reconciliation.provider.Provider`."""

    name = "chargebee"
    #: 90 days, less an hour that a run may take.
    keeps_events = timedelta(days=90) - timedelta(hours=1)
    told_by: Mapping[Kind, Collection[str]] = {
        Kind.INVOICE: _PAID,
        Kind.REFUND: _MOVED,
        Kind.CREDIT_NOTE: ("credit_note_created", "credit_note_created_with_backdating", "credit_note_updated", *_PAID),
        Kind.DISPUTE: _MOVED,
    }
    #: A dispute is called by the payment that was reversed, and shown by the reversal.
    shown_by_key: Collection[Kind] = tuple(kind for kind in Kind if kind is not Kind.DISPUTE)

    def __init__(self, api: ChargebeeApi) -> None:
        self._api = api
        super().__init__(
            api.list_events,
            {
                Kind.SUBSCRIPTION: lambda _, after: api.list_subscriptions(after),
                Kind.INVOICE: api.list_invoices,
                Kind.REFUND: lambda since, after: api.list_transactions("refund", since, after),
                Kind.CREDIT_NOTE: api.list_credit_notes,
                Kind.DISPUTE: lambda since, after: api.list_transactions("payment_reversal", since, after),
            },
        )

    def event_of(self, kind: Kind | None, shown: ListedObject, event_key: str, at: datetime) -> ListedEvent:
        """An event of API v2 with the object alone in it; the object's own version says where it belongs."""
        content = decoded(shown)
        told = _TYPES[kind]
        if content.get("deleted") is True:
            told = f"{_NAMES[kind]}_deleted"
        elif kind is Kind.SUBSCRIPTION and content.get("status") == "cancelled":
            told = "subscription_cancelled"
        event = {
            "id": event_key,
            "occurred_at": int(at.timestamp()),
            "object": "event",
            "api_version": "v2",
            "content": {_NAMES[kind]: content},
            "event_type": told,
        }
        return self._event(event)

    def holds_since(self, kind: Kind | None, shown: ListedObject) -> datetime | None:
        """When an invoice was paid, a subscription began to be what it is, if it is served, anything else was made."""
        content = decoded(shown)
        match kind:
            case Kind.INVOICE:
                return moment(content.get("paid_at")) or moment(content.get("date"))
            case Kind.SUBSCRIPTION:
                return _served_since(content)
        return moment(content.get("created_at" if kind is None else "date"))

    def net_minor(self, invoice: ListedObject) -> int:
        """`total` holds tax, be it included in prices or not, and what rounding cash added."""
        content = decoded(invoice)
        total, tax, rounding = (content.get(name, 0) for name in ("total", "tax", "round_off_amount"))
        if not (isinstance(total, int) and isinstance(tax, int) and isinstance(rounding, int)):
            raise CannotProcess("Chargebee showed an invoice without a total")
        return total - tax - rounding

    def _raw(self, kind: Kind | None, key: str) -> dict[str, Any] | None:
        # An id that cannot be asked for, of one object, must not end the run: it is as if there were none.
        return self._api.fetch(_NAMES[kind], key) if could_be_key(key) else None

    def _shown(self, kind: Kind | None, content: dict[str, Any]) -> ListedObject:
        """Complete: a long invoice shows only its first lines by itself. A credit note is worked without, as ever."""
        key = content.get("id")
        if not isinstance(key, str):
            raise CannotProcess("Chargebee listed an object without an id")
        if kind is Kind.INVOICE and content.get("line_items_next_offset"):
            content = {**content, "line_items": self._api.fetch_invoice_lines(key)}
            del content["line_items_next_offset"]
        return ListedObject(key, msgspec.json.encode(content))

    @staticmethod
    def _event(content: dict[str, Any]) -> ListedEvent:
        body = msgspec.json.encode(content)
        envelope = read_envelope(body)
        return ListedEvent(
            event_key=envelope.event_key,
            event_type=envelope.event_type,
            occurred_at=envelope.occurred_at,
            body=body,
            api_version=envelope.api_version,
        )


def _served_since(content: dict[str, Any]) -> datetime | None:
    """Of a subscription in trial its start, of an active one when it became so; else its version tells."""
    if content.get("status") not in _SERVED or content.get("deleted"):
        return None
    began = moment(content.get("started_at")) or moment(content.get("created_at"))
    if content["status"] == "in_trial":
        return began
    return max(
        filter(None, (began, moment(content.get("activated_at")), moment(content.get("trial_end")))), default=None
    )
