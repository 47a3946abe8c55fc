"""What a reconciliation asks of a billing provider, page by page. Each call is one request, or few.

Every call raises TryLater where the provider is out of reach, busy or failing, and CannotProcess where it refuses
or answers nonsense.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, Protocol, TypeVar

from domain.differences import Kind

FoundT = TypeVar("FoundT")


@dataclass(frozen=True, slots=True)
class Page(Generic[FoundT]):
    """One page of a list."""

    found: tuple[FoundT, ...]
    #: Where the next page begins; None: this is the last.
    after: str | None


@dataclass(frozen=True, slots=True)
class ListedEvent:
    """An event as the webhook would have stored it. `body` holds the event itself."""

    event_key: str
    event_type: str
    occurred_at: datetime
    body: bytes
    account: str | None = None
    livemode: bool | None = None
    api_version: str | None = None


@dataclass(frozen=True, slots=True)
class ListedObject:
    """An object of some kind, or a customer, as the provider has it now. `body` is the object as JSON."""

    key: str
    body: bytes


class Provider(Protocol):
    """A billing provider's books, as its API shows them."""

    name: str
    #: How long it keeps events.
    keeps_events: timedelta
    #: The types of events that tell of a paid invoice, or of what takes back of one: ours may still wait.
    told_by: Mapping[Kind, Collection[str]]
    #: Kinds of which ours are called as the provider's are, so that it can be asked for one.
    shown_by_key: Collection[Kind]

    def list_events(self, since: datetime, after: str | None) -> Page[ListedEvent]:
        """Events that happened at `since` or later, of every type and whether or not they were delivered."""

    def list_objects(self, kind: Kind, since: datetime, after: str | None) -> Page[ListedObject]:
        """Every subscription, the paid invoices made at `since` or later, each with all its lines, or the refunds,
        credit notes or disputes that may have changed since then.
        """

    def fetch_object(self, kind: Kind, key: str) -> ListedObject | None:
        """One object in whatever state, an invoice with all its lines; None: there is none."""

    def fetch_customer(self, key: str) -> ListedObject | None:
        """One customer; None: there is none."""

    def event_of(self, kind: Kind | None, shown: ListedObject, event_key: str, at: datetime) -> ListedEvent:
        """The event that would tell at `at` what the object says; kind None: a customer."""

    def holds_since(self, kind: Kind | None, shown: ListedObject) -> datetime | None:
        """From when on what the object says is known to hold; None: it does not say."""

    def net_minor(self, invoice: ListedObject) -> int:
        """An invoice's total without tax, as the invoice itself has it, not added up from its lines."""
