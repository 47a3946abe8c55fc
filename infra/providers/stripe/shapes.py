"""The few fields of Stripe's objects that are read, of every API version from 2016 on, as msgspec decodes them.

A field that some version lacks has a default, so one shape reads all versions; UNSET tells a key that is not there
from one that is null. Which of two filled places counts is decided in translate.py, never here.
"""

from typing import Annotated, Generic, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

#: An id of Stripe's, or one the company chose for a plan: short enough for a database index.
Key = Annotated[str, Meta(min_length=1, max_length=255)]
#: An amount or a count: far beyond any invoice, and small enough that sums stay inside 64 bits.
Minor = Annotated[int, Meta(ge=-(10**15), le=10**15)]
#: Unix seconds that a datetime can hold.
Second = Annotated[int, Meta(ge=0, le=253_402_300_799)]

#: An ISO 4217 code; Stripe writes it in lower case.
Currency = Annotated[str, Meta(min_length=3, max_length=3)]

ObjectT = TypeVar("ObjectT")


class Shape(msgspec.Struct, gc=False):
    """What every shape has in common: never part of a cycle, so the garbage collector need not look at it."""


class Change(Shape, Generic[ObjectT]):
    """`data`: the object after the event, and what was there before it where Stripe says so."""

    object: ObjectT
    previous_attributes: msgspec.Raw = msgspec.Raw(b"")


class Event(Shape, Generic[ObjectT]):
    """A snapshot event. A thin one (`v2.core.event`) has no `data`."""

    object: str = "event"
    data: Change[ObjectT] | None = None


class Address(Shape):
    """Stripe wants ISO 3166 alpha-2 in `country`, but old accounts hold free text."""

    country: str | None = None


class Customer(Shape):
    """`customer.deleted` sends either the last full object or no more than its id."""

    id: Key
    object: str = "customer"
    email: str | None = None
    name: str | None = None
    address: Address | None = None
    metadata: dict[str, str] | None = None
    deleted: bool = False
    created: Second | None = None


class Packaging(Shape):
    """A price per package of `divide_by` units (`transform_quantity`, on a plan `transform_usage`)."""

    divide_by: Annotated[int, Meta(ge=1, le=10**15)]
    round: str


class Price(Shape):
    """A price (2020-08-27 and later). `unit_amount` is null for tiers and for fractions of a minor unit."""

    id: Key | None = None
    product: Key | None = None
    unit_amount: Minor | None = None
    currency: Currency | None = None
    transform_quantity: Packaging | None = None


class Plan(Shape, rename={"unit_amount": "amount", "transform_quantity": "transform_usage"}):
    """A plan: what prices were before, and a legacy copy beside them. 2016 plans name no product."""

    id: Key | None = None
    product: Key | None = None
    unit_amount: Minor | None = None
    currency: Currency | None = None
    transform_quantity: Packaging | None = None


class Item(Shape):
    """A subscription item. `quantity` is absent where usage is metered."""

    price: Price | None = None
    plan: Plan | None = None
    quantity: Minor | None = None


class Items(Shape):
    """The first page of a subscription's items."""

    data: list[Item]
    has_more: bool = False


class Subscription(Shape):
    """A subscription. In 2016 `plan` and `quantity` stand alone; with several items they are null."""

    id: Key
    customer: Key
    status: Key
    object: str = "subscription"
    items: Items | None = None
    plan: Plan | None = None
    quantity: Minor | None = None
    currency: Currency | None = None
    ended_at: Second | None = None
    canceled_at: Second | None = None
    metadata: dict[str, str] | None = None


class PreviousPlan(Shape):
    """A plan inside `previous_attributes`: real events name only what changed."""

    id: Key | UnsetType = UNSET
    product: Key | UnsetType | None = UNSET
    amount: Minor | UnsetType | None = UNSET


class Previous(Shape):
    """`previous_attributes` of a subscription: only what the event changed."""

    status: Key | None = None
    items: Items | None = None
    plan: PreviousPlan | None = None
    quantity: Minor | None = None


