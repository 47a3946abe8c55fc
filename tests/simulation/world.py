"""What happened in a simulated company: plain facts for the oracle, events and program changes for the stage."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from domain.facts import BillingEvent
from infra.providers.stripe.example_events import Event
from tests.stage import Stage


@dataclass(frozen=True)
class PaidLine:
    """One line of an invoice, as billed. `product` and `subscription` are None on what names none."""

    key: str
    subscription: str | None
    product: str | None
    price: str | None
    amount: int
    discount: int = 0


@dataclass(frozen=True)
class Payment:
    """One paid invoice."""

    invoice: str
    customer: str
    paid_at: datetime
    currency: str
    lines: tuple[PaidLine, ...]
    #: Exclusive tax on top of the lines.
    tax: int = 0


@dataclass(frozen=True)
class Said:
    """An event named a partner for a provider's customer, or (with `subscription`) for one subscription."""

    at: datetime
    event: str
    customer: str
    partner: str
    subscription: str | None = None


@dataclass(frozen=True)
class Linked:
    """An event named the company's own id of a provider's customer; of one second the later `rank` counts."""

    at: datetime
    rank: int
    event: str
    customer: str
    company_key: str


@dataclass(frozen=True)
class TakenBack:
    """What one refund, credit note or dispute finally took of an invoice, tax included; 0 where it was undone."""

    #: `refund`, `credit_note` or `dispute`.
    kind: str
    key: str
    invoice: str
    amount: int
    #: Of a credit note: (index of the invoice's line, amount without tax).
    lines: tuple[tuple[int, int], ...] = ()
    #: Of a credit note: how much of it was paid out as refunds that are told of on their own.
    refunded: int = 0
    #: Of a credit note: whether that refund failed.
    failed: bool = False
    #: Of a refund: whether it is told of by itself, and no credit note names it.
    plain: bool = False


@dataclass(frozen=True)
class Described:
    """What an event said of a provider's customer; of one second the later `rank` counts."""

    at: datetime
    rank: int
    event: str
    customer: str
    country: str


@dataclass(frozen=True)
class Shown:
    """A subscription as an event showed it: in tame histories no two events of one share a second."""

    at: datetime
    subscription: str
    customer: str
    status: str
    #: (product, price)
    products: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class DripTerms:
    """Instalments: days until the first, months between, how many."""

    delay: int
    cycle: int
    occurrences: int
    stop: bool = False


@dataclass(frozen=True)
class Offer:
    """One version of a trigger, as far as the oracle understands it."""

    key: str
    version: int
    since: datetime
    percent: str | None = None
    flat: tuple[int, str] | None = None
    #: Product names; None: paid once on the whole.
    products: tuple[str, ...] | None = None
    group: str | None = None
    tag: str | None = None
    #: `product.status`; the oracle leaves such triggers alone.
    status: str | None = None
    position: int = 0
    exclusive_group: str | None = None
    active: bool = True
    event: str = "transaction_created"
    drip: DripTerms | None = None
    per_customer: int | None = None
    months: int | None = None
    amount_max: int | None = None
    #: `transaction.number` at most.
    number: int | None = None
    #: `customer.revenue` at least, in the payment's own minor units.
    revenue: int | None = None
    country: str | None = None
    #: `transaction.amount` at least: as paid, whatever is refunded later.
    amount: int | None = None


@dataclass(frozen=True)
class PartnerTerms:
    """A partner's group and tags from `since` on; None: from the beginning of time."""

    partner: str
    since: datetime | None
    group: str | None
    tags: tuple[str, ...]


@dataclass(frozen=True)
class Named:
    """A product book entry's name from `since` on, and the ids that lead to it."""

    product: str
    name: str
    since: datetime | None
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Change:
    """Something a person did to the program."""

    at: datetime
    said: "Offer | PartnerTerms | Named"
    play: Callable[[Stage], None]


@dataclass
class World:
    """A whole history."""

    seed: int
    #: No two events of a subscription in one second, no late ends: its status is plain to tell.
    tame: bool = False
    #: What the program takes percentages of, `net` or `gross`.
    basis: str = "net"
    taken: list[TakenBack] = field(default_factory=list)
    described: list[Described] = field(default_factory=list)
    shown: list[Shown] = field(default_factory=list)
    payments: list[Payment] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)
    linked: list[Linked] = field(default_factory=list)
    offers: list[Offer] = field(default_factory=list)
    partners: list[PartnerTerms] = field(default_factory=list)
    names: list[Named] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    #: What no Stripe event of ours tells.
    facts: list[BillingEvent] = field(default_factory=list)

    def in_order(self) -> list[Any]:
        """Events and program changes as they happened."""
        moments: list[tuple[float, int, Any]] = []
        moments += [(change.at.timestamp(), 0, change) for change in self.changes]
        moments += [(event["created"], 1, event) for event in self.events]
        moments += [(fact.source.occurred_at.timestamp(), 2, fact) for fact in self.facts]
        return [entry for _, _, entry in sorted(moments, key=lambda moment: moment[:2])]
