"""An account at a Stripe that answers over HTTP: what happens in it is in its event list and changes its objects."""

from collections.abc import Iterable
from typing import Any

from tests.builders import stripe_events
from tests.fake_stripe import FakeStripe

_LISTS = {
    "subscription": "/v1/subscriptions",
    "invoice": "/v1/invoices",
    "refund": "/v1/refunds",
    "credit_note": "/v1/credit_notes",
    "dispute": "/v1/disputes",
}
_EVENTS_KEPT_S = 30 * 86_400


class StripeAccount:
    """Keeps a fake's lists and objects as events say; newest first, as Stripe lists them."""

    def __init__(self, fake: FakeStripe) -> None:
        self.fake = fake
        self.events: list[stripe_events.Event] = fake.lists.setdefault("/v1/events", [])
        for path in _LISTS.values():
            fake.lists.setdefault(path, [])

    def happens(self, *events: stripe_events.Event) -> list[stripe_events.Event]:
        """Something happened: what the webhooks would deliver."""
        for event in events:
            self.events.append(event)
            self.shows(event["data"]["object"])
        self.events.sort(key=lambda event: event["created"], reverse=True)
        return list(events)

    def shows(self, content: dict[str, Any]) -> None:
        """An object is now like this, whether or not any event tells."""
        kind, key = content["object"], content["id"]
        self.fake.objects[f"/v1/{kind}s/{key}"] = content
        if (path := _LISTS.get(kind)) is not None:
            others = [each for each in self.fake.lists[path] if each["id"] != key]
            listed = kind != "invoice" or content["status"] == "paid"
            self.fake.lists[path] = sorted(
                [*others, *([content] if listed else [])], key=lambda each: int(each["created"]), reverse=True
            )

    def forget_events(self, now_s: float) -> None:
        """Only the last 30 days are kept."""
        self.events[:] = [event for event in self.events if event["created"] >= now_s - _EVENTS_KEPT_S]

    def loses(self, *keys: str) -> None:
        """These events can no longer be listed, or never could: only the objects show what happened."""
        self.events[:] = [event for event in self.events if event["id"] not in keys]

    def without(self, keys: Iterable[str]) -> list[stripe_events.Event]:
        """What was delivered if these events were not, oldest first."""
        lost = set(keys)
        return [event for event in reversed(self.events) if event["id"] not in lost]
