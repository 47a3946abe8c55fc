"""Which customer a request names: by the company's own id, by ours, by a provider's or by e-mail. Exactly one of them.

A company's own id that nobody has used yet names a customer who will be told of later. Every other name must lead to
somebody.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection

from domain import ids
from domain.addresses import address_of
from domain.facts import COMPANY
from domain.problems import Problems, listed
from infra.ledger.addresses import ADDRESS
from infra.rows import fetch

REFERENCES: Final = ("customer_key", "customer_external_key", "customer_email")
_OURS: Final = re.compile(r"^cust_[0-9a-f]{20}$")


def company_key_of(connection: Connection, given: Mapping[str, Any], problems: Problems) -> str:
    """The company's own id of the customer that a request names; an empty text after noting what is wrong."""
    named = [name for name in REFERENCES if given.get(name) is not None]
    if len(named) != 1:
        how = "is required" if not named else "only one of these may be given"
        problems.add(named[0] if named else REFERENCES[0], f"{how}: {listed(REFERENCES)}")
        return ""
    (name,) = named
    if name == "customer_email":
        return _by_email(connection, given[name], problems)
    return _by_key(connection, name, given[name], problems)


def _by_key(connection: Connection, field: str, key: str, problems: Problems) -> str:
    if (called := customer_called(connection, key)) is not None:
        return called[1]
    people = fetch(
        connection,
        """
        select p.provider, c.customer_key from provider_customers p left join customers c on c.key = p.customer
        where p.provider in ('stripe', 'chargebee') and p.provider_customer_key = :key order by 1
        """,
        key=key,
    )
    linked = sorted({row.customer_key for row in people if row.customer_key is not None})
    if len(linked) == 1:
        return str(linked[0])
    if linked:
        problems.add(field, f'"{key}" may be {listed(linked)}; name one of them')
    elif people:
        remedy = 'say whose it is first, with "provider_key" on /customers'
        problems.add(field, f'"{key}" is a customer of {people[0].provider} whom nobody has linked; {remedy}')
    elif _OURS.match(key):
        problems.add(field, f'no customer has the key "{key}"')
    return key


def _by_email(connection: Connection, email: str, problems: Problems) -> str:
    rows = fetch(
        connection,
        """
        select distinct c.customer_key from customer_descriptions d
        join provider_customers p using (provider, provider_customer_key) join customers c on c.key = p.customer
        where """
        + ADDRESS.format("d.email")
        + " = :address and "
        + ADDRESS.format("p.email")
        + " = :address order by 1 limit 5",
        address=address_of(email),
    )
    found = [str(row.customer_key) for row in rows]
    if len(found) == 1:
        return found[0]
    what = "no customer has this address; name one by customer_key"
    problems.add("customer_email", what if not found else f"customers {listed(found)} have it; name one by key")
    return ""


def customer_called(connection: Connection, key: str) -> tuple[str, str] | None:
    """(our key, the company's own id) of the customer with either of these; the company's word comes first."""
    rows = fetch(
        connection,
        """
        select key, customer_key from customers where customer_key = :key or key = :key
        order by customer_key = :key desc limit 1
        """,
        key=key,
    )
    return (str(rows[0].key), str(rows[0].customer_key)) if rows else None


def our_key_of(connection: Connection, key: str) -> str:
    """Our key of the customer with either key; an empty text, which is nobody's, where there is none."""
    called = customer_called(connection, key)
    return called[0] if called is not None else ""


def is_known(connection: Connection, company_key: str) -> bool:
    """Whether there is a customer of this id of the company's."""
    return bool(fetch(connection, "select from customers where customer_key = :key", key=company_key))


def lock_names(company_key: str) -> tuple[str, str]:
    """Under which names the customer is locked."""
    return ids.provider_customer_subject(COMPANY, company_key), ids.customer_key(company_key)
