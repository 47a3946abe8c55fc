"""Stripe as a reconciliation sees it.

Lists are newest first and go on after an object's id: what is new while somebody pages is above, and left to the next
run. An id that Stripe has dropped meanwhile makes it refuse the page; the list is then begun again.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from domain.errors import CannotProcess
from domain.reconcile import Kind
from infra.providers.stripe.client import API_VERSION, StripeApi, UnknownObject
from infra.providers.stripe.envelope import read_envelope
from infra.reconciliation.listed import decoded, moment, takeable
from infra.reconciliation.provider import ListedEvent, ListedObject, Page

#: What tells of an object as it is; a subscription's end has a type of its own.
_TYPES: Final = {
    Kind.SUBSCRIPTION: "customer.subscription.updated",
    Kind.INVOICE: "invoice.paid",
    None: "customer.updated",
}
_ENDED: Final = "canceled"


class StripeProvider:
    """Implements `infra.reconciliation.provider.Provider`."""

    name = "stripe"
    #: 30 days, less an hour that a run may take.
    keeps_events = timedelta(days=30) - timedelta(hours=1)
    paid_types: Collection[str] = ("invoice.paid", "invoice.payment_succeeded")

    def __init__(self, api: StripeApi) -> None:
        self._api = api

    def list_events(self, since: datetime, after: str | None) -> Page[ListedEvent]:
        """One page of events, of every type."""
        objects, after = self._api.list_events(since, after)
        return Page(takeable(self.name, objects, _event), after)

    def list_objects(self, kind: Kind, since: datetime, after: str | None) -> Page[ListedObject]:
        """One page of all subscriptions, ended ones included, or of the paid invoices made since."""
        api = self._api
        invoices = kind is Kind.INVOICE
        objects, after = api.list_invoices(since, after) if invoices else api.list_subscriptions(after)
        return Page(tuple(self._shown(kind, each) for each in objects), after)

    def fetch_object(self, kind: Kind, key: str) -> ListedObject | None:
        """One object as it is now."""
        return self._fetched(kind, "invoices" if kind is Kind.INVOICE else "subscriptions", key)

    def fetch_customer(self, key: str) -> ListedObject | None:
        """One customer; of a deleted one Stripe has only the id."""
        return self._fetched(None, "customers", key)

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
            "livemode": content.get("livemode"),
            "pending_webhooks": 0,
            "request": None,
            "type": _TYPES[kind].replace("updated", "deleted") if over or gone else _TYPES[kind],
        }
        return _event(event)

    def holds_since(self, kind: Kind | None, shown: ListedObject) -> datetime | None:
        """When an invoice was paid, a customer made, a subscription began to be what it is, if it is served."""
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

    def _fetched(self, kind: Kind | None, name: str, key: str) -> ListedObject | None:
        try:
            return self._shown(kind, self._api.fetch(name, key))
        except UnknownObject:
            return None

    def _shown(self, kind: Kind | None, content: dict[str, Any]) -> ListedObject:
        """Complete: an invoice shows only its first lines by itself."""
        key = content.get("id")
        if not isinstance(key, str):
            raise CannotProcess("Stripe listed an object without an id")
        lines = content.get("lines")
        if kind is Kind.INVOICE and isinstance(lines, dict) and lines.get("has_more"):
            content = {**content, "lines": {**lines, "data": self._api.fetch_invoice_lines(key), "has_more": False}}
        return ListedObject(key, msgspec.json.encode(content))


def _served_since(content: dict[str, Any]) -> datetime | None:
    """Of a subscription in trial its start, of an active one the trial's end, else the start; else nothing tells."""
    if content.get("status") not in ("trialing", "active", "past_due"):
        return None
    began = moment(content.get("start_date")) or moment(content.get("created"))
    if content["status"] == "trialing":
        return began
    trial_end = moment(content.get("trial_end"))
    return max(filter(None, (began, trial_end)), default=None)


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


def _second(at: datetime) -> int:
    return int(at.timestamp())
