"""The few fields of a Chargebee event that are needed to store it, read strictly from the exact bytes."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import msgspec

from infra.providers.exact import moment_of, printable, printable_or_none, read_exactly


@dataclass(frozen=True, slots=True)
class Envelope:
    """An event as received, without its meaning. Chargebee names neither a mode nor an account: a site is either."""

    event_key: str
    event_type: str
    #: `v1` or `v2`; absent in the oldest events.
    api_version: str | None
    #: Who brought it about, in an open list: `api`, `admin_console`, `scheduled_job`, ...
    source: str | None
    occurred_at: datetime


class _Event(msgspec.Struct, frozen=True):
    id: str
    event_type: str
    #: Unix seconds.
    occurred_at: int
    object: Literal["event"] = "event"
    api_version: str | None = None
    source: str | None = None


def read_envelope(body: bytes) -> Envelope:
    """Raises `MalformedEvent` for anything but one event whose every field has one meaning; nothing else, ever."""
    event = read_exactly(body, _Event)
    return Envelope(
        event_key=printable(event.id, "id"),
        event_type=printable(event.event_type, "event_type"),
        api_version=printable_or_none(event.api_version, "api_version"),
        source=printable_or_none(event.source, "source"),
        occurred_at=moment_of(event.occurred_at, "occurred_at"),
    )
