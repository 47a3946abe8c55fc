"""Whose customers and products are, folded from everything that was said; for whole lists at once."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from sqlalchemy import Connection

from domain import ids
from domain.customers import Attribution, attribution_at, attributions
from domain.known import ProductKey
from infra.ledger.claims import load_claims
from infra.ledger.customer_names import load_names

Histories = Mapping[str, tuple[Attribution, ...]]


def load_attributions(connection: Connection, customers: Collection[str], lookback: timedelta) -> Histories:
    """Per customer of ours its whole history; those that nobody ever claimed have an empty one."""
    names = load_names(connection, (), customers)
    claims = load_claims(connection, names.subjects(), names.together())
    said = names.claims(claims)
    return {customer: attributions(said.get(customer, ()), lookback) for customer in customers}


def load_sellers(
    connection: Connection, products: Mapping[ProductKey, str | None], lookback: timedelta, at: datetime
) -> dict[ProductKey, Attribution | None]:
    """Per product whom it pays at a moment; `products` names the customer of ours, None: nobody has linked them."""
    customers = load_attributions(connection, {key for key in products.values() if key is not None}, lookback)
    claims = load_claims(connection, {subject for each in products for subject in ids.sale_subjects(*each)})
    found: dict[ProductKey, Attribution | None] = {}
    for product, customer in products.items():
        own = (attribution_at(attributions(claims.get(s, ()), lookback), at) for s in ids.sale_subjects(*product))
        said = next((each for each in own if each is not None), None)
        found[product] = said or attribution_at(customers.get(customer or "", ()), at)
    return found
