"""Products as they are now, with their history, their customer and whose sale they are. In sets."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from domain import ids
from domain.case import Program
from domain.catalogue import Entry
from domain.customers import Attribution
from domain.errors import Missing, Rejected
from domain.known import ProductKey
from domain.problems import listed
from domain.readings import entry_of
from domain.windows import epoch_ms
from infra.ledger.attributions import load_sellers
from infra.rows import as_json, fetch

#: For lists: `key` and `created_at` beside what is needed to show and to filter. It came to be when it was first seen.
SELECT: Final = """
    select p.subscription_key || '/' || p.product_key as key, p.*, c.key as customer, c.customer_key, o.email,
        coalesce(p.seen_at, p.purchased_at) as created_at
    from products p
    left join provider_customers o on o.provider = p.provider and o.provider_customer_key = p.provider_customer_key
    left join customers c on c.key = o.customer
"""


@dataclass(frozen=True, slots=True)
class ShownProduct:
    """A product as it is now."""

    row: Any
    entry: Entry
    seller: Attribution | None
    #: (status, since), each another one than the one before it.
    history: tuple[tuple[str, datetime], ...]

    @property
    def place(self) -> ProductKey:
        """(provider, subscription, product)."""
        return self.row.provider, self.row.subscription_key, self.row.product_key


def shown_products(connection: Connection, rows: Sequence[Any], program: Program, now: datetime) -> list[ShownProduct]:
    """Rows of `SELECT` in their order, with what else there is to show."""
    owners = {(row.provider, row.subscription_key, row.product_key): row.customer for row in rows}
    sellers = load_sellers(connection, owners, program.lookback, now)
    histories = _histories(connection, owners)
    return [
        ShownProduct(
            row,
            entry_of(row.price_keys, row.provider, row.product_key, program),
            sellers[place],
            tuple(histories.get(place, ())),
        )
        for row in rows
        for place in [(row.provider, row.subscription_key, row.product_key)]
    ]


def _histories(
    connection: Connection, places: Mapping[ProductKey, str | None]
) -> dict[ProductKey, list[tuple[str, datetime]]]:
    rows = fetch(
        connection,
        """
        select h.provider, h.subscription_key, h.product_key, h.status, h.effective_at
        from json_to_recordset(cast(:places as json)) as w(provider text, subscription_key text, product_key text)
        join product_history h using (provider, subscription_key, product_key) order by h.effective_at
        """,
        places=as_json({"provider": p, "subscription_key": s, "product_key": k} for p, s, k in sorted(places)),
    )
    found: dict[ProductKey, list[tuple[str, datetime]]] = {}
    for row in rows:
        steps = found.setdefault((row.provider, row.subscription_key, row.product_key), [])
        if not steps or steps[-1][0] != row.status:
            steps.append((row.status, row.effective_at))
    return found


def products_called(connection: Connection, key: str) -> list[ProductKey]:
    """Every product with this key, or on the subscription with this key. Exact and case-sensitive."""
    pairs = [
        {"subscription_key": key[:place], "product_key": key[place + 1 :]}
        for place, character in enumerate(key)
        if character == "/"
    ]
    rows = fetch(
        connection,
        """
        with wanted as (
            select * from json_to_recordset(cast(:pairs as json)) as w(subscription_key text, product_key text)
            union all select :key, null
        )
        select p.provider, p.subscription_key, p.product_key
        from unnest(cast(:providers as text[])) as providers(provider) cross join wanted w
        join products p on p.provider = providers.provider and p.subscription_key = w.subscription_key
            and (w.product_key is null or p.product_key = w.product_key)
        order by 1, 2, 3
        """,
        pairs=as_json(pairs),
        key=key,
        providers=["api", "chargebee", "stripe"],
    )
    return [(row.provider, row.subscription_key, row.product_key) for row in rows]


def the_product_called(connection: Connection, key: str) -> ProductKey:
    """The one product that a key means. Raises Missing, or Rejected naming those it may mean."""
    found = products_called(connection, key)
    exact = [product for product in found if ids.product_key_of(product[1], product[2]) == key] or found
    if not exact:
        raise Missing(f'no product is called "{key}"', "key")
    if len(exact) > 1:
        names = listed(sorted({ids.product_key_of(subscription, product) for _, subscription, product in exact}))
        raise Rejected(f'several products are called "{key}"; name one of them: {names}', "key")
    return exact[0]


def read_product(connection: Connection, place: ProductKey, program: Program, now: datetime) -> ShownProduct:
    """One product."""
    return read_products(connection, [place], program, now)[0]


def read_products(
    connection: Connection, places: Collection[ProductKey], program: Program, now: datetime
) -> list[ShownProduct]:
    """Those of these that there are."""
    rows = fetch(
        connection,
        f"""
        {SELECT} where (p.provider, p.subscription_key, p.product_key) in (
            select * from json_to_recordset(cast(:places as json))
                as w(provider text, subscription_key text, product_key text))
        """,
        places=as_json({"provider": p, "subscription_key": s, "product_key": k} for p, s, k in sorted(places)),
    )
    return shown_products(connection, rows, program, now)


def product_document(product: ShownProduct) -> dict[str, Any]:
    """A product as the API shows it."""
    row, entry = product.row, product.entry
    return {
        "key": row.key,
        "product_book_key": entry.key,
        "product_book": {
            "key": entry.key,
            "name": entry.names[-1].name,
            "external_key": entry.external_key,
            "needs_review": entry.needs_review,
        },
        "external_subscription_key": row.subscription_key,
        "external_product_key": row.product_key,
        "provider": row.provider,
        "provider_status": row.provider_status,
        "provider_customer_key": row.provider_customer_key,
        "customer_key": row.customer_key,
        "customer_external_key": row.customer_key,
        "customer_email": row.email,
        "status": row.status,
        "amount": row.amount_minor,
        "currency": row.currency,
        "quantity": row.quantity,
        "partner_key": product.seller.partner_key if product.seller else None,
        "member_key": product.seller.member_key if product.seller else None,
        "purchased_at": None if row.purchased_at is None else epoch_ms(row.purchased_at),
        "created_at": epoch_ms(row.created_at),
        "history": [{"status": status, "effective_at": epoch_ms(since)} for status, since in product.history],
    }
