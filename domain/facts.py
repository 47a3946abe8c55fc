"""Provider-neutral facts: what happened at a provider, and when it took effect.

Every time here is an aware UTC datetime, every amount an integer in the currency's minor unit. `source` orders
events that concern the same object; a provider's own order field, when it has one, comes before its clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

#: The provider that the company itself is: what it states through the API. A customer of this provider goes by the
#: company's own id.
COMPANY = "api"

#: `Source.version` of a link that a person states: no provider's own ordering number comes near it.
PERSONS_WORD = 2**62


class ProductStatus(StrEnum):
    """What a customer's product is worth to a partner. DESIGN: mapped from the provider's subscription status."""

    #: Known but never started: an incomplete or future subscription. Any other status moves it out.
    NONE = "none"
    #: In a free trial. A paid line, the trial's end or a cancellation moves it out.
    TRIAL = "trial"
    #: Paid for, or past due and still served. A pause, an unpaid end, a removal or a cancellation moves it out.
    ACTIVE = "active"
    #: Suspended, removed or ended. A resumption moves it out, unless the subscription has ended for good.
    CHURNED = "churned"


@dataclass(frozen=True, slots=True, order=True)
class Source:
    """Which event a fact came from, comparable: later facts of one object win.

    `version` is the provider's own ordering number (0 where it has none), `rank` the lifecycle rank of the event
    type (created 0, changed 1, ended 2).
    """

    version: int
    occurred_at: datetime
    rank: int
    event_key: str


@dataclass(frozen=True, slots=True)
class CustomerSeen:
    """A provider's customer as an event showed it. Empty strings never occur: absent is None."""

    provider: str
    provider_customer_key: str
    source: Source
    #: The company's own id, from metadata (`customer_key`, else `customer_id`).
    customer_key: str | None = None
    #: The partner that metadata names, and its team member.
    partner_key: str | None = None
    member_key: str | None = None
    email: str | None = None
    name: str | None = None
    #: ISO 3166 alpha-2, upper case.
    country: str | None = None
    metadata: Mapping[str, str] | None = None
    deleted: bool = False
    #: When the provider made this customer; None where the event does not say.
    created_at: datetime | None = None
    #: From when on the customer is the partner's, where that was said.
    attributed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class CustomerLinked:
    """A person said whose a provider's customer is. Its source outranks every event's; the newest person's counts."""

    provider: str
    provider_customer_key: str
    source: Source
    #: The company's own id.
    customer_key: str


@dataclass(frozen=True, slots=True, order=True)
class SubscriptionItem:
    """One product on a subscription. Several items of one product are added into one."""

    #: The provider's product id; its price id where the shape names no product.
    product_key: str
    price_keys: tuple[str, ...]
    quantity: int | None
    #: For one period, all units; None for metered or tiered prices.
    amount_minor: int | None


