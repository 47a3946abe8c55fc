"""The few fields of Stripe's charges, refunds, disputes, credit notes and checkout sessions that are read."""

from msgspec import UNSET, UnsetType

from infra.providers.stripe.shapes import (
    Currency,
    DiscountAmount,
    Expandable,
    Identified,
    Key,
    Minor,
    PaidBy,
    Shape,
    TaxAmount,
)


class Charge(Shape):
    """A charge. Until basil it names its invoice; an UNSET `invoice` says nothing, a null one that there is none."""

    id: Key
    currency: Currency
    amount_refunded: Minor
    object: str = "charge"
    customer: Expandable = None
    invoice: Expandable | UnsetType = UNSET
    payment_intent: Expandable = None


class Refund(Shape):
    """A refund. It names the payment, never the invoice."""

    id: Key
    amount: Minor
    currency: Currency
    object: str = "refund"
    charge: Expandable = None
    payment_intent: Expandable = None
    #: Null on the oldest ones, which always succeeded.
    status: str | None = None


class Moved(Shape):
    """A balance transaction: negative where funds were withdrawn. In the currency that the account is settled in."""

    amount: Minor
    currency: Currency


class Dispute(Shape):
    """A dispute; what has been moved for it stands in `balance_transactions`, fees apart."""

    id: Key
    amount: Minor
    currency: Currency
    status: str
    balance_transactions: list[Moved]
    object: str = "dispute"
    charge: Expandable = None
    payment_intent: Expandable = None


class NoteLine(Shape):
    """A line of a credit note; `amount` is before discounts and without tax on top."""

    id: Key
    amount: Minor
    invoice_line_item: Key | None = None
    discount_amount: Minor | None = None
    discount_amounts: list[DiscountAmount] | None = None
    tax_amounts: list[TaxAmount] | None = None
    taxes: list[TaxAmount] | None = None


class NoteLines(Shape):
    """The first page of a credit note's lines."""

    data: list[NoteLine]
    has_more: bool = False


class NoteRefund(Shape):
    """How much of a credit note was paid back by one refund."""

    amount_refunded: Minor
    refund: Expandable = None


class CreditNote(Shape):
    """A credit note. `refund` until acacia, `refunds` from then on; acacia fills both."""

    id: Key
    invoice: Key | Identified
    currency: Currency
    total: Minor
    status: str
    lines: NoteLines
    object: str = "credit_note"
    customer: Expandable = None
    refund: Expandable = None
    refunds: list[NoteRefund] | None = None
    out_of_band_amount: Minor | None = None


class InvoicePaymentObject(Shape):
    """One payment of an invoice, basil and later."""

    invoice: Key | Identified
    payment: PaidBy
    object: str = "invoice_payment"
    status: str | None = None


class PaymentIntent(Shape):
    """A payment intent. Until basil it names its invoice."""

    id: Key
    object: str = "payment_intent"
    customer: Expandable = None
    invoice: Expandable = None
    latest_charge: Expandable = None


class TotalDetails(Shape):
    """What is in a session's total beside the goods."""

    amount_discount: Minor = 0
    amount_shipping: Minor | None = None
    amount_tax: Minor = 0


class SessionPrice(Shape):
    """The price of a line item. A price made for one session is of a product made for it."""

    id: Key
    product: Expandable = None


class SessionLine(Shape):
    """A line item of a session, whole: every amount is for the line."""

    id: Key
    amount_total: Minor
    amount_discount: Minor = 0
    amount_tax: Minor = 0
    description: str | None = None
    quantity: Minor | None = None
    price: SessionPrice | None = None


class SessionLines(Shape):
    """A session's line items; events never carry them."""

    data: list[SessionLine]
    has_more: bool = False


class InvoiceCreation(Shape):
    """Whether a session in payment mode makes an invoice."""

    enabled: bool = False


class CheckoutSession(Shape):
    """A checkout session. Without an invoice and in payment mode it is the only report of what was bought.

    `mode` came in 2019, `payment_status` in 2020, `status` in 2021, `invoice` with `invoice_creation` in 2022: whatever
    has a later field has the earlier ones.
    """

    id: Key
    object: str = "checkout.session"
    mode: str | None = None
    payment_status: str | None = None
    status: str | None = None
    invoice_creation: InvoiceCreation | UnsetType | None = UNSET
    invoice: Expandable | UnsetType = UNSET
    subscription: Expandable = None
    setup_intent: Expandable = None
    amount_total: Minor | None = None
    currency: Currency | None = None
    customer: Expandable = None
    payment_intent: Expandable = None
    total_details: TotalDetails | None = None
    line_items: SessionLines | None = None
    metadata: dict[str, str] | None = None
