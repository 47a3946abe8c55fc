"""Chargebee's invoices as facts. Only a paid one is a transaction, whichever of several events says so.

A draft's id (`draft_inv_...`) changes when it is closed: drafts are never paid, so no fact carries one. Credits that
settled an invoice count as paid: the credit note they come from has already lowered what it credits.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import msgspec

from domain.errors import Unreadable
from domain.facts import BillingEvent, InvoicePaid, Reversal, ReversalKind, ReversalLine
from infra.providers.chargebee import shapes
from infra.providers.chargebee.document_lines import invoice_lines
from infra.providers.chargebee.reading import PROVIDER, Told, currency_of, metadata_of, moment_of, named

_UNPAID: Final = frozenset({"posted", "payment_due", "not_paid", "pending", "voided"})
#: Drafts, which nothing has paid yet.
_DRAFT: Final = "pending"
#: What tells that a payment was taken off an invoice, or that it is gone. Others come before it is paid.
_TAKEN_BACK: Final = frozenset({"invoice_updated", "invoice_deleted"})
#: A payment that had succeeded, and failed afterwards.
LATE_FAILURE: Final = "late_failure"

_invoices: Final = msgspec.json.Decoder(shapes.Invoice)


def invoice_facts(raw: msgspec.Raw, told: Told) -> Iterator[BillingEvent]:
    """A paid invoice, and what takes the whole of it back once it is void, deleted or no longer paid.

    Raises Unreadable for a status nobody has explained yet.
    """
    invoice = _invoices.decode(raw)
    if invoice.status != "paid" and invoice.status not in _UNPAID:
        raise Unreadable(f"Unknown invoice status, needs an adapter: {named(invoice.status)} - at `$.content.invoice`")
    deleted = invoice.deleted or told.event_type == "invoice_deleted"
    was_paid = invoice.status == "paid" or invoice.paid_at is not None
    if was_paid and (deleted or invoice.status == "voided"):
        yield _annulled(invoice, told)
    elif invoice.status != "paid":
        if told.event_type in _TAKEN_BACK and invoice.status != _DRAFT:
            yield _unpaid(invoice, told)
    else:
        yield _paid(invoice, told, raw)
        yield from _credited(invoice, told)
        yield from _paid_after_all(invoice, told)


def _paid(invoice: shapes.Invoice, told: Told, raw: msgspec.Raw) -> InvoicePaid:
    payments = (each.txn_id for each in invoice.linked_payments or () if each.txn_status in (None, "success"))
    source = told.source(invoice)
    return InvoicePaid(
        provider=PROVIDER,
        invoice_key=invoice.id,
        provider_customer_key=invoice.customer_id,
        source=source,
        paid_at=source.occurred_at if invoice.paid_at is None else moment_of(invoice.paid_at),
        currency=currency_of(invoice.currency_code),
        lines=invoice_lines(invoice),
        lines_missing=invoice.line_items_next_offset is not None,
        metadata=metadata_of(None, raw),
        total_minor=invoice.total,
        payment_keys=tuple(payments),
    )


def _annulled(invoice: shapes.Invoice, told: Told) -> Reversal:
    """A void or deleted invoice takes back every line of it, like a credit note over the whole."""
    lines = [
        ReversalLine(net_minor, line.line_key, line.subscription_key, line.product_key)
        for line in invoice_lines(invoice)
        if (net_minor := line.amount_minor - line.discount_minor) > 0
    ]
    whole = _of_the_whole(invoice, told, ReversalKind.CREDIT_NOTE, "annulled")
    return whole if invoice.line_items_next_offset else replace(whole, lines=tuple(lines))


def _unpaid(invoice: shapes.Invoice, told: Told) -> Reversal:
    """It may have been paid before: a payment is taken off an invoice before that is deleted, and nothing shows it."""
    return _of_the_whole(invoice, told, ReversalKind.UNPAID, "unpaid")


def _of_the_whole(invoice: shapes.Invoice, told: Told, kind: ReversalKind, suffix: str) -> Reversal:
    return Reversal(
        provider=PROVIDER,
        kind=kind,
        reversal_key=f"{invoice.id}/{suffix}",
        source=told.source(invoice),
        currency=currency_of(invoice.currency_code),
        amount_minor=max(0, invoice.total),
        invoice_key=invoice.id,
        provider_customer_key=invoice.customer_id,
    )


def _credited(invoice: shapes.Invoice, told: Told) -> Iterator[Reversal]:
    """The credit notes that the invoice names: what a write-off takes back counts even if its own event is lost."""
    for note in (*(invoice.adjustment_credit_notes or ()), *(invoice.issued_credit_notes or ())):
        if note.cn_total is not None and note.cn_total > 0:
            yield Reversal(
                provider=PROVIDER,
                kind=ReversalKind.CREDIT_NOTE,
                reversal_key=note.cn_id,
                source=told.source(invoice),
                currency=currency_of(invoice.currency_code),
                amount_minor=note.cn_total,
                undone_minor=note.cn_total if note.cn_status == "voided" else 0,
                invoice_key=invoice.id,
                provider_customer_key=invoice.customer_id,
            )


def _paid_after_all(invoice: shapes.Invoice, told: Told) -> Iterator[Reversal]:
    """A payment that failed late no longer matters to an invoice that something else has paid since."""
    for payment in invoice.linked_payments or ():
        if payment.txn_status == LATE_FAILURE and payment.applied_amount:
            yield Reversal(
                provider=PROVIDER,
                kind=ReversalKind.DISPUTE,
                reversal_key=payment.txn_id,
                source=told.source(invoice),
                currency=currency_of(invoice.currency_code),
                amount_minor=payment.applied_amount,
                undone_minor=payment.applied_amount,
                invoice_key=invoice.id,
                provider_customer_key=invoice.customer_id,
            )