class DiscountAmount(Shape):
    """What one discount took off a line, or off the whole invoice."""

    amount: Minor


class TaxAmount(Shape):
    """A row of `tax_amounts` (`inclusive`) or of `taxes` (`tax_behavior`)."""

    amount: Minor
    inclusive: bool = False
    tax_behavior: str | None = None


class PriceDetails(Shape):
    """Ids only, basil and later."""

    price: Key | None = None
    product: Key | None = None


class Pricing(Shape):
    """A line's price, basil and later; acacia fills it beside `price`."""

    price_details: PriceDetails | None = None


class ItemDetails(Shape):
    """Where a line came from: a subscription's item, or an invoice item."""

    subscription: Key | None = None
    proration: bool = False


class LineParent(Shape):
    """`parent` of a line, acacia and later."""

    subscription_item_details: ItemDetails | None = None
    invoice_item_details: ItemDetails | None = None


class Line(Shape):
    """An invoice line. `unique_id` is the id that later versions call `id`."""

    id: Key
    amount: Minor
    unique_id: Key | None = None
    type: str | None = None
    subscription: Key | UnsetType | None = UNSET
    parent: LineParent | UnsetType | None = UNSET
    price: Price | None = None
    plan: Plan | None = None
    pricing: Pricing | None = None
    quantity: Minor | None = None
    proration: bool = False
    discountable: bool = True
    discount_amounts: list[DiscountAmount] | None = None
    tax_amounts: list[TaxAmount] | None = None
    taxes: list[TaxAmount] | None = None
    description: str | None = None


class Lines(Shape):
    """The first page of an invoice's lines: ten of them, in the events seen so far."""

    data: list[Line]
    has_more: bool = False


class SubscriptionDetails(Shape):
    """Which subscription an invoice bills."""

    subscription: Key | None = None


class InvoiceParent(Shape):
    """`parent` of an invoice, acacia and later; null on a manual invoice."""

    subscription_details: SubscriptionDetails | None = None


class StatusTransitions(Shape):
    """When an invoice became what it is; 2016 invoices have none."""

    paid_at: Second | None = None


class Identified(Shape):
    """An object of which only the id is wanted."""

    id: Key


#: An id, or the object with that id.
Expandable = Key | Identified | None


class PaidBy(Shape):
    """What an invoice was paid with: a payment intent, or a charge that has none."""

    payment_intent: Expandable = None
    charge: Expandable = None


class Payment(Shape):
    """One payment of an invoice, expanded in it."""

    payment: PaidBy | None = None


class PaidBys(Shape):
    """An invoice's payments."""

    data: list[Payment]


class Invoice(Shape):
    """An invoice. 2016 has `paid` and no `status`; basil and later have only `status`."""

    id: Key
    currency: Currency
    lines: Lines
    object: str = "invoice"
    customer: Key | None = None
    status: str | None = None
    paid: bool | None = None
    status_transitions: StatusTransitions | None = None
    subscription: Key | UnsetType | None = UNSET
    parent: InvoiceParent | UnsetType | None = UNSET
    subtotal: Minor | None = None
    total: Minor | None = None
    tax: Minor | None = None
    total_tax_amounts: list[TaxAmount] | None = None
    total_discount_amounts: list[DiscountAmount] | None = None
    #: Old versions only: an object where a coupon applied. What matters is whether there is one.
    discount: msgspec.Raw = msgspec.Raw(b"")
    metadata: dict[str, str] | None = None
    #: Until basil: ids of what settled it, or the objects themselves where somebody expanded them.
    charge: Expandable = None
    payment_intent: Expandable = None
    #: From basil on, where somebody expanded them.
    payments: PaidBys | None = None


class Product(Shape):
    """A product. Plans of 2016 have a name of their own and no product; a deleted one may send no more than its id."""

    id: Key
    object: str = "product"
    name: str | None = None
    description: str | None = None
    active: bool = True
    deleted: bool = False


class DescribedPrice(Product):
    """A price or a plan in an event of its own."""

    product: Expandable = None
