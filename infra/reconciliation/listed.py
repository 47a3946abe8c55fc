"""What an adapter makes of a provider's answers, whichever provider it is."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog

from infra.providers.exact import MalformedEvent
from infra.reconciliation.provider import ListedEvent, ListedObject

log = structlog.get_logger()


def takeable(
    provider: str, objects: Iterable[dict[str, Any]], event_of: Callable[[dict[str, Any]], ListedEvent]
) -> tuple[ListedEvent, ...]:
    """The events that the receiver would take. One that it would not must not keep the others out."""
    found = []
    for content in objects:
        try:
            found.append(event_of(content))
        except MalformedEvent as error:
            log.warning("event.unlisted", provider=provider, reason=str(error))
    return tuple(found)


def decoded(shown: ListedObject) -> dict[str, Any]:
    """The object itself."""
    return msgspec.json.decode(shown.body, type=dict[str, Any])


def moment(second: object) -> datetime | None:
    """Unix seconds as a moment; None for anything else."""
    return datetime.fromtimestamp(second, UTC) if isinstance(second, int) else None
