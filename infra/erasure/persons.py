"""Who is meant, by every name and id under which details of theirs may be kept."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from domain.addresses import address_of
from domain.errors import Missing
from domain.facts import COMPANY
from domain.known import ProviderCustomerKey
from infra.rows import as_json, fetch
from infra.stated.payers import customer_called


@dataclass(frozen=True, slots=True)
class Person:
    """A customer of ours, or one that only a provider knows."""

    #: How the API calls it: our key, or `stripe:cus_...` of whom nobody has linked.
    key: str
    #: Our key; None: nobody has linked it.
    customer: str | None
    #: The company's own id, where it has one.
    customer_key: str | None
    #: Under which providers know it, the company among them.
    names: frozenset[ProviderCustomerKey]
    #: Every address that was ever said, as `domain.addresses` compares them.
    addresses: frozenset[str]
    #: Ids of Stripe's that are of nobody else: subscriptions, invoices, payments, what was taken back of them.
    objects: frozenset[str]

    def places(self) -> str:
        """The names as JSON, for statements."""
        return as_json({"provider": provider, "key": key} for provider, key in sorted(self.names))


def person_called(connection: Connection, key: str) -> Person:
    """The customer with this key of ours or the company's, or `<provider>:<its id>`. Raises Missing."""
    called = customer_called(connection, key)
    if called is None:
        provider, _, known_as = key.partition(":")
        names = _names(connection, "provider = :provider and provider_customer_key = :key", provider, known_as)
        if not names or any(row.customer is not None for row in names):
            raise Missing(f'no customer is called "{key}"; `GET /api/v2/customers` lists them', "key")
        return _person(connection, key, None, names)
    names = _names(connection, "customer = :key", "", called[0])
    return _person(connection, called[0], called, names)


def _names(connection: Connection, condition: str, provider: str, key: str) -> Sequence[Any]:
    statement = f"select provider, provider_customer_key, customer from provider_customers where {condition}"
    return fetch(connection, statement, provider=provider, key=key)


def _person(connection: Connection, key: str, called: tuple[str, str] | None, rows: Sequence[Any]) -> Person:
    names = frozenset((str(row.provider), str(row.provider_customer_key)) for row in rows)
    if called is not None:
        names |= {(COMPANY, called[1])}
    customer, customer_key = called or (None, None)
    person = Person(key, customer, customer_key, names, frozenset(), frozenset())
    found = fetch(connection, _ADDRESSES, places=person.places(), customer=person.customer)
    addresses = frozenset(address for row in found if (address := address_of(row.email)) is not None)
    objects = frozenset(row.key for row in fetch(connection, _OBJECTS, places=person.places()))
    return replace(person, addresses=addresses, objects=objects)


_PLACES = """
    select * from json_to_recordset(cast(:places as json)) as w(provider text, key text)
"""

_ADDRESSES = f"""
    with mine as ({_PLACES})
    select email from customer_descriptions d join mine on mine.provider = d.provider
        and mine.key = d.provider_customer_key
    union select email from provider_customers p join mine on mine.provider = p.provider
        and mine.key = p.provider_customer_key
    union select email from customers where key = :customer
"""

_OBJECTS = f"""
    with mine as (select * from ({_PLACES}) places where places.provider = 'stripe'),
    invoices as (
        select substr(t.key, length('stripe:') + 1) as key from transactions t join mine
            on t.provider = mine.provider and t.provider_customer_key = mine.key),
    payments as (
        select l.payment_key as key from payment_links l join invoices i
            on l.provider = 'stripe' and l.invoice_key = i.key)
    select key from invoices union select key from payments
    union select s.subscription_key from subscription_snapshots s join mine
        on s.provider = mine.provider and s.provider_customer_key = mine.key
    union select r.reversal_key from reversals r join invoices i on r.provider = 'stripe' and r.invoice_key = i.key
    union select r.reversal_key from reversals r
        where r.provider = 'stripe' and r.payment_keys && array(select key from payments)
"""
