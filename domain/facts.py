"""Provider-neutral facts: what happened at a provider, and when it took effect.

Every time here is an aware UTC datetime, every amount an integer in the currency's minor unit. `source` orders
events that concern the same object; a provider's own order field, when it has one, comes before its clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


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


BillingEvent = CustomerSeen | SubscriptionSeen | InvoicePaid


@dataclass(frozen=True, slots=True)
class NotUsed:
    """A verified event that changes nothing here, with the reason a person reads."""

    reason: str
