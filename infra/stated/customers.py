"""Customers as the company states them: described whole, linked to what providers know, given to a partner."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from domain import ids
from domain.customers import attribution_at
from domain.errors import Conflict, Missing
from domain.facts import COMPANY
from domain.known import ProviderCustomer
from domain.problems import Problems
from infra.ledger.attributions import load_attributions
from infra.ledger.shapes import provider_customer_of
from infra.providers.api.documents import CUSTOMER_STATED, CustomerStated
from infra.rows import fetch
from infra.stated.payers import customer_called, lock_names
from infra.stated.sales import NOTHING_NEW, Sale, said_of_sale
from infra.stated.telling import Telling, event_key_of, later_than

#: What describes a customer: stated whole each time, so that the newest word is all there is to know.
_DESCRIBING: Final = ("email", "name", "country", "metadata")


def state_customer(telling: Telling, given: Mapping[str, Any]) -> tuple[str, bool]:
    """State a customer for the first time; its key of ours, and whether that said anything new.

    A customer whom a provider told of may be stated too. Raises Conflict for one that was stated with other words.
    """
    company_key = str(given["customer_key"])
    telling.lock(*lock_names(company_key))
    person = _as_stated(telling.connection, company_key)
    if person is None or person.source is None:
        return _say(telling, company_key, {}, given, person), True
    sale = _sale(telling, ids.customer_key(company_key), given)
    if _is_so(telling, person, given, sale):
        return ids.customer_key(company_key), False
    raise Conflict(f'customer "{company_key}" is there already; change it with PATCH /customers/{company_key}')


def change_customer(telling: Telling, key: str, given: Mapping[str, Any]) -> tuple[str, bool]:
    """Say something else of a customer, named by either key; what is not given stays. Raises Missing."""
    called = customer_called(telling.connection, key)
    if called is None:
        raise Missing(f'no customer is called "{key}"', "key")
    customer, company_key = called
    telling.lock(*lock_names(company_key))
    person = _as_stated(telling.connection, company_key)
    if person is not None and _is_so(telling, person, given, _sale(telling, customer, given)):
        return customer, False
    return _say(telling, company_key, _described(telling.connection, customer), given, person), True


def _as_stated(connection: Connection, company_key: str) -> ProviderCustomer | None:
    rows = fetch(
        connection,
        "select * from provider_customers where provider = :provider and provider_customer_key = :key",
        provider=COMPANY,
        key=company_key,
    )
    return provider_customer_of(rows[0]) if rows else None


def _described(connection: Connection, customer: str) -> dict[str, Any]:
    """How the customer is described now, by whoever spoke last: what a change leaves alone."""
    rows = fetch(
        connection,
        """
        select email, name, country, metadata from provider_customers
        where customer = :customer and source_at is not null
        order by source_at desc, source_version desc, source_rank desc, source_event desc, provider desc limit 1
        """,
        customer=customer,
    )
    return {name: getattr(rows[0], name) for name in _DESCRIBING} if rows else {}


def _is_so(telling: Telling, person: ProviderCustomer, given: Mapping[str, Any], sale: Sale) -> bool:
    """Whether everything given is so already."""
    if sale != NOTHING_NEW or any(getattr(person, name) != given[name] for name in _DESCRIBING if name in given):
        return False
    provider_key, customer = given.get("provider_key"), person.customer or ""
    return provider_key is None or _is_linked(telling.connection, provider_key, customer)


def _is_linked(connection: Connection, provider_key: str, customer: str) -> bool:
    rows = fetch(
        connection,
        """
        select customer from provider_customers
        where provider in ('stripe', 'chargebee') and provider_customer_key = :key
        """,
        key=provider_key,
    )
    return len(rows) > 1 and all(row.customer == customer for row in rows)


def _sale(telling: Telling, customer: str, given: Mapping[str, Any]) -> Sale:
    history = load_attributions(telling.connection, [customer], telling.program.lookback)[customer]
    problems = Problems()
    sale = said_of_sale(given, attribution_at(history, telling.now), telling.program, problems)
    problems.raise_any()
    return sale


def _say(
    telling: Telling,
    company_key: str,
    kept: Mapping[str, Any],
    given: Mapping[str, Any],
    person: ProviderCustomer | None,
) -> str:
    customer = ids.customer_key(company_key)
    sale = _sale(telling, customer, given)
    moments: list[datetime | None] = [] if person is None or person.source is None else [person.source.occurred_at]
    document = CustomerStated(
        stated_at=later_than(telling.now, moments),
        customer_key=company_key,
        partner_key=sale.partner_key,
        member_key=sale.member_key,
        attributed_at=given.get("attributed_at"),
        provider_key=given.get("provider_key"),
        **{name: given[name] if name in given else kept.get(name) for name in _DESCRIBING},
    )
    telling.say(CUSTOMER_STATED, event_key_of(CUSTOMER_STATED, document), document)
    return customer
