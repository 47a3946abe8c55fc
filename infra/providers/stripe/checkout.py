"""Checkout sessions as facts: a one-off payment without an invoice is a transaction, named after its session.

With an invoice, that one is the transaction and the session only leads to it. What was bought is not in the event: its
line items are fetched, or the payment has one line without a product.
"""

from typing import Final

import msgspec
from msgspec import UNSET

from domain.errors import Unreadable
from domain.facts import InvoiceLine, InvoicePaid, InvoicePayment, NotUsed, Source
from infra.providers.stripe import money_shapes, shapes
from infra.providers.stripe.reading import (
    PROVIDER,
    Translation,
    change_of,
    currency_of,
    expect_object,
    id_of,
    metadata_of,
    present_keys,
    within,
)

_sessions: Final = msgspec.json.Decoder(shapes.Event[money_shapes.CheckoutSession])

_PATH: Final = "$.data.object"


def session_paid(body: bytes, source: Source) -> Translation:
    """The payment of a session in payment mode; NotUsed where no money moved, or where an invoice tells of it."""
    session = change_of(_sessions.decode(body)).object
    expect_object(session.object, "checkout.session")
    mode = _mode(session)
    if mode != "payment":
        return NotUsed(f"a session in {mode} mode moves no money of its own")
    payment_keys = present_keys(id_of(session.payment_intent))
    if (invoice_key := _invoice(session)) is not None and payment_keys:
        return (InvoicePayment(PROVIDER, invoice_key, source, payment_keys, id_of(session.customer)),)
    if invoice_key is not None or _makes_an_invoice(session):
        return NotUsed("the session's invoice is the transaction")
    if not _is_paid(session):
        return NotUsed("the session is not paid yet")
    return (_paid(session, payment_keys, source),)


def _mode(session: money_shapes.CheckoutSession) -> str:
    """Sessions of 2019 have no mode, but what it led to."""
    if session.mode is None:
        _refuse_if_newer(session, "mode")
        return "subscription" if session.subscription else "setup" if session.setup_intent else "payment"
    return session.mode if session.mode in ("payment", "subscription", "setup") else "another"


def _is_paid(session: money_shapes.CheckoutSession) -> bool:
    """The oldest sessions have no status of their own: they were completed by being paid."""
    if session.payment_status is None:
        _refuse_if_newer(session, "payment_status")
        return True
    return session.payment_status in ("paid", "no_payment_required")


def _refuse_if_newer(session: money_shapes.CheckoutSession, field: str) -> None:
    if session.status is not None:
        raise Unreadable(f"Object missing required field `{field}` - at `{_PATH}`")


def _invoice(session: money_shapes.CheckoutSession) -> str | None:
    """Taking a session for one without an invoice would count its money twice."""
    if session.invoice is UNSET:
        if session.invoice_creation is not UNSET:
            raise Unreadable(f"Object missing required field `invoice` - at `{_PATH}`")
        return None
    return id_of(session.invoice)


def _makes_an_invoice(session: money_shapes.CheckoutSession) -> bool:
    return isinstance(session.invoice_creation, money_shapes.InvoiceCreation) and session.invoice_creation.enabled


def _paid(session: money_shapes.CheckoutSession, payment_keys: tuple[str, ...], source: Source) -> InvoicePaid:
    if session.amount_total is None or session.currency is None:
        raise Unreadable(
            "Object missing required field `amount_total` or `currency`, needs an adapter - at `$.data.object`"
        )
    return InvoicePaid(
        provider=PROVIDER,
        invoice_key=session.id,
        provider_customer_key=id_of(session.customer),
        source=source,
        paid_at=source.occurred_at,
        currency=currency_of(session.currency),
        lines=_lines(session, session.amount_total),
        lines_missing=session.line_items is not None and session.line_items.has_more,
        metadata=metadata_of(session.metadata),
        total_minor=session.amount_total,
        payment_keys=payment_keys,
    )


def _lines(session: money_shapes.CheckoutSession, total_minor: int) -> tuple[InvoiceLine, ...]:
    if session.line_items is not None:
        return tuple(_line(each) for each in session.line_items.data)
    beside = session.total_details or money_shapes.TotalDetails()
    net_minor = total_minor - beside.amount_tax - (beside.amount_shipping or 0)
    return (
        InvoiceLine(
            line_key=session.id,
            subscription_key=None,
            product_key=None,
            price_keys=(),
            amount_minor=within(net_minor + beside.amount_discount, _PATH),
            discount_minor=beside.amount_discount,
            quantity=None,
            recurring=False,
        ),
    )


def is_without_items(paid: InvoicePaid) -> bool:
    """Whether this payment is a session's, told by its total alone."""
    return [line.line_key for line in paid.lines] == [paid.invoice_key] and paid.lines[0].product_key is None


def _line(line: money_shapes.SessionLine) -> InvoiceLine:
    net_minor = line.amount_total - line.amount_tax
    return InvoiceLine(
        line_key=line.id,
        subscription_key=None,
        product_key=(id_of(line.price.product) or line.price.id) if line.price else None,
        price_keys=(line.price.id,) if line.price else (),
        amount_minor=within(net_minor + line.amount_discount, f"{_PATH}.line_items.data[...]"),
        discount_minor=line.amount_discount,
        quantity=line.quantity,
        recurring=False,
        description=line.description,
    )
