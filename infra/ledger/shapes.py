"""Rows as domain values and back: the one place that knows how each fact is laid out in its table."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any

from domain.customers import Claim
from domain.facts import (
    CustomerSeen,
    ProductDescribed,
    ProductStatus,
    Reversal,
    ReversalKind,
    ReversalLine,
    Source,
    SubscriptionItem,
    SubscriptionSeen,
)
from domain.known import ProviderCustomer
from domain.limits import Usage
from domain.products import ProductVersion
from domain.standings import Standing
from domain.transactions import Line, Transaction

#: Looked up, for an enum's own call costs more than the rest of a row.
_STATUSES = {status.value: status for status in ProductStatus}


def source_columns(source: Source | None, prefix: str) -> dict[str, Any]:
    """A source as its four columns."""
    return {
        f"{prefix}_version": source.version if source else None,
        f"{prefix}_at": source.occurred_at if source else None,
        f"{prefix}_rank": source.rank if source else None,
        f"{prefix}_event": source.event_key if source else None,
    }


def source_of(row: Any, prefix: str) -> Source | None:
    """The source that a row's four columns name."""
    if getattr(row, f"{prefix}_at") is None:
        return None
    return Source(*(getattr(row, f"{prefix}_{part}") for part in ("version", "at", "rank", "event")))


def provider_customer_row(person: ProviderCustomer) -> dict[str, Any]:
    """A provider's customer as a row."""
    return {
        "provider": person.provider,
        "provider_customer_key": person.key,
        "customer": person.customer,
        **source_columns(person.source, "source"),
        **source_columns(person.link_source, "link_source"),
        "email": person.email,
        "name": person.name,
        "country": person.country,
        "metadata": person.metadata,
        "deleted": person.deleted,
        "created_at": person.created_at,
        "described_at": person.described_at,
    }


def provider_customer_of(row: Any) -> ProviderCustomer:
    """A row of `provider_customers` as a value."""
    return ProviderCustomer(
        row.provider,
        row.provider_customer_key,
        row.customer,
        source_of(row, "source"),
        source_of(row, "link_source"),
        row.email,
        row.name,
        row.country,
        row.metadata,
        row.deleted,
        row.created_at,
        row.described_at,
    )


def description_row(seen: CustomerSeen) -> dict[str, Any]:
    """What an event said of a provider's customer, as a row."""
    return {
        "provider": seen.provider,
        "provider_customer_key": seen.provider_customer_key,
        "event_key": seen.source.event_key,
        "source_version": seen.source.version,
        "source_at": seen.source.occurred_at,
        "source_rank": seen.source.rank,
        "email": seen.email,
        "name": seen.name,
        "country": seen.country,
        "metadata": seen.metadata,
    }


def description_of(row: Any) -> CustomerSeen:
    """A row of `customer_descriptions` as a value."""
    source = Source(row.source_version, row.source_at, row.source_rank, row.event_key)
    return CustomerSeen(
        row.provider,
        row.provider_customer_key,
        source,
        email=row.email,
        name=row.name,
        country=row.country,
        metadata=row.metadata,
    )


def described_row(said: ProductDescribed) -> dict[str, Any]:
    """What a provider's catalogue said of a product, as a row."""
    return {
        "provider": said.provider,
        "product_key": said.product_key,
        "event_key": said.source.event_key,
        "source_version": said.source.version,
        "source_at": said.source.occurred_at,
        "source_rank": said.source.rank,
        "name": said.name,
        "description": said.description,
        "archived": said.archived,
        "deleted": said.deleted,
    }


def described_of(row: Any) -> ProductDescribed:
    """A row of `product_descriptions` as a value."""
    source = Source(row.source_version, row.source_at, row.source_rank, row.event_key)
    return ProductDescribed(row.provider, row.product_key, source, row.name, row.description, row.archived, row.deleted)


