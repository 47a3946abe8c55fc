"""The few fields of Chargebee's resources that are read, of both product catalogs (API v2), as msgspec decodes them.

A field that one catalog lacks has a default, so one shape reads both. Statuses and kinds are plain text: the lists
Chargebee documents differ from one client library to the next.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

#: An id of Chargebee's, or one the company chose: short enough for a database index.
Key = Annotated[str, Meta(min_length=1, max_length=255)]
#: An amount or a count: far beyond any invoice, and small enough that sums stay inside 64 bits.
Minor = Annotated[int, Meta(ge=-(10**15), le=10**15)]
#: Unix seconds that a datetime can hold.
Second = Annotated[int, Meta(ge=0, le=253_402_300_799)]
#: `resource_version`: Unix milliseconds of the change that made this version.
Version = Annotated[int, Meta(ge=0, le=253_402_300_799_999)]
#: An ISO 4217 code; Chargebee writes it in upper case.
Currency = Annotated[str, Meta(min_length=3, max_length=3)]


class Shape(msgspec.Struct, gc=False):
    """What every shape has in common: never part of a cycle, so the garbage collector need not look at it."""


class Event(Shape):
    """The envelope. Each resource in `content` is read by itself."""

    content: dict[str, msgspec.Raw]
    object: str = "event"
    api_version: str | None = None


class Resource(Shape, kw_only=True):
    """What every resource has."""

    id: Key
    resource_version: Version | None = None
    deleted: bool = False


class Address(Shape):
    """ISO 3166 alpha-2 in `country`."""

    country: str | None = None


class Customer(Resource, kw_only=True):
    """A customer; the same in both catalogs."""

    first_name: str | None = None
    last_name: str | None = None
    company: str | None = None
    email: str | None = None
    billing_address: Address | None = None
    created_at: Second | None = None
    meta_data: object = None


class Addon(Shape):
    """An addon on a subscription (catalog 1.0)."""

    id: Key
    quantity: Minor | None = None
    unit_price: Minor | None = None
    amount: Minor | None = None


class SubscriptionItem(Shape):
    """An item price on a subscription (catalog 2.0). `charge` items are billed once."""

    item_price_id: Key
    item_type: str | None = None
    quantity: Minor | None = None
    free_quantity: Minor | None = None
    unit_price: Minor | None = None
    amount: Minor | None = None
    metered_quantity: object = None


class Subscription(Resource, kw_only=True):
    """A subscription: `plan_...` and `addons` in catalog 1.0, `subscription_items` in 2.0."""

    status: Key
    customer_id: Key | None = None
    currency_code: Currency | None = None
    cancelled_at: Second | None = None
    plan_id: Key | None = None
    plan_quantity: Minor | None = None
    plan_free_quantity: Minor | None = None
    plan_unit_price: Minor | None = None
    plan_amount: Minor | None = None
    addons: list[Addon] | None = None
    subscription_items: list[SubscriptionItem] | None = None
    meta_data: object = None


class Line(Shape):
    """A line of an invoice or of a credit note. `amount` is before discounts; ad hoc lines have no `entity_id`."""

    id: Key
    amount: Minor
    entity_type: str | None = None
    entity_id: Key | None = None
    subscription_id: Key | None = None
    quantity: Minor | None = None
    discount_amount: Minor | None = None
    tax_amount: Minor | None = None
    date_from: Second | None = None
    date_to: Second | None = None
    description: str | None = None
    #: On a credit note: the invoice line it credits.
    reference_line_item_id: Key | None = None


class LineDiscount(Shape):
    """What one coupon or discount took off one line."""

    line_item_id: Key
    discount_amount: Minor


class Discount(Shape):
    """What one coupon, discount or promotional credit took off the whole document."""

    amount: Minor = 0


class LinkedPayment(Shape):
    """A payment that an invoice names."""

    txn_id: Key
    applied_amount: Minor | None = None
    txn_status: str | None = None


class LinkedNote(Shape):
    """A credit note that an invoice or a refund names. `cn_reference_invoice_id` is the invoice it credits."""

    cn_id: Key
    cn_total: Minor | None = None
    cn_status: str | None = None
    applied_amount: Minor | None = None
    cn_reference_invoice_id: Key | None = None


class Document(Resource, kw_only=True):
    """What invoices and credit notes have in common."""

    status: Key
    customer_id: Key
    currency_code: Currency
    total: Minor
    line_items: list[Line] = []
    price_type: str = "tax_exclusive"
    line_item_discounts: list[LineDiscount] | None = None
    discounts: list[Discount] | None = None
    #: Where the rest of the lines begins; absent where they are all here.
    line_items_next_offset: str | None = None


class Invoice(Document, kw_only=True):
    """An invoice."""

    subscription_id: Key | None = None
    paid_at: Second | None = None
    linked_payments: list[LinkedPayment] | None = None
    adjustment_credit_notes: list[LinkedNote] | None = None
    issued_credit_notes: list[LinkedNote] | None = None


class CreditNote(Document, kw_only=True):
    """A credit note. `store` ones credit no invoice."""

    type: str | None = None
    reference_invoice_id: Key | None = None
    amount_refunded: Minor | None = None
    linked_refunds: list[LinkedPayment] | None = None


class LinkedInvoice(Shape):
    """An invoice that a payment names."""

    invoice_id: Key
    applied_amount: Minor | None = None


class ReversedPayment(Shape):
    """A payment that a reversal names."""

    id: Key


class Transaction(Resource, kw_only=True):
    """Money that moved, or was meant to."""

    type: str
    status: str | None = None
    customer_id: Key | None = None
    currency_code: Currency | None = None
    amount: Minor = 0
    #: Of a refund, the payment it gives back; of a reversal, the payment it undoes.
    refunded_txn_id: Key | None = None
    reference_transaction_id: Key | None = None
    linked_invoices: list[LinkedInvoice] | None = None
    linked_credit_notes: list[LinkedNote] | None = None
    linked_payments: list[ReversedPayment] | None = None


class Product(Resource, kw_only=True):
    """A plan or an addon (catalog 1.0), or an item (2.0)."""

    name: str | None = None
    description: str | None = None
    status: str | None = None


class ItemPrice(Resource, kw_only=True):
    """A price of an item (catalog 2.0)."""

    item_id: Key
