"""Our customers under every name they go by, and what was said of them as of when."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection

from domain import ids
from domain.customers import Claim
from domain.facts import CustomerSeen
from domain.known import ProviderCustomerKey
from infra.ledger.shapes import description_of
from infra.rows import as_json, fetch


@dataclass(frozen=True, slots=True)
class Names:
    """Our customer per provider's customer, all other names of those customers included."""

    customers: Mapping[ProviderCustomerKey, str]
    #: When each of our customers came to be, where an event told.
    created: Mapping[str, datetime]
    _of: Mapping[str, frozenset[ProviderCustomerKey]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        found: dict[str, set[ProviderCustomerKey]] = {}
        for place, customer in self.customers.items():
            found.setdefault(customer, set()).add(place)
        object.__setattr__(self, "_of", {customer: frozenset(places) for customer, places in found.items()})

    def of(self, customer: str) -> frozenset[ProviderCustomerKey]:
        """Every name of one customer."""
        return self._of.get(customer, frozenset())

    def subjects(self) -> set[str]:
        """Every subject under which something may have been said of these customers."""
        own = {ids.customer_subject(customer) for customer in self.customers.values()}
        return own | {ids.provider_customer_subject(*place) for place in self.customers}

    def together(self) -> list[set[str]]:
        """The subjects of each customer."""
        return [
            {ids.customer_subject(key), *(ids.provider_customer_subject(*place) for place in places)}
            for key, places in self._of.items()
        ]

    def claims(self, said: Mapping[str, tuple[Claim, ...]]) -> dict[str, tuple[Claim, ...]]:
        """What was said of each customer under any of its names."""
        found = {key: list(said.get(ids.customer_subject(key), ())) for key in sorted(set(self.customers.values()))}
        for place, customer in sorted(self.customers.items()):
            found[customer] += said.get(ids.provider_customer_subject(*place), ())
        return {customer: tuple(claims) for customer, claims in found.items()}


def load_names(connection: Connection, places: Iterable[ProviderCustomerKey], customers: Iterable[str] = ()) -> Names:
    """The names of whoever has one of these, and of these customers of ours."""
    rows = fetch(
        connection,
        """
        with wanted as (
            select mine.customer from json_to_recordset(cast(:places as json)) as w(provider text, key text)
            join provider_customers mine on mine.provider = w.provider and mine.provider_customer_key = w.key
            union
            select unnest(cast(:customers as text[]))
        )
        select other.provider, other.provider_customer_key, other.customer, other.created_at
        from wanted join provider_customers other using (customer)
        """,
        places=as_json({"provider": provider, "key": key} for provider, key in sorted(places)),
        customers=sorted(customers),
    )
    created: dict[str, datetime] = {}
    for row in rows:
        if row.created_at is not None:
            created[row.customer] = min(created.get(row.customer, row.created_at), row.created_at)
    return Names({(row.provider, row.provider_customer_key): row.customer for row in rows}, created)


def load_descriptions(
    connection: Connection, wanted: Mapping[str, tuple[frozenset[ProviderCustomerKey], set[datetime]]]
) -> dict[str, tuple[CustomerSeen, ...]]:
    """Per customer what was said under each name as of each moment, and the first word under each name."""
    places = [
        {"customer": customer, "provider": provider, "key": key, "at": at}
        for customer, (names, moments) in sorted(wanted.items())
        for provider, key in sorted(names)
        for at in sorted(moments)
    ]
    if not places:
        return {}
    rows = fetch(
        connection,
        """
        select distinct w.customer, d.provider, d.provider_customer_key, d.event_key, d.source_version, d.source_at,
            d.source_rank, d.email, d.name, d.country, d.metadata
        from json_to_recordset(cast(:places as json)) as w(customer text, provider text, key text, at timestamptz)
        cross join lateral (
            (select * from customer_descriptions c where c.provider = w.provider and c.provider_customer_key = w.key
                and c.source_at <= w.at
                order by c.source_at desc, c.source_version desc, c.source_rank desc, c.event_key collate "C" desc
                limit 1)
            union all
            (select * from customer_descriptions c where c.provider = w.provider and c.provider_customer_key = w.key
                order by c.source_at, c.source_version, c.source_rank, c.event_key collate "C" limit 1)
        ) d
        """,
        places=as_json(places),
    )
    found: dict[str, list[CustomerSeen]] = {}
    for row in rows:
        found.setdefault(row.customer, []).append(description_of(row))
    return {customer: tuple(said) for customer, said in found.items()}