def reversal_row(reversal: Reversal) -> dict[str, Any]:
    """A refund, credit note or dispute as a row."""
    return {
        "provider": reversal.provider,
        "kind": reversal.kind,
        "reversal_key": reversal.reversal_key,
        **source_columns(reversal.source, "source"),
        "currency": reversal.currency,
        "amount_minor": reversal.amount_minor,
        "undone_minor": reversal.undone_minor,
        "refunded_minor": reversal.refunded_minor,
        "refunds": reversal.refunds,
        "invoice_key": reversal.invoice_key,
        "payment_keys": reversal.payment_keys,
        "lines": [
            [line.amount_minor, line.line_key, line.subscription_key, line.product_key] for line in reversal.lines
        ],
        "provider_customer_key": reversal.provider_customer_key,
    }


def reversal_of(row: Any) -> Reversal:
    """A row of `reversals` as a value."""
    source = source_of(row, "source")
    assert source is not None  # the columns are not null
    return Reversal(
        provider=row.provider,
        kind=ReversalKind(row.kind),
        reversal_key=row.reversal_key,
        source=source,
        currency=row.currency,
        amount_minor=row.amount_minor,
        undone_minor=row.undone_minor,
        refunded_minor=row.refunded_minor,
        refunds=tuple((key, amount_minor) for key, amount_minor in row.refunds),
        invoice_key=row.invoice_key,
        payment_keys=tuple(row.payment_keys),
        lines=tuple(ReversalLine(*line) for line in row.lines),
        provider_customer_key=row.provider_customer_key,
    )


def standing_row(transaction_key: str, customer: str, standing: Standing) -> dict[str, Any]:
    """Where a customer stands after a payment, as a row."""
    return {
        "transaction_key": transaction_key,
        "customer": customer,
        "number": standing.number,
        "revenue": standing.revenue,
        "usage": {
            trigger: [used.count, used.first_at.isoformat(), used.amounts] for trigger, used in standing.usage.items()
        },
    }


def standing_of(row: Any) -> Standing:
    """A row of `standings` as a value."""
    usage = {
        trigger: Usage(count, datetime.fromisoformat(first_at), amounts)
        for trigger, (count, first_at, amounts) in row.usage.items()
    }
    return Standing(row.number, row.revenue, usage)


def claim_of(row: Any) -> Claim:
    """A row of `claims` as a value."""
    return Claim(row.subject, row.partner_key, row.member_key, row.learnt_at, row.cause, row.effective_from)


def snapshot_row(seen: SubscriptionSeen) -> dict[str, Any]:
    """What an event showed of a subscription, as a row."""
    previous = seen.previous_items
    return {
        "provider": seen.provider,
        "subscription_key": seen.subscription_key,
        "event_key": seen.source.event_key,
        "provider_customer_key": seen.provider_customer_key,
        "effective_at": seen.effective_at,
        "source_version": seen.source.version,
        "source_at": seen.source.occurred_at,
        "source_rank": seen.source.rank,
        "status": seen.status,
        "provider_status": seen.provider_status,
        "ended": seen.ended,
        "absorbing": seen.absorbing,
        "currency": seen.currency,
        "items": [_item_document(item) for item in seen.items],
        "partner_key": seen.partner_key,
        "member_key": seen.member_key,
        "previous_provider_status": seen.previous_provider_status,
        "previous_items": None if previous is None else [_item_document(item) for item in previous],
        "items_missing": seen.items_missing,
    }


def snapshot_of(row: Any) -> SubscriptionSeen:
    """A row of `subscription_snapshots` as a value."""
    previous = row.previous_items
    return SubscriptionSeen(
        provider=row.provider,
        subscription_key=row.subscription_key,
        provider_customer_key=row.provider_customer_key,
        source=Source(row.source_version, row.source_at, row.source_rank, row.event_key),
        effective_at=row.effective_at,
        status=_STATUSES[row.status],
        provider_status=row.provider_status,
        ended=row.ended,
        absorbing=row.absorbing,
        currency=row.currency,
        items=tuple(_item_of(item) for item in row.items),
        partner_key=row.partner_key,
        member_key=row.member_key,
        previous_provider_status=row.previous_provider_status,
        previous_items=None if previous is None else tuple(_item_of(item) for item in previous),
        items_missing=row.items_missing,
    )


