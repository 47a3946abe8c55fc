"""A site at a Chargebee that answers over HTTP: what happens in it is in its event list and changes its objects."""

from collections.abc import Iterable
from typing import Any

from tests.chargebee_events import Event, Json
from tests.fake_stripe import FakeStripe

#: Resources that are shown by themselves, and what their lists are sorted by.
_SORTED = {
    "credit_note": "date",
    "customer": "created_at",
    "subscription": "created_at",
    "invoice": "date",
    "transaction": "updated_at",
}
_EVENTS_KEPT_S = 90 * 86_400


class ChargebeeSite:
    """Keeps a fake's lists as events say; the oldest first, as Chargebee lists them when asked to."""

    def __init__(self, fake: FakeStripe) -> None:
        self.fake = fake
        self.events: list[Event] = fake.lists.setdefault("events", [])
        for name in _SORTED:
            fake.lists.setdefault(f"{name}s", [])

    def happens(self, *events: Event) -> list[Event]:
        """Something happened: what the webhooks would deliver."""
        for event in events:
            self.events.append(event)
            for content in event["content"].values():
                for resource in content if isinstance(content, list) else [content]:
                    self.shows(resource)
        self.events.sort(key=lambda event: int(event["occurred_at"]))
        return list(events)

    def shows(self, resource: Json) -> None:
        """A resource is now like this, whether or not any event tells; an older version of it changes nothing."""
        kind, key = resource.get("object"), resource["id"]
        if kind not in _SORTED or str(key).startswith("draft_"):
            return
        held = self.fake.lists[f"{kind}s"]
        (others, known) = [each for each in held if each["id"] != key], self.shown(kind, key)
        if known is None or known["resource_version"] <= resource["resource_version"]:
            held[:] = sorted([*others, resource], key=lambda each: int(each[_SORTED[kind]]))

    def shown(self, kind: str, key: str) -> dict[str, Any] | None:
        """A resource as it is now."""
        return next((each for each in self.fake.lists[f"{kind}s"] if each["id"] == key), None)

    def forget_events(self, now_s: float) -> None:
        """Only the last 90 days are kept."""
        self.events[:] = [event for event in self.events if event["occurred_at"] >= now_s - _EVENTS_KEPT_S]

    def loses(self, *keys: str) -> None:
        """These events can no longer be listed, or never could: only the objects show what happened."""
        self.events[:] = [event for event in self.events if event["id"] not in keys]

    def without(self, keys: Iterable[str]) -> list[Event]:
        """What was delivered if these events were not, oldest first."""
        lost = set(keys)
        return [event for event in self.events if event["id"] not in lost]
