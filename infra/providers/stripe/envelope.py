"""The few fields of a Stripe event that are needed to store it, read strictly from the exact bytes."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import msgspec

from infra.providers.exact import (
    SECOND_MAX,
    SECOND_MIN,
    moment_of,
    printable,
    printable_or_none,
    read_exactly,
    refuse_moment,
)


@dataclass(frozen=True, slots=True)
class Envelope:
    """An event as received, without its meaning. `thin` events carry no object; it must be fetched."""

    event_key: str
    event_type: str
    #: Connect: whose event this is; None for the account's own.
    account: str | None
    livemode: bool | None
    api_version: str | None
    occurred_at: datetime
    thin: bool


class _Event(msgspec.Struct, frozen=True):
    id: str
    type: str
    #: Unix seconds; RFC 3339 in thin events.
    created: int | str
    object: Literal["event", "v2.core.event"] = "event"
    livemode: bool | None = None
    account: str | None = None
    #: Where thin events name the account.
    context: str | None = None
    api_version: str | None = None


def read_envelope(body: bytes) -> Envelope:
    """Raises `MalformedEvent` for anything but one event whose every field has one meaning; nothing else, ever."""
    event = read_exactly(body, _Event)
    return Envelope(
        event_key=printable(event.id, "id"),
        event_type=printable(event.type, "type"),
        account=printable_or_none(event.account or event.context, "account"),
        livemode=event.livemode,
        api_version=printable_or_none(event.api_version, "api_version"),
        occurred_at=_moment(event.created),
        thin=event.object == "v2.core.event",
    )


def _moment(created: int | str) -> datetime:
    if isinstance(created, int):
        return moment_of(created, "created")
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,18}(Z|[+-][0-9]{2}:[0-9]{2})", created):
        refuse_moment("created")
    try:
        moment = datetime.fromisoformat(created).astimezone(UTC)
    except (ValueError, OverflowError):
        refuse_moment("created")
    if not SECOND_MIN <= moment.timestamp() <= SECOND_MAX:
        refuse_moment("created")
    return moment