def _item_document(item: SubscriptionItem) -> list[Any]:
    return [item.product_key, item.price_keys, item.quantity, item.amount_minor]


def _item_of(document: list[Any]) -> SubscriptionItem:
    product_key, price_keys, quantity, amount_minor = document
    return SubscriptionItem(product_key, tuple(price_keys), quantity, amount_minor)


def version_row(place: tuple[str, str, str], version: ProductVersion) -> dict[str, Any]:
    """One version of a product as a row of its history."""
    provider, subscription_key, product_key = place
    return {
        "provider": provider,
        "subscription_key": subscription_key,
        "product_key": product_key,
        "effective_at": version.effective_at,
        "status": version.status,
        "provider_status": version.provider_status,
        "amount_minor": version.amount_minor,
        "quantity": version.quantity,
        "currency": version.currency,
        "price_keys": version.price_keys,
    }


def version_of(row: Any) -> ProductVersion:
    """A row of `product_history` as a value."""
    return ProductVersion(
        row.effective_at,
        _STATUSES[row.status],
        row.provider_status,
        row.amount_minor,
        row.quantity,
        row.currency,
        tuple(row.price_keys),
    )


def transaction_row(paid: Transaction) -> dict[str, Any]:
    """A transaction without its lines, as a row."""
    return {
        "key": paid.key,
        "provider": paid.provider,
        "provider_customer_key": paid.provider_customer_key,
        "currency": paid.currency,
        "occurred_at": paid.occurred_at,
        **source_columns(paid.source, "source"),
        "metadata": paid.metadata,
        "tax_minor": paid.tax_minor,
    }


def line_rows(paid: Transaction) -> list[dict[str, Any]]:
    """A transaction's lines as rows."""
    return [
        {
            "transaction_key": paid.key,
            "line_key": line.key,
            "provider": paid.provider,
            "subscription_key": line.subscription_key,
            "product_key": line.product_key,
            "occurred_at": paid.occurred_at,
            "price_keys": line.price_keys,
            "gross_minor": line.gross_minor,
            "discount_minor": line.discount_minor,
            "quantity": line.quantity,
            "recurring": line.recurring,
            "reversed_minor": line.reversed_minor,
            "parts": line.parts,
        }
        for line in paid.lines
    ]


#: What `transaction_of` takes apart: by place, for by name costs more than the rest of it.
TRANSACTION_COLUMNS = (
    "key, provider, provider_customer_key, currency, occurred_at, source_version, source_at, source_rank, source_event,"
    " metadata, tax_minor"
)
#: What `line_of` takes apart, after the transaction's key.
LINE_COLUMNS = (
    "transaction_key, line_key, subscription_key, product_key, price_keys, gross_minor, discount_minor, quantity,"
    " recurring, reversed_minor, parts"
)


def transaction_of(row: Sequence[Any], lines: Mapping[str, list[Line]]) -> Transaction:
    """The columns of a transaction and its lines as a value; sorted here, for databases collate as they like."""
    key, provider, customer, currency, occurred_at, version, at, rank, event, said, tax_minor = row
    own = lines.get(key, [])
    own.sort(key=_key)
    source = Source(version, at, rank, event)
    return Transaction(key, provider, customer, currency, occurred_at, source, tuple(own), said, tax_minor)


_key = attrgetter("key")


def line_of(row: Sequence[Any]) -> Line:
    """The columns of a line as a value."""
    _, key, subscription, product, prices, gross, discount, quantity, recurring, reversed_minor, parts = row
    return Line(
        key, subscription, product, tuple(prices), gross, discount, quantity, recurring, reversed_minor, tuple(parts)
    )
