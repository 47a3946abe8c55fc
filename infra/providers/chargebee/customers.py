"""Chargebee's customers as facts."""

from typing import Final

import msgspec

from domain.facts import CustomerSeen
from infra.providers.chargebee import shapes
from infra.providers.chargebee.reading import PROVIDER, Told, metadata_of, moment_of, present, text_of

_customers: Final = msgspec.json.Decoder(shapes.Customer)


def customer_seen(raw: msgspec.Raw, told: Told) -> CustomerSeen:
    """The customer of any event; whom it belongs to is said by its `meta_data` or by custom fields."""
    customer = _customers.decode(raw)
    metadata = metadata_of(customer.meta_data, raw)
    return CustomerSeen(
        provider=PROVIDER,
        provider_customer_key=customer.id,
        source=told.source(customer),
        customer_key=present(metadata, "customer_key", "customer_id"),
        partner_key=present(metadata, "partner_key"),
        member_key=present(metadata, "member_key"),
        email=text_of(customer.email),
        name=_name(customer),
        country=_country(customer.billing_address),
        metadata=metadata,
        deleted=customer.deleted or told.event_type == "customer_deleted",
        created_at=moment_of(customer.created_at) if customer.created_at else None,
    )


def _name(customer: shapes.Customer) -> str | None:
    names = (text_of(customer.first_name), text_of(customer.last_name))
    return " ".join(filter(None, names)) or text_of(customer.company)


def _country(address: shapes.Address | None) -> str | None:
    country = (address.country or "").strip().upper() if address else ""
    return country if len(country) == 2 and country.isascii() and country.isalpha() else None