@dataclass(frozen=True, slots=True)
class SubscriptionSeen:
    """A subscription's whole state as an event showed it."""

    provider: str
    subscription_key: str
    provider_customer_key: str
    source: Source
    #: From when the status holds: the event's time, or the moment it ended.
    effective_at: datetime
    status: ProductStatus
    provider_status: str
    #: True: over for good. Where `absorbing`, nothing later revives this subscription.
    ended: bool
    absorbing: bool
    currency: str | None
    items: tuple[SubscriptionItem, ...]
    partner_key: str | None = None
    member_key: str | None = None
    #: What the event says was there before it; None where it did not change. Orders events of the same second.
    previous_provider_status: str | None = None
    previous_items: tuple[SubscriptionItem, ...] | None = None
    #: The event carried only the first page of items: one that is not here may still be on the subscription.
    items_missing: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether it speaks of the whole subscription. The company states each product by itself, not the others."""
        return self.provider != COMPANY


@dataclass(frozen=True, slots=True)
class ProductClaimed:
    """A person said which partner sold one product, whoever bills it."""

    provider: str
    subscription_key: str
    #: The provider's product id.
    product_key: str
    source: Source
    partner_key: str
    member_key: str | None = None
    #: From when on, where that was said.
    effective_from: datetime | None = None
    #: Whose product it is, as far as known.
    provider_customer_key: str | None = None


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """One provider line, before netting. `amount_minor` excludes exclusive tax and still holds the discount."""

    line_key: str
    subscription_key: str | None
    product_key: str | None
    price_keys: tuple[str, ...]
    #: Line amount minus included tax; negative for credits.
    amount_minor: int
    #: Discounts on this line, positive, already its share of invoice-level ones.
    discount_minor: int
    quantity: int | None
    #: True for the subscription's own recurring lines and their prorations, false for one-off charges.
    recurring: bool
    description: str | None = None


@dataclass(frozen=True, slots=True)
class InvoicePaid:
    """A paid invoice. `invoice.paid` and `invoice.payment_succeeded` of one invoice say the same thing."""

    provider: str
    invoice_key: str
    #: None for a payment nobody is named on.
    provider_customer_key: str | None
    source: Source
    paid_at: datetime
    currency: str
    lines: tuple[InvoiceLine, ...]
    #: The event carried only the first page of lines; the rest must be fetched before judging.
    lines_missing: bool
    metadata: Mapping[str, str] | None = None
    #: What the customer was asked for, every tax included: what a refund is a share of. None: no tax is known of.
    total_minor: int | None = None
    #: The provider's ids of the payments (charges, payment intents) that settled it, as far as the event names them.
    payment_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class InvoicePayment:
    """Which payments settled an invoice: what leads from a refund or a dispute to its invoice."""

    provider: str
    invoice_key: str
    source: Source
    payment_keys: tuple[str, ...]
    #: None: the event names nobody.
    provider_customer_key: str | None = None


class ReversalKind(StrEnum):
    """What took money back. Each says what brings it about."""

    #: One refund. A customer is paid back; a failed one is undone.
    REFUND = "refund"
    #: All refunds of one payment so far, where the provider does not name them one by one.
    REFUNDED = "refunded"
    #: A correction of an invoice's lines. Voiding undoes it.
    CREDIT_NOTE = "credit_note"
    #: Funds withdrawn by the customer's bank. A dispute that is won reinstates them.
    DISPUTE = "dispute"
    #: An invoice that is not paid, or no longer: its payment was taken off it, it is void or gone. A newer word that it
    #: is paid undoes it.
    UNPAID = "unpaid"


@dataclass(frozen=True, slots=True)
class ReversalLine:
    """What a credit note takes from one line. `amount_minor` is positive, after discounts, without tax."""

    amount_minor: int
    #: The provider's id of the invoice line; None where the note names the product, or nothing.
    line_key: str | None = None
    subscription_key: str | None = None
    product_key: str | None = None


@dataclass(frozen=True, slots=True)
class Reversal:
    """Money taken back from an invoice, tax included, as far as one event knows.

    Amounts only grow: several events of one reversal are merged by maximum, never added up.
    """

    provider: str
    kind: ReversalKind
    #: The provider's id of the refund, credit note or dispute; of the payment for `refunded`.
    reversal_key: str
    source: Source
    currency: str
    #: What was taken: the refund, all refunds so far, the whole note, the funds withdrawn.
    amount_minor: int
    #: What was given back of it: all of a failed refund or a voided note, the funds reinstated.
    undone_minor: int = 0
    #: None where only the payment is named.
    invoice_key: str | None = None
    payment_keys: tuple[str, ...] = ()
    #: Of a credit note; empty where it names no lines.
    lines: tuple[ReversalLine, ...] = ()
    #: Of a credit note: how much of it was paid out as refunds, which are reported on their own and count once.
    refunded_minor: int = 0
    #: Of a credit note: which refunds those are, and how much of it each paid out, where the provider names them.
    refunds: tuple[tuple[str, int], ...] = ()
    #: None: the event names nobody.
    provider_customer_key: str | None = None
    #: The event carried only the first page of a credit note's lines; the rest must be fetched before judging.
    lines_missing: bool = False


@dataclass(frozen=True, slots=True)
class ProductDescribed:
    """A product as the provider's own catalogue shows it: a Stripe product, a Chargebee item, plan or addon.

    The product book entry that `product_key` leads to takes name, description and `archived` from it, but only where
    that entry follows the provider (one made by the program does, one named by a person does not). A product that
    the book lacks gets an entry to be reviewed. Source orders descriptions; the first known name holds from ever.
    """

    provider: str
    product_key: str
    source: Source
    #: None where the event does not say.
    name: str | None = None
    description: str | None = None
    #: No longer sold: deactivated or archived. Where `deleted`, for good: no later description revives it.
    archived: bool = False
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class PriceDescribed:
    """Which product a price is of: a Stripe price or plan, a Chargebee item price.

    From then on the price's id is an alias of that product's entry, unless a person has filed it elsewhere.
    """

    provider: str
    price_key: str
    product_key: str
    source: Source


BillingEvent = (
    CustomerSeen | CustomerLinked | SubscriptionSeen | ProductClaimed | InvoicePaid | InvoicePayment | Reversal
)

#: About what is sold, not about who bought it: recorded by `domain.catalogue`, before any billing event is judged.
#: One provider event holds facts of one of the two kinds, never of both.
CatalogueEvent = ProductDescribed | PriceDescribed

Fact = BillingEvent | CatalogueEvent


@dataclass(frozen=True, slots=True)
class NotUsed:
    """A verified event that changes nothing here, with the reason a person reads."""

    reason: str


@dataclass(frozen=True, slots=True)
class Missing:
    """A verified event that says nothing until its provider is asked; `what` it names, for a person to read."""

    what: str
