"""Customers as everything said of them makes them, and provider's customers whom nobody has linked yet. In sets."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection

from domain.customers import Attribution, attribution_at
from domain.facts import COMPANY
from infra.ledger.addresses import ADDRESS
from infra.ledger.attributions import load_attributions
from infra.rows import fetch

#: For lists; what was said of each is read for the page alone. `key` is ours.
SELECT: Final = "select c.key, c.customer_key, c.created_at from customers c"

#: For lists of those whom nobody has linked: `key` is `<provider>:<its id>`.
SELECT_UNLINKED: Final = """
    select p.provider || ':' || p.provider_customer_key as key, p.provider, p.provider_customer_key, p.email, p.name,
        p.country, p.metadata, coalesce(p.created_at, first.occurred_at, 'epoch') as created_at
    from provider_customers p
    left join lateral (
        select min(t.occurred_at) as occurred_at from transactions t
        where t.provider = p.provider and t.provider_customer_key = p.provider_customer_key
    ) first on true
    where p.customer is null
"""

#: Conditions on `SELECT` for lists.
HAS_EMAIL: Final = f"""
    exists (select from provider_customers p where p.customer = listed.key
        and {ADDRESS.format("p.email")} = {ADDRESS.format(":email")})
"""
HAS_PROVIDER_KEY: Final = """
    exists (select from provider_customers p where p.customer = listed.key and p.provider <> 'api'
        and p.provider_customer_key = :provider_key)
"""
#: Whoever was ever claimed for the partner: whose they are now is folded from all claims.
EVER_OF_PARTNER: Final = """
    exists (select from claims where claims.partner_key = :partner_key and (
        claims.subject = 'customer:' || listed.key or claims.subject in (
            select p.provider || ':customer:' || p.provider_customer_key from provider_customers p
            where p.customer = listed.key)))
"""


@dataclass(frozen=True, slots=True)
class ShownCustomer:
    """One customer as of now."""

    key: str
    customer_key: str
    created_at: datetime
    #: Rows of `provider_customers`, the one that spoke last first.
    names: tuple[Any, ...]
    attribution: Attribution | None

    def said(self, field: str) -> Any:
        """What the last word that says anything of it says."""
        return next((value for name in self.names if (value := getattr(name, field)) is not None), None)

    @property
    def provider_keys(self) -> list[tuple[str, str]]:
        """(provider, its customer id) of every name that a provider has for it; those described come first."""
        described = sorted(self.names, key=lambda name: (name.source_at is None, name.provider))
        return [(n.provider, n.provider_customer_key) for n in described if n.provider != COMPANY]


def shown_customers(
    connection: Connection, rows: Sequence[Any], lookback: timedelta, now: datetime
) -> list[ShownCustomer]:
    """Rows of `SELECT` in their order, with what was said of each."""
    keys = [row.key for row in rows]
    names: dict[str, list[Any]] = {key: [] for key in keys}
    for name in fetch(
        connection,
        """
        select * from provider_customers where customer = any(:keys)
        order by source_at desc nulls last, source_version desc, source_rank desc, source_event desc, provider
        """,
        keys=keys,
    ):
        names[name.customer].append(name)
    histories = load_attributions(connection, keys, lookback)
    return [
        ShownCustomer(
            row.key,
            row.customer_key,
            row.created_at,
            tuple(names[row.key]),
            attribution_at(histories[row.key], now),
        )
        for row in rows
    ]
