"""Refunds, disputes and credit notes as facts: amounts in the currency that the customer paid in, never added up here.

A refund is told twice, by itself and in the charge's running total; the domain takes the larger of the two sums.
"""

from typing import Final

import msgspec
from msgspec import UNSET

from domain.facts import NotUsed, Reversal, ReversalKind, ReversalLine, Source
from infra.providers.stripe import money_shapes, shapes
from infra.providers.stripe.invoice_lines import included_tax
from infra.providers.stripe.reading import (
    PROVIDER,
    Translation,
    change_of,
    currency_of,
    expect_object,
    id_of,
    present_keys,
    within,
)

_charges: Final = msgspec.json.Decoder(shapes.Event[money_shapes.Charge])
_refunds: Final = msgspec.json.Decoder(shapes.Event[money_shapes.Refund])
_disputes: Final = msgspec.json.Decoder(shapes.Event[money_shapes.Dispute])
_notes: Final = msgspec.json.Decoder(shapes.Event[money_shapes.CreditNote])

#: A refund that never reached the customer.
_UNDONE: Final = frozenset({"failed", "canceled"})
_INQUIRY: Final = "warning_"


def charge_refunded(body: bytes, source: Source) -> Translation:
    """All that was refunded of a charge so far."""
    charge = change_of(_charges.decode(body)).object
    expect_object(charge.object, "charge")
    invoice_key = None if charge.invoice is UNSET else id_of(charge.invoice)
    payment_intent = id_of(charge.payment_intent)
    if charge.invoice is None and payment_intent is None:
        return NotUsed("the charge paid neither an invoice nor a checkout session")
    return (
        Reversal(
            provider=PROVIDER,
            kind=ReversalKind.REFUNDED,
            reversal_key=charge.id,
            source=source,
            currency=currency_of(charge.currency),
            amount_minor=max(0, charge.amount_refunded),
            invoice_key=invoice_key,
            payment_keys=present_keys(charge.id, payment_intent),
            provider_customer_key=id_of(charge.customer),
        ),
    )


def refund_seen(body: bytes, source: Source) -> Translation:
    """One refund, undone where it failed or was cancelled; while it is pending the money is on its way."""
    refund = change_of(_refunds.decode(body)).object
    expect_object(refund.object, "refund")
    amount_minor = max(0, refund.amount)
    return (
        Reversal(
            provider=PROVIDER,
            kind=ReversalKind.REFUND,
            reversal_key=refund.id,
            source=source,
            currency=currency_of(refund.currency),
            amount_minor=amount_minor,
            undone_minor=amount_minor if refund.status in _UNDONE else 0,
            payment_keys=present_keys(id_of(refund.charge), id_of(refund.payment_intent)),
        ),
    )


def dispute_seen(body: bytes, source: Source) -> Translation:
    """What was withdrawn for a dispute and what was given back, by its balance transactions alone."""
    dispute = change_of(_disputes.decode(body)).object
    expect_object(dispute.object, "dispute")
    if dispute.status.startswith(_INQUIRY):
        return NotUsed("an inquiry moves no money")
    withdrawn_minor, reinstated_minor = _moved(dispute)
    if not withdrawn_minor:
        return NotUsed("no funds were withdrawn for the dispute")
    return (
        Reversal(
            provider=PROVIDER,
            kind=ReversalKind.DISPUTE,
            reversal_key=dispute.id,
            source=source,
            currency=currency_of(dispute.currency),
            amount_minor=withdrawn_minor,
            undone_minor=reinstated_minor,
            payment_keys=present_keys(id_of(dispute.charge), id_of(dispute.payment_intent)),
        ),
    )


def _moved(dispute: money_shapes.Dispute) -> tuple[int, int]:
    """(withdrawn, reinstated). Where the account is settled in another currency, each move is the disputed amount."""
    currency = currency_of(dispute.currency)
    moves = [
        move.amount
        if currency_of(move.currency) == currency
        else dispute.amount * ((move.amount > 0) - (move.amount < 0))
        for move in dispute.balance_transactions
    ]
    path = "$.data.object.balance_transactions"
    withdrawn_minor = within(-sum(move for move in moves if move < 0), path)
    return withdrawn_minor, within(sum(move for move in moves if move > 0), path)


def credit_note_seen(body: bytes, source: Source) -> Translation:
    """What a credit note takes from its invoice's lines; a voided one is undone."""
    note = change_of(_notes.decode(body)).object
    expect_object(note.object, "credit_note")
    total_minor = max(0, note.total)
    return (
        Reversal(
            provider=PROVIDER,
            kind=ReversalKind.CREDIT_NOTE,
            reversal_key=note.id,
            source=source,
            currency=currency_of(note.currency),
            amount_minor=total_minor,
            undone_minor=total_minor if note.status == "void" else 0,
            invoice_key=id_of(note.invoice),
            lines=tuple(_line(line) for line in note.lines.data if line.amount),
            refunded_minor=_refunded(note),
            refunds=_refunds_of(note),
            provider_customer_key=id_of(note.customer),
            lines_missing=note.lines.has_more,
        ),
    )


def _line(line: money_shapes.NoteLine) -> ReversalLine:
    discounts = line.discount_amounts or ()
    discount_minor = sum(each.amount for each in discounts) if discounts else (line.discount_amount or 0)
    net_minor = line.amount - discount_minor - included_tax(line.taxes or line.tax_amounts)
    return ReversalLine(amount_minor=max(0, net_minor), line_key=line.invoice_line_item)


def _refunded(note: money_shapes.CreditNote) -> int:
    """How much of it is told as refunds too. Hybrids name one refund in both places; old ones do not say how much."""
    if note.refunds is not None:
        return within(sum(max(0, each.amount_refunded) for each in note.refunds), "$.data.object.refunds")
    return max(0, note.total - (note.out_of_band_amount or 0)) if id_of(note.refund) is not None else 0


def _refunds_of(note: money_shapes.CreditNote) -> tuple[tuple[str, int], ...]:
    """Which refunds those are; an entry that names none, a payment outside of Stripe, counts and is not named."""
    named = [(id_of(each.refund), max(0, each.amount_refunded)) for each in note.refunds or ()]
    if note.refunds is None:
        named = [(id_of(note.refund), _refunded(note))]
    return tuple(sorted((key, amount_minor) for key, amount_minor in named if key is not None))
