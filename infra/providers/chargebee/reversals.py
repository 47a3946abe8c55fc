"""Credit notes and transactions as facts: what takes money back from an invoice, and which payments settled it.

Chargebee gives every refund of an invoice a credit note. Both are told, and the note says how much of it was paid out,
so that they count once. A payment that is reversed later (a failed direct debit, a chargeback) counts by the payment's
own id, whichever of several events says so.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from domain.errors import Unreadable
from domain.facts import BillingEvent, InvoicePayment, Reversal, ReversalKind, ReversalLine, Source
from infra.providers.chargebee import shapes
from infra.providers.chargebee.document_lines import money_of
from infra.providers.chargebee.invoices import LATE_FAILURE
from infra.providers.chargebee.reading import PROVIDER, Told, currency_of

#: A refund that was tried and did not happen: it undoes what an earlier event of it said.
_FAILED: Final = frozenset({"failure", "voided", "timeout", LATE_FAILURE})
#: Store credits are a gift, not a correction of an invoice.
_STORE: Final = "store"

_credit_notes: Final = msgspec.json.Decoder(shapes.CreditNote)
_transactions: Final = msgspec.json.Decoder(shapes.Transaction)


# --- credit notes


def credit_note_facts(raw: msgspec.Raw, told: Told) -> Iterator[BillingEvent]:
    """What a credit note takes from the invoice it names; nothing where it names none."""
    note = _credit_notes.decode(raw)
    if note.reference_invoice_id is None or note.type == _STORE:
        return
    void = note.status == "voided" or note.deleted or told.event_type == "credit_note_deleted"
    amount_minor = max(0, note.total)
    yield Reversal(
        provider=PROVIDER,
        kind=ReversalKind.CREDIT_NOTE,
        reversal_key=note.id,
        source=told.source(note),
        currency=currency_of(note.currency_code),
        amount_minor=amount_minor,
        undone_minor=amount_minor if void else 0,
        invoice_key=note.reference_invoice_id,
        lines=_lines(note),
        refunded_minor=_refunded(note),
        provider_customer_key=note.customer_id,
    )


def _lines(note: shapes.CreditNote) -> tuple[ReversalLine, ...]:
    """None where only the first of them are here: what a note takes is then spread over the invoice."""
    if note.line_items_next_offset is not None:
        return ()
    return tuple(
        ReversalLine(money.net_minor, line.reference_line_item_id, line.subscription_id, line.entity_id)
        for line, money in zip(note.line_items, money_of(note), strict=True)
        if money.net_minor > 0
    )


def _refunded(note: shapes.CreditNote) -> int:
    if note.linked_refunds is None:
        return note.amount_refunded or 0
    return sum(each.applied_amount or 0 for each in note.linked_refunds if each.txn_status in (None, "success"))


# --- transactions


def transaction_facts(raw: msgspec.Raw, told: Told) -> Iterator[BillingEvent]:
    """What a payment settled, a refund paid back or a reversal took away. What is under way says nothing yet."""
    transaction = _transactions.decode(raw)
    source = told.source(transaction)
    match transaction.type:
        case "payment" if transaction.status == "success":
            yield from _links(transaction, source)
        case "payment" if transaction.status == LATE_FAILURE:
            yield from _payment_undone(transaction, transaction.id, source, failed=False)
        case "refund" if transaction.status == "success" or transaction.status in _FAILED:
            yield from _refund(transaction, source)
        case "payment_reversal" if transaction.status == "success" or transaction.status in _FAILED:
            original = transaction.reference_transaction_id or transaction.refunded_txn_id
            named = [payment.id for payment in transaction.linked_payments or ()]
            key = original or next(iter(named), transaction.id)
            yield from _payment_undone(transaction, key, source, failed=transaction.status in _FAILED)


def _links(payment: shapes.Transaction, source: Source) -> Iterator[InvoicePayment]:
    for linked in payment.linked_invoices or ():
        yield InvoicePayment(
            provider=PROVIDER,
            invoice_key=linked.invoice_id,
            source=source,
            payment_keys=(payment.id,),
            provider_customer_key=payment.customer_id,
        )


def _payment_undone(
    transaction: shapes.Transaction, payment_key: str, source: Source, *, failed: bool
) -> Iterator[Reversal]:
    """Per invoice that the payment had settled; by the payment alone where no invoice is named."""
    invoices = [each for each in transaction.linked_invoices or () if each.applied_amount]
    if not invoices:
        yield _reversal(transaction, ReversalKind.DISPUTE, payment_key, source, transaction.amount, failed=failed)
    for place, each in enumerate(invoices):
        key = payment_key if place == 0 else f"{payment_key}/{each.invoice_id}"
        yield _reversal(
            transaction, ReversalKind.DISPUTE, key, source, each.applied_amount or 0, failed=failed,
            invoice_key=each.invoice_id,
        )  # fmt: skip


def _refund(refund: shapes.Transaction, source: Source) -> Iterator[Reversal]:
    """One refund per invoice whose credit notes it paid out, and those notes as far as they are seen from here."""
    failed = refund.status in _FAILED
    paid_out: dict[str, int] = {each.invoice_id: each.applied_amount or 0 for each in refund.linked_invoices or ()}
    for note in refund.linked_credit_notes or ():
        if (invoice_key := note.cn_reference_invoice_id) is not None:
            paid_out[invoice_key] = paid_out.get(invoice_key, 0) + (note.applied_amount or 0)
            yield _note_paid_out(refund, note, source, failed=failed)
    if not paid_out and not refund.linked_credit_notes:
        yield _reversal(refund, ReversalKind.REFUND, refund.id, source, refund.amount, failed=failed)
    for place, (invoice_key, amount_minor) in enumerate(paid_out.items()):
        key = refund.id if place == 0 else f"{refund.id}/{invoice_key}"
        yield _reversal(
            refund, ReversalKind.REFUND, key, source, amount_minor, failed=failed, invoice_key=invoice_key
        )  # fmt: skip


def _note_paid_out(refund: shapes.Transaction, note: shapes.LinkedNote, source: Source, *, failed: bool) -> Reversal:
    """The note without its lines: they are in its own events, and stay known once seen."""
    applied_minor = note.applied_amount or 0
    amount_minor = max(note.cn_total or 0, applied_minor)
    return Reversal(
        provider=PROVIDER,
        kind=ReversalKind.CREDIT_NOTE,
        reversal_key=note.cn_id,
        source=source,
        currency=_currency(refund),
        amount_minor=amount_minor,
        undone_minor=amount_minor if note.cn_status == "voided" else 0,
        invoice_key=note.cn_reference_invoice_id,
        refunded_minor=0 if failed else applied_minor,
        provider_customer_key=refund.customer_id,
    )


def _reversal(
    transaction: shapes.Transaction,
    kind: ReversalKind,
    key: str,
    source: Source,
    amount_minor: int,
    *,
    failed: bool,
    invoice_key: str | None = None,
) -> Reversal:
    payment_key = transaction.id
    if transaction.type != "payment":
        payment_key = transaction.refunded_txn_id or transaction.reference_transaction_id or key
    return Reversal(
        provider=PROVIDER,
        kind=kind,
        reversal_key=key,
        source=source,
        currency=_currency(transaction),
        amount_minor=amount_minor,
        undone_minor=amount_minor if failed else 0,
        invoice_key=invoice_key,
        payment_keys=(payment_key,),
        provider_customer_key=transaction.customer_id,
    )


def _currency(transaction: shapes.Transaction) -> str:
    if transaction.currency_code is None:
        raise Unreadable("Object missing required field `currency_code` - at `$.content.transaction`")
    return currency_of(transaction.currency_code)
