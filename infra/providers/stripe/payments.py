"""Which payment settled which invoice: what leads from a refund or a dispute to what was bought.

A payment is never a transaction here: its invoice or its checkout session is, so nothing is counted twice.
"""

from typing import Final

import msgspec

from domain.facts import InvoicePayment, NotUsed, Source
from infra.providers.stripe import money_shapes, shapes
from infra.providers.stripe.reading import PROVIDER, Translation, change_of, expect_object, id_of, present_keys

_charges: Final = msgspec.json.Decoder(shapes.Event[money_shapes.Charge])
_intents: Final = msgspec.json.Decoder(shapes.Event[money_shapes.PaymentIntent])
_payments: Final = msgspec.json.Decoder(shapes.Event[money_shapes.InvoicePaymentObject])

_COUNTED_ELSEWHERE: Final = "a payment is counted by its invoice or its checkout session, and this one names no invoice"


def charge_linked(body: bytes, source: Source) -> Translation:
    """Until basil a charge names its invoice."""
    charge = change_of(_charges.decode(body)).object
    expect_object(charge.object, "charge")
    keys = present_keys(charge.id, id_of(charge.payment_intent))
    return _linked(charge.invoice or None, keys, source, id_of(charge.customer))


def payment_intent_linked(body: bytes, source: Source) -> Translation:
    """Until basil a payment intent names its invoice."""
    intent = change_of(_intents.decode(body)).object
    expect_object(intent.object, "payment_intent")
    return _linked(intent.invoice, present_keys(intent.id, id_of(intent.latest_charge)), source, id_of(intent.customer))


def invoice_payment_linked(body: bytes, source: Source) -> Translation:
    """From basil on an invoice payment says it; that the invoice is paid is the invoice's own event to say."""
    paid = change_of(_payments.decode(body)).object
    expect_object(paid.object, "invoice_payment")
    keys = present_keys(id_of(paid.payment.charge), id_of(paid.payment.payment_intent))
    if not keys:
        return NotUsed("the invoice was paid without a payment at Stripe: nothing of it can be refunded there")
    return _linked(paid.invoice, keys, source, None)


def _linked(invoice: shapes.Expandable, keys: tuple[str, ...], source: Source, customer: str | None) -> Translation:
    invoice_key = id_of(invoice)
    if invoice_key is None:
        return NotUsed(_COUNTED_ELSEWHERE)
    return (InvoicePayment(PROVIDER, invoice_key, source, keys, customer),)
