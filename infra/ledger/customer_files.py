"""Load all that judging customers' occasions other than payments reads."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from domain import ids
from domain.commissions import Commission
from domain.known import ProductKey, ProviderCustomerKey
from domain.occasions import CustomerFile, moments
from domain.products import ProductVersion
from domain.standings import Standing
from infra.ledger.case_files import commission_of
from infra.ledger.claims import load_claims
from infra.ledger.customer_names import load_descriptions, load_names
from infra.ledger.shapes import standing_of, version_of
from infra.rows import as_json, fetch

Histories = Mapping[ProductKey, tuple[ProductVersion, ...]]
NamedFile = tuple[CustomerFile, frozenset[ProviderCustomerKey]]


def load_customer_files(
    connection: Connection, people: Collection[ProviderCustomerKey], customers: Collection[str], *, with_standings: bool
) -> list[NamedFile]:
    """A linked customer once, under all its names; an unlinked one alone, with its products."""
    names = load_names(connection, people, customers)
    wanted = sorted({*customers, *(names.customers[place] for place in people if place in names.customers)})
    unlinked = sorted(place for place in people if place not in names.customers)
    owned = _histories(connection, [*names.customers, *unlinked])
    subjects = {subject for each in owned.values() for product in each for subject in ids.sale_subjects(*product)}
    claims = load_claims(connection, subjects | names.subjects(), names.together())
    said = names.claims(claims)
    files: list[NamedFile] = [
        (CustomerFile(None, products=owned.get(place, {})), frozenset([place])) for place in unlinked
    ]
    for customer in wanted:
        products = {key: history for place in names.of(customer) for key, history in owned.get(place, {}).items()}
        file = CustomerFile(customer, names.created.get(customer), said.get(customer, ()), claims, products=products)
        files.append((file, names.of(customer)))
    return _described(connection, files, with_standings=with_standings)


def _described(connection: Connection, files: Sequence[NamedFile], *, with_standings: bool) -> list[NamedFile]:
    """The files with what was said of the customers, and where they stood, as of their occasions."""
    asked = {file.customer: (names, set(moments(file))) for file, names in files if file.customer is not None}
    said = load_descriptions(connection, asked)
    standings = _standings(connection, asked) if with_standings else {}
    return [
        (
            replace(
                file,
                descriptions=said.get(file.customer or "", ()),
                standings=standings.get(file.customer or "", {}),
            ),
            names,
        )
        for file, names in files
    ]


def _histories(connection: Connection, places: Iterable[ProviderCustomerKey]) -> dict[ProviderCustomerKey, Histories]:
    rows = fetch(
        connection,
        """
        select p.provider_customer_key, h.* from json_to_recordset(cast(:places as json)) as w(provider text, key text)
        join products p on p.provider = w.provider and p.provider_customer_key = w.key
        join product_history h on h.provider = p.provider and h.subscription_key = p.subscription_key
            and h.product_key = p.product_key
        order by h.effective_at
        """,
        places=as_json({"provider": provider, "key": key} for provider, key in sorted(set(places))),
    )
    found: dict[ProviderCustomerKey, dict[ProductKey, list[ProductVersion]]] = {}
    for row in rows:
        products = found.setdefault((row.provider, row.provider_customer_key), {})
        products.setdefault((row.provider, row.subscription_key, row.product_key), []).append(version_of(row))
    return {place: {key: tuple(each) for key, each in products.items()} for place, products in found.items()}


def _standings(
    connection: Connection, asked: Mapping[str, tuple[frozenset[ProviderCustomerKey], set[datetime]]]
) -> dict[str, dict[datetime, Standing]]:
    """Where each customer stood after the last payment by each moment."""
    wanted = [
        {"customer": customer, "at": at, "place": place}
        for customer, (_, days) in sorted(asked.items())
        for place, at in enumerate(sorted(days))
    ]
    rows = fetch(
        connection,
        """
        select w.customer, w.place, s.* from json_to_recordset(cast(:wanted as json))
            as w(customer text, at timestamptz, place int)
        cross join lateral (
            select near.key from provider_customers other cross join lateral (
                select t.key, t.occurred_at from transactions t
                where t.provider = other.provider and t.provider_customer_key = other.provider_customer_key
                    and t.occurred_at <= w.at
                order by t.occurred_at desc, t.key collate "C" desc limit 1
            ) near where other.customer = w.customer
            order by near.occurred_at desc, near.key collate "C" desc limit 1
        ) last join standings s on s.transaction_key = last.key
        """,
        wanted=as_json(wanted),
    )
    found: dict[str, dict[datetime, Standing]] = {}
    for row in rows:
        days = sorted(asked[row.customer][1])
        found.setdefault(row.customer, {})[days[row.place]] = standing_of(row)
    return found


def load_booked_on(connection: Connection, subjects: Collection[str]) -> dict[str, list[Commission]]:
    """The commissions booked on occasions other than payments, by subject."""
    booked: dict[str, list[Commission]] = {}
    row: Any
    for row in fetch(connection, "select * from commissions where subject = any(:subjects)", subjects=sorted(subjects)):
        booked.setdefault(row.subject, []).append(commission_of(row))
    return booked
