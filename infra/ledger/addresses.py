"""Who shares an e-mail address with whom: what linking by e-mail reads. Two steps along shared addresses, no more."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection

from domain.addresses import addresses_in
from domain.facts import BillingEvent, CustomerLinked, CustomerSeen
from domain.known import ProviderCustomerKey
from infra.ledger.shapes import description_of
from infra.rows import as_json, fetch

#: As `domain.addresses.address_of`: `{}` is the column. The index on `customer_descriptions` is over this.
ADDRESS: Final = "translate(btrim({}), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz')"

_SHARING: Final = f"""
    with shared as (
        select distinct provider, provider_customer_key from customer_descriptions
        where {ADDRESS.format("email")} = any(:addresses)
        union
        select * from json_to_recordset(cast(:places as json)) as w(provider text, provider_customer_key text)
    )
    select d.* from shared join customer_descriptions d using (provider, provider_customer_key)
"""


def load_sharing(
    connection: Connection, events: Iterable[BillingEvent]
) -> dict[ProviderCustomerKey, tuple[CustomerSeen, ...]]:
    """Everything said of whoever the events describe or link, of those who share an address with them, and of those
    who share one with those.
    """
    spoken = [event for event in events if isinstance(event, CustomerSeen | CustomerLinked)]
    if not spoken:
        return {}
    places = {(event.provider, event.provider_customer_key) for event in spoken}
    told = [event for event in spoken if isinstance(event, CustomerSeen)]
    found = _said(connection, (), places)
    for _ in range(2):
        addresses = addresses_in([*told, *(each for said in found.values() for each in said)])
        found = _said(connection, sorted(addresses), places)
    return found


def address_locks(
    events: Iterable[BillingEvent], said: Mapping[ProviderCustomerKey, Sequence[CustomerSeen]]
) -> set[str]:
    """Lock names of every address in play: two who come to have one must not pass each other by."""
    told = [event for event in events if isinstance(event, CustomerSeen)]
    return {f"address:{address}" for address in addresses_in([*told, *(e for each in said.values() for e in each)])}


def _said(
    connection: Connection, addresses: Sequence[str], places: Iterable[ProviderCustomerKey]
) -> dict[ProviderCustomerKey, tuple[CustomerSeen, ...]]:
    asked = as_json({"provider": provider, "provider_customer_key": key} for provider, key in sorted(places))
    found: dict[ProviderCustomerKey, list[CustomerSeen]] = {}
    row: Any
    for row in fetch(connection, _SHARING, addresses=list(addresses), places=asked):
        found.setdefault((row.provider, row.provider_customer_key), []).append(description_of(row))
    return {place: tuple(said) for place, said in found.items()}
