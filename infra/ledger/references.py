"""What posted lines may refer to: products of the customer who paid, whoever bills them."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from domain.known import ProductKey
from domain.references import references_of
from domain.transactions import Transaction
from infra.ledger.customer_names import Names
from infra.rows import as_json, fetch


def fitting_products(
    connection: Connection, paid: Mapping[str, Transaction], names: Names
) -> dict[str, set[ProductKey]]:
    """Per posted transaction the products of its customer that its lines may mean. Nothing is asked for others."""
    wanted: list[dict[str, Any]] = [
        {"transaction_key": key, "customer": customer, "reference": reference}
        for key, each in paid.items()
        for reference in sorted(references_of(each))
        if (customer := names.customers.get((each.provider, each.provider_customer_key or ""))) is not None
    ]
    if not wanted:
        return {}
    rows = fetch(
        connection,
        """
        select distinct w.transaction_key, p.provider, p.subscription_key, p.product_key
        from json_to_recordset(cast(:wanted as json)) as w(transaction_key text, customer text, reference text)
        join provider_customers o on o.customer = w.customer
        join products p on p.provider = o.provider and p.provider_customer_key = o.provider_customer_key
        where w.reference in (p.subscription_key, p.subscription_key || '/' || p.product_key)
        """,
        wanted=as_json(wanted),
    )
    found: dict[str, set[ProductKey]] = {}
    for row in rows:
        found.setdefault(row.transaction_key, set()).add((row.provider, row.subscription_key, row.product_key))
    return found
