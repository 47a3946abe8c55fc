"""Chargebee as a reconciliation sees it.

Lists are oldest first and go on at an offset: what is new while somebody pages is at the end, and is listed as well.
Events of the list say whether their webhook was delivered; every other byte of meaning is the webhook's.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from domain.errors import CannotProcess
from domain.reconcile import Kind
from infra.providers.chargebee.client import ChargebeeApi, Name
from infra.providers.chargebee.envelope import read_envelope
from infra.providers.chargebee.keys import could_be_key
from infra.reconciliation.listed import decoded, moment, takeable
from infra.reconciliation.provider import ListedEvent, ListedObject, Page

#: What an object is called in an event's content and in a path, and what tells of it as it is.
_NAMES: Final[dict[Kind | None, Name]] = {Kind.SUBSCRIPTION: "subscription", Kind.INVOICE: "invoice", None: "customer"}
_TYPES: Final = {
    Kind.SUBSCRIPTION: "subscription_changed",
    Kind.INVOICE: "invoice_updated",
    None: "customer_changed",
}
_SERVED: Final = ("in_trial", "active", "non_renewing")


class ChargebeeProvider:
    """Implements `infra.reconciliation.provider.Provider`."""

    name = "chargebee"
    #: 90 days, less an hour that a run may take.
    keeps_events = timedelta(days=90) - timedelta(hours=1)
    #: Whatever brings an invoice that is paid by then; which of them comes first depends on the site's settings.
    paid_types: Collection[str] = (
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

    def __init__(self, api: ChargebeeApi) -> None:
        self._api = api

    def list_events(self, since: datetime, after: str | None) -> Page[ListedEvent]:
        """One page of events, of every type."""
        objects, after = self._api.list_events(since, after)
        return Page(takeable(self.name, objects, _event), after)

    def list_objects(self, kind: Kind, since: datetime, after: str | None) -> Page[ListedObject]:
        """One page of all subscriptions, ended and deleted ones included, or of the paid invoices dated since."""
        api = self._api
        invoices = kind is Kind.INVOICE
        objects, after = api.list_invoices(since, after) if invoices else api.list_subscriptions(after)
        return Page(tuple(map(self._shown, objects)), after)

    def fetch_object(self, kind: Kind, key: str) -> ListedObject | None:
        """One object as it is now."""
        return self._fetched(kind, key)

    def fetch_customer(self, key: str) -> ListedObject | None:
        """One customer; of a deleted one Chargebee has nothing."""
        return self._fetched(None, key)

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
        return _event(event)

    def holds_since(self, kind: Kind | None, shown: ListedObject) -> datetime | None:
        """When an invoice was paid, a customer made, a subscription began to be what it is, if it is served."""
        content = decoded(shown)
        match kind:
            case Kind.INVOICE:
                return moment(content.get("paid_at")) or moment(content.get("date"))
            case Kind.SUBSCRIPTION:
                return _served_since(content)
        return moment(content.get("created_at"))

    def net_minor(self, invoice: ListedObject) -> int:
        """`total` holds tax, be it included in prices or not, and what rounding cash added."""
        content = decoded(invoice)
        total, tax, rounding = (content.get(name, 0) for name in ("total", "tax", "round_off_amount"))
        if not (isinstance(total, int) and isinstance(tax, int) and isinstance(rounding, int)):
            raise CannotProcess("Chargebee showed an invoice without a total")
        return total - tax - rounding

    def _fetched(self, kind: Kind | None, key: str) -> ListedObject | None:
        # An id that cannot be asked for, of one object, must not end the run: it is as if there were none.
        found = self._api.fetch(_NAMES[kind], key) if could_be_key(key) else None
        return None if found is None else self._shown(found)

    def _shown(self, content: dict[str, Any]) -> ListedObject:
        """Complete: a long invoice shows only its first lines by itself."""
        key = content.get("id")
        if not isinstance(key, str):
            raise CannotProcess("Chargebee listed an object without an id")
        if content.get("line_items_next_offset"):
            content = {**content, "line_items": self._api.fetch_invoice_lines(key)}
            del content["line_items_next_offset"]
        return ListedObject(key, msgspec.json.encode(content))


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
