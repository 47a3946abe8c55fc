"""The company's statements as provider-neutral facts: pure, and the same today as when they were made."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

import msgspec

from domain import facts, ids
from domain.errors import Unreadable
from domain.facts import COMPANY, PERSONS_WORD, BillingEvent, NotUsed, ProductStatus, ReversalKind, Source
from infra.providers.api import documents
from infra.providers.api.documents import (
    CustomerStated,
    LineStated,
    ProductClaimed,
    ProductStated,
    TransactionReversed,
    TransactionStated,
)

#: Where a provider's customer id that the company names may be at home.
LINKABLE: Final = ("stripe", "chargebee")


def translate(
    event_type: str, event_key: str, occurred_at: datetime, body: bytes
) -> tuple[BillingEvent, ...] | NotUsed:
    """The facts that a statement holds. Raises Unreadable for what this program did not write."""
    translator = _TRANSLATORS.get(event_type)
    if translator is None:
        return NotUsed(f"{event_type} is nothing the company states")
    try:
        return translator(body, Source(0, occurred_at, 1, event_key))
    except msgspec.MsgspecError as error:
        raise Unreadable(re.sub(r"\[\d+\]", "[...]", str(error))) from error


def _customer(body: bytes, source: Source) -> tuple[BillingEvent, ...]:
    said = msgspec.json.decode(body, type=CustomerStated)
    seen = facts.CustomerSeen(
        provider=COMPANY,
        provider_customer_key=said.customer_key,
        source=source,
        customer_key=said.customer_key,
        partner_key=said.partner_key,
        member_key=said.member_key,
        email=said.email,
        name=said.name,
        country=said.country,
        metadata=said.metadata,
        attributed_at=said.attributed_at,
    )
    if said.provider_key is None:
        return (seen,)
    word = Source(PERSONS_WORD, source.occurred_at, source.rank, source.event_key)
    linked = (facts.CustomerLinked(provider, said.provider_key, word, said.customer_key) for provider in LINKABLE)
    return (seen, *linked)


def _product(body: bytes, source: Source) -> tuple[BillingEvent, ...]:
    """One product of a subscription, and nothing of others on it. It may come back: the company says how it is."""
    said = msgspec.json.decode(body, type=ProductStated)
    status = ProductStatus(said.status)
    seen = facts.SubscriptionSeen(
        provider=COMPANY,
        subscription_key=said.subscription_key,
        provider_customer_key=said.customer_key,
        source=source,
        effective_at=said.effective_at,
        status=status,
        provider_status=said.status,
        ended=status is ProductStatus.CHURNED,
        absorbing=False,
        currency=said.currency,
        items=(facts.SubscriptionItem(said.product_key, (), said.quantity, said.amount),),
    )
    if said.partner_key is None:
        return (seen,)
    claimed = facts.ProductClaimed(
        COMPANY,
        said.subscription_key,
        said.product_key,
        source,
        said.partner_key,
        said.member_key,
        said.attributed_at,
        said.customer_key,
    )
    return seen, claimed


def _claimed(body: bytes, source: Source) -> tuple[BillingEvent, ...]:
    said = msgspec.json.decode(body, type=ProductClaimed)
    return (
        facts.ProductClaimed(
            said.provider,
            said.subscription_key,
            said.product_key,
            source,
            said.partner_key,
            said.member_key,
            provider_customer_key=said.provider_customer_key,
        ),
    )


def _transaction(body: bytes, source: Source) -> tuple[BillingEvent, ...]:
    said = msgspec.json.decode(body, type=TransactionStated)
    return (
        facts.InvoicePaid(
            provider=COMPANY,
            invoice_key=said.key,
            provider_customer_key=said.customer_key,
            source=source,
            paid_at=said.occurred_at,
            currency=said.currency,
            lines=tuple(_line(line, place) for place, line in enumerate(said.lines, 1)),
            lines_missing=False,
            metadata=said.metadata,
        ),
    )


def _line(said: LineStated, place: int) -> facts.InvoiceLine:
    """A reference to a subscription stands alone: which product it means is found out when the line is judged.

    So does what it proves: nothing, for the company states how its products are. Lines that refer to the same are
    one line, as are lines for one product; what names neither keeps a line of its own.
    """
    reference = said.subscription_key
    if reference is not None and said.product_key is not None:
        reference = ids.product_key_of(reference, said.product_key)
    return facts.InvoiceLine(
        line_key=f"#{place}" if reference is None else reference,
        subscription_key=reference,
        product_key=said.product_key if reference is None else None,
        price_keys=(),
        amount_minor=said.amount,
        discount_minor=0,
        quantity=said.quantity,
        recurring=False,
    )


def _reversal(body: bytes, source: Source) -> tuple[BillingEvent, ...]:
    """A refund of the whole payment is spread over its lines; of one line, it is what a credit note would say."""
    said = msgspec.json.decode(body, type=TransactionReversed)
    of_line = () if said.line_part is None else (facts.ReversalLine(said.amount, line_key=said.line_part),)
    return (
        facts.Reversal(
            provider=COMPANY,
            kind=ReversalKind.CREDIT_NOTE if of_line else ReversalKind.REFUND,
            reversal_key=said.key,
            source=Source(0, said.occurred_at, 1, source.event_key),
            currency=said.currency,
            amount_minor=said.amount,
            undone_minor=said.amount if said.undone else 0,
            invoice_key=said.transaction_key,
            lines=of_line,
            provider_customer_key=said.customer_key,
        ),
    )


_TRANSLATORS: Final[Mapping[str, Callable[[bytes, Source], tuple[BillingEvent, ...]]]] = {
    documents.CUSTOMER_STATED: _customer,
    documents.PRODUCT_STATED: _product,
    documents.PRODUCT_CLAIMED: _claimed,
    documents.TRANSACTION_STATED: _transaction,
    documents.TRANSACTION_REVERSED: _reversal,
}
