"""What recording reads and writes: the known slice of facts that a batch meets, and the changes it makes to them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from domain.catalogue import Catalogue, Entry
from domain.customers import Claim, Customer
from domain.facts import CustomerSeen, Reversal, Source, SubscriptionSeen
from domain.products import Evidence, ProductVersion, SubscriptionState
from domain.reversals import ReversalKey
from domain.transactions import Transaction

KeyT = TypeVar("KeyT")

#: Earlier than anything that can have happened.
BEGINNING = datetime(1, 1, 1, tzinfo=UTC)

#: (provider, the provider's customer id)
ProviderCustomerKey = tuple[str, str]
#: (provider, subscription id)
SubscriptionKey = tuple[str, str]
#: (provider, subscription id, the provider's product id)
ProductKey = tuple[str, str, str]
#: (provider, the provider's id of a charge or payment intent)
PaymentKey = tuple[str, str]


@dataclass(frozen=True, slots=True)
class ProviderCustomer:
    """A customer as a provider knows it, linked to one of ours or not yet."""

    provider: str
    key: str
    #: Our customer's key; None: unlinked.
    customer: str | None = None
    #: The newest event that described it; None while only payments or subscriptions name it.
    source: Source | None = None
    #: The newest event that named the company's own id, or a person's word, which outranks all of them.
    link_source: Source | None = None
    email: str | None = None
    name: str | None = None
    country: str | None = None
    metadata: Mapping[str, str] | None = None
    deleted: bool = False
    #: When the provider made it, or was first heard to speak of it; None while no event described it.
    created_at: datetime | None = None
    #: The time of the earliest description: that one holds from the beginning of time.
    described_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SubscriptionWindow:
    """What is known of one subscription from `since` on, and the state that earlier facts left."""

    since: datetime
    before: SubscriptionState = field(default_factory=SubscriptionState)
    snapshots: tuple[SubscriptionSeen, ...] = ()
    evidence: tuple[tuple[str, Evidence], ...] = ()  # (transaction key, what its line proves)
    versions: Mapping[str, tuple[ProductVersion, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Known:
    """The slice of recorded facts that a batch of events can meet."""

    provider_customers: Mapping[ProviderCustomerKey, ProviderCustomer] = field(default_factory=dict)
    customers: Mapping[str, Customer] = field(default_factory=dict)
    #: Per subject, see `domain.ids`.
    claims: Mapping[str, tuple[Claim, ...]] = field(default_factory=dict)
    transactions: Mapping[str, Transaction] = field(default_factory=dict)
    subscriptions: Mapping[SubscriptionKey, SubscriptionWindow] = field(default_factory=dict)
    catalogue: Catalogue = field(default_factory=Catalogue)
    #: The invoice that each payment settled, as its key at the provider.
    payments: Mapping[PaymentKey, str] = field(default_factory=dict)
    #: Those that events name, and all of the transactions that the batch can meet.
    reversals: Mapping[ReversalKey, Reversal] = field(default_factory=dict)
    #: What was said of whoever shares an address with a customer that the batch speaks of, directly or by way of a
    #: third; None where the program does not link by e-mail. See `domain.addresses`.
    descriptions: Mapping[ProviderCustomerKey, tuple[CustomerSeen, ...]] | None = None


@dataclass(slots=True)
class Touched:
    """What must be judged again, each with the cause that first asked for it (`stripe:evt_1`)."""

    transactions: dict[str, str] = field(default_factory=dict)
    #: Every transaction of the customer from the moment on.
    customers: dict[ProviderCustomerKey, tuple[datetime, str]] = field(default_factory=dict)
    #: Every transaction with a line on the subscription from the moment on.
    subscriptions: dict[SubscriptionKey, tuple[datetime, str]] = field(default_factory=dict)
    #: The customer's transactions with credits from the moment on: what they take back may be another charge now,
    #: or there may be more or less left of it. So are those that follow any transaction touched otherwise.
    credits: dict[ProviderCustomerKey, tuple[datetime, str]] = field(default_factory=dict)
    #: The credits on a subscription from the moment on, whoever paid them: they may take back what another paid.
    credited: dict[SubscriptionKey, tuple[datetime, str]] = field(default_factory=dict)
    #: Whose payment turns out to be of another moment, or another's: every payment from the moment on, under any name
    #: of whoever goes by this one, may follow another one now.
    followers: dict[ProviderCustomerKey, tuple[datetime, str]] = field(default_factory=dict)
    #: Posted lines that refer to a product so, from the moment on; see `domain.references`.
    references: dict[str, tuple[datetime, str]] = field(default_factory=dict)
    #: Our customers that a provider's customer was linked to or taken from.
    moved: dict[str, str] = field(default_factory=dict)


def note_earliest(where: dict[KeyT, tuple[datetime, str]], key: KeyT, moment: datetime, cause: str) -> None:
    """Keep, for a key, the earliest moment and what caused it."""
    if key not in where or moment < where[key][0]:
        where[key] = (moment, cause)


@dataclass(slots=True)
class Changes:
    """What to write: whole new values, each keyed so that writing it twice writes it once."""

    provider_customers: dict[ProviderCustomerKey, ProviderCustomer] = field(default_factory=dict)
    customers: dict[str, Customer] = field(default_factory=dict)
    claims: list[Claim] = field(default_factory=list)
    #: What events said of providers' customers: the history that rules on customers read.
    descriptions: list[CustomerSeen] = field(default_factory=list)
    payments: dict[PaymentKey, str] = field(default_factory=dict)
    reversals: dict[ReversalKey, Reversal] = field(default_factory=dict)
    snapshots: list[SubscriptionSeen] = field(default_factory=list)
    transactions: dict[str, Transaction] = field(default_factory=dict)
    #: Per subscription: from when the product versions are replaced, and by what.
    histories: dict[SubscriptionKey, tuple[datetime, Mapping[str, tuple[ProductVersion, ...]]]] = field(
        default_factory=dict
    )
    entries: dict[str, Entry] = field(default_factory=dict)
    touched: Touched = field(default_factory=Touched)
