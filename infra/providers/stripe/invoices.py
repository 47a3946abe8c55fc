"""Stripe's invoices as facts: only a paid one is a transaction, whichever event shows it."""

from typing import Final

import msgspec
from msgspec import UNSET

from domain.errors import Unreadable
from domain.facts import InvoicePaid, NotUsed, Source
from infra.providers.stripe import shapes
from infra.providers.stripe.invoice_lines import invoice_lines
from infra.providers.stripe.reading import (
    PROVIDER,
    Translation,
    change_of,
    currency_of,
    expect_object,
    id_of,
    metadata_of,
    moment_of,
    present_keys,
)

_invoices: Final = msgspec.json.Decoder(shapes.Event[shapes.Invoice])


def invoice_paid(body: bytes, source: Source) -> Translation:
    """A paid invoice, from an event about its payment: where it does not say when that was, it was at the event."""
    invoice = _invoice(body)
    return (_paid(invoice, source),) if _is_paid(invoice) else _NOT_PAID


def invoice_changed(body: bytes, source: Source) -> Translation:
    """A paid invoice, from an event that may come at any time later: it must say when it was paid."""
    invoice = _invoice(body)
    if not _is_paid(invoice):
        return _NOT_PAID
    if invoice.status_transitions is None or invoice.status_transitions.paid_at is None:
        return NotUsed("it does not say when the invoice was paid; invoice.payment_succeeded does")
    return (_paid(invoice, source),)


_NOT_PAID: Final = NotUsed("the invoice is not paid")


def _invoice(body: bytes) -> shapes.Invoice:
    invoice = change_of(_invoices.decode(body)).object
    expect_object(invoice.object, "invoice")
    if invoice.subscription is UNSET and invoice.parent is UNSET:
        raise Unreadable("Object missing required field `parent`, needs an adapter - at `$.data.object`")
    return invoice


def _paid(invoice: shapes.Invoice, source: Source) -> InvoicePaid:
    paid_at = invoice.status_transitions.paid_at if invoice.status_transitions else None
    return InvoicePaid(
        provider=PROVIDER,
        invoice_key=invoice.id,
        provider_customer_key=invoice.customer,
        source=source,
        paid_at=source.occurred_at if paid_at is None else moment_of(paid_at),
        currency=currency_of(invoice.currency),
        lines=invoice_lines(invoice),
        lines_missing=invoice.lines.has_more,
        metadata=metadata_of(invoice.metadata),
        total_minor=invoice.total,
        payment_keys=_payment_keys(invoice),
    )


def _payment_keys(invoice: shapes.Invoice) -> tuple[str, ...]:
    """Until basil one charge and its intent; from then on all payments, where they are expanded."""
    expanded = invoice.payments.data if invoice.payments else ()
    ways = [each.payment for each in expanded if each.payment is not None]
    named = [id_of(invoice.charge), id_of(invoice.payment_intent)]
    for way in ways:
        named += [id_of(way.charge), id_of(way.payment_intent)]
    return tuple(dict.fromkeys(present_keys(*named)))


def _is_paid(invoice: shapes.Invoice) -> bool:
    if invoice.status is not None:
        return invoice.status == "paid"
    if invoice.paid is None:
        raise Unreadable("Object missing required field `status` - at `$.data.object`")
    return invoice.paid
