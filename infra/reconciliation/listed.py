"""What an adapter makes of a provider's answers, whichever provider it is: pages, objects by key, moments."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog

from domain.differences import Kind
from infra.providers.exact import MalformedEvent
from infra.reconciliation.provider import ListedEvent, ListedObject, Page

log = structlog.get_logger()

#: (since, where the page begins) -> the page's objects, where the next begins
List = Callable[[datetime, str | None], tuple[list[dict[str, Any]], str | None]]


class ListedBooks(ABC):
    """A provider's books as lists that go on page by page; what makes an event of an object is the adapter's."""

    name: str

    def __init__(self, events: List, objects: Mapping[Kind, List]) -> None:
        self._events = events
        self._objects = objects

    def list_events(self, since: datetime, after: str | None) -> Page[ListedEvent]:
        """One page of events, of every type."""
        listed, after = self._events(since, after)
        return Page(takeable(self.name, listed, self._event), after)

    def list_objects(self, kind: Kind, since: datetime, after: str | None) -> Page[ListedObject]:
        """One page of one kind, ended, void, failed and deleted ones included; of invoices those that are paid."""
        listed, after = self._objects[kind](since, after)
        return Page(tuple(self._shown(kind, each) for each in listed), after)

    def fetch_object(self, kind: Kind, key: str) -> ListedObject | None:
        """One object as it is now."""
        return self._fetched(kind, key)

    def fetch_customer(self, key: str) -> ListedObject | None:
        """One customer; of a deleted one there is nothing, or nothing but the id."""
        return self._fetched(None, key)

    def _fetched(self, kind: Kind | None, key: str) -> ListedObject | None:
        found = self._raw(kind, key)
        return None if found is None else self._shown(kind, found)

    @abstractmethod
    def _raw(self, kind: Kind | None, key: str) -> dict[str, Any] | None:
        """An object by its id, as the API shows it; kind None: a customer."""

    @abstractmethod
    def _shown(self, kind: Kind | None, content: dict[str, Any]) -> ListedObject:
        """An object as it was shown, made complete."""

    @staticmethod
    @abstractmethod
    def _event(content: dict[str, Any]) -> ListedEvent:
        """An event as the receiver would have read it."""


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
