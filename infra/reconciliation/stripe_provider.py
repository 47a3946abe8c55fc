"""Stripe as a reconciliation sees it.

Lists are newest first and go on after an object's id: what is new while somebody pages is above, and left to the next
run. An id that Stripe has dropped meanwhile makes it refuse the page; the list is then begun again.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from domain.differences import Kind
from domain.errors import CannotProcess
from infra.providers.stripe.client import API_VERSION, StripeApi, UnknownObject
from infra.providers.stripe.envelope import read_envelope
from infra.reconciliation.listed import ListedBooks, decoded, moment
from infra.reconciliation.provider import ListedEvent, ListedObject

#: What the API calls many of a kind, and what tells of one as it is; a subscription's end has a type of its own.
_NAMES: Final = {
    Kind.SUBSCRIPTION: "subscriptions",
    Kind.INVOICE: "invoices",
    Kind.REFUND: "refunds",
    Kind.CREDIT_NOTE: "credit_notes",
    Kind.DISPUTE: "disputes",
    None: "customers",
}
_TYPES: Final = {
    Kind.SUBSCRIPTION: "customer.subscription.updated",
    Kind.INVOICE: "invoice.paid",
    Kind.REFUND: "refund.updated",
    Kind.CREDIT_NOTE: "credit_note.updated",
    Kind.DISPUTE: "charge.dispute.updated",
    None: "customer.updated",
}
_ENDED: Final = "canceled"
#: Lists are by the time an object was made, and a dispute is decided months later.
_DISPUTES_LAST: Final = timedelta(days=90)


class StripeProvider(ListedBooks):
    """Implements `infra.reconciliation.provider.Provider`."""

    name = "stripe"
    #: 30 days, less an hour that a run may take.
    keeps_events = timedelta(days=30) - timedelta(hours=1)
    told_by: Mapping[Kind, Collection[str]] = {
        Kind.INVOICE: ("invoice.paid", "invoice.payment_succeeded"),
        Kind.REFUND: ("charge.refund.updated", "refund.created", "refund.failed", "refund.updated"),
        Kind.CREDIT_NOTE: ("credit_note.created", "credit_note.updated", "credit_note.voided"),
        Kind.DISPUTE: (
            "charge.dispute.closed",
            "charge.dispute.created",
            "charge.dispute.funds_reinstated",
            "charge.dispute.funds_withdrawn",
            "charge.dispute.updated",
        ),
    }
    shown_by_key: Collection[Kind] = tuple(Kind)

    def __init__(self, api: StripeApi) -> None:
        self._api = api
        super().__init__(
            api.list_events,
            {
                Kind.SUBSCRIPTION: lambda _, after: api.list_subscriptions(after),
                Kind.INVOICE: api.list_invoices,
                Kind.REFUND: lambda since, after: api.list_reversals("refunds", since, after),
                Kind.CREDIT_NOTE: lambda since, after: api.list_reversals("credit_notes", since, after),
                Kind.DISPUTE: lambda since, after: api.list_reversals("disputes", since - _DISPUTES_LAST, after),
            },
        )

    def event_of(self, kind: Kind | None, shown: ListedObject, event_key: str, at: datetime) -> ListedEvent:
        """An event of the API version that the object was fetched in."""
        content = decoded(shown)
        over = kind is Kind.SUBSCRIPTION and content.get("status") == _ENDED
        gone = kind is None and content.get("deleted") is True
        event = {
            "id": event_key,
            "object": "event",
            "api_version": API_VERSION,
            "created": _second(at),
            "data": {"object": content},
            "livemode": content.get("livemode", self._api.livemode),
            "pending_webhooks": 0,
            "request": None,
            "type": _TYPES[kind].replace("updated", "deleted") if over or gone else _TYPES[kind],
        }
        return self._event(event)

    def holds_since(self, kind: Kind | None, shown: ListedObject) -> datetime | None:
        """When an invoice was paid, a subscription began to be what it is, if it is served, anything else was made."""
        content = decoded(shown)
        match kind:
            case Kind.INVOICE:
                transitions = content.get("status_transitions") or {}
                return moment(transitions.get("paid_at")) or moment(content.get("created"))
            case Kind.SUBSCRIPTION:
                return _served_since(content)
        return moment(content.get("created"))

    def net_minor(self, invoice: ListedObject) -> int:
        """`total_excluding_tax` leaves out included tax as well."""
        content = decoded(invoice)
        net = content.get("total_excluding_tax")
        if net is None:
            taxes = content.get("total_taxes") or content.get("total_tax_amounts") or ()
            net = content.get("total", 0) - sum(tax["amount"] for tax in taxes)
        if not isinstance(net, int):
            raise CannotProcess("Stripe showed an invoice without a total")
        return net

    def _raw(self, kind: Kind | None, key: str) -> dict[str, Any] | None:
        try:
            return self._api.fetch(_NAMES[kind], key)
        except UnknownObject:
            return None

    def _shown(self, kind: Kind | None, content: dict[str, Any]) -> ListedObject:
        """Complete: an invoice and a credit note show only their first lines by themselves."""
        key = content.get("id")
        if not isinstance(key, str):
            raise CannotProcess("Stripe listed an object without an id")
        lines = content.get("lines")
        if isinstance(lines, dict) and lines.get("has_more"):
            fetch = self._api.fetch_credit_note_lines if kind is Kind.CREDIT_NOTE else self._api.fetch_invoice_lines
            content = {**content, "lines": {**lines, "data": fetch(key), "has_more": False}}
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
            account=envelope.account,
            livemode=envelope.livemode,
            api_version=envelope.api_version,
        )


def _served_since(content: dict[str, Any]) -> datetime | None:
    """Of a subscription in trial its start, of an active one the trial's end, else the start; else nothing tells."""
    if content.get("status") not in ("trialing", "active", "past_due"):
        return None
    began = moment(content.get("start_date")) or moment(content.get("created"))
    if content["status"] == "trialing":
        return began
    trial_end = moment(content.get("trial_end"))
    return max(filter(None, (began, trial_end)), default=None)


def _second(at: datetime) -> int:
    return int(at.timestamp())
