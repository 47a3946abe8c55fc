"""Stripe's customers as facts."""

from typing import Final

import msgspec

from domain.facts import CustomerSeen, Source
from infra.providers.stripe import shapes
from infra.providers.stripe.reading import (
    ENDED_RANK,
    PROVIDER,
    Translation,
    change_of,
    expect_object,
    metadata_of,
    moment_of,
    present,
    text_of,
)

_customers: Final = msgspec.json.Decoder(shapes.Event[shapes.Customer])


def customer_seen(body: bytes, source: Source) -> Translation:
    customer = change_of(_customers.decode(body)).object
    expect_object(customer.object, "customer")
    metadata = metadata_of(customer.metadata)
    return (
        CustomerSeen(
            provider=PROVIDER,
            provider_customer_key=customer.id,
            source=source,
            customer_key=present(metadata, "customer_key") or present(metadata, "customer_id"),
            partner_key=present(metadata, "partner_key"),
            member_key=present(metadata, "member_key"),
            email=text_of(customer.email),
            name=text_of(customer.name),
            country=_country(customer.address),
            metadata=metadata,
            deleted=customer.deleted or source.rank == ENDED_RANK,
            created_at=moment_of(customer.created) if customer.created else None,
        ),
    )


def _country(address: shapes.Address | None) -> str | None:
    """Upper-case ISO 3166 alpha-2; None for the free text that old accounts hold."""
    country = (address.country or "").strip().upper() if address else ""
    return country if len(country) == 2 and country.isascii() and country.isalpha() else None
