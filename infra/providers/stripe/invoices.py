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
)

_invoices: Final = msgspec.json.Decoder(shapes.Event[shapes.Invoice])


def invoice_paid(body: bytes, source: Source) -> Translation:
    invoice = change_of(_invoices.decode(body)).object
    expect_object(invoice.object, "invoice")
    if invoice.subscription is UNSET and invoice.parent is UNSET:
        raise Unreadable("Object missing required field `parent`, needs an adapter - at `$.data.object`")
    if not _is_paid(invoice):
        return NotUsed("the invoice is not paid")
    paid_at = invoice.status_transitions.paid_at if invoice.status_transitions else None
    return (
        InvoicePaid(
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
            payment_keys=tuple(filter(None, (id_of(invoice.charge), id_of(invoice.payment_intent)))),
        ),
    )


def _is_paid(invoice: shapes.Invoice) -> bool:
    if invoice.status is not None:
        return invoice.status == "paid"
    if invoice.paid is None:
        raise Unreadable("Object missing required field `status` - at `$.data.object`")
    return invoice.paid
