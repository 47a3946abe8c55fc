"""Payments with their lines led to products, and why a line has none. In sets."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection

from domain.case import Program
from domain.catalogue import Entry
from domain.facts import COMPANY
from domain.known import ProductKey
from domain.readings import entry_of
from domain.references import why_without_product
from domain.transactions import Line, Transaction
from infra.ledger.case_files import load_led
from infra.ledger.customer_names import Names
from infra.rows import as_json, fetch

#: For lists: `key`, and `created_at`, which is when it was paid.
SELECT: Final = """
    select t.key, t.occurred_at as created_at, t.occurred_at, t.provider, t.provider_customer_key, t.currency,
        t.metadata, c.key as customer, c.customer_key
    from transactions t
    left join provider_customers o on o.provider = t.provider and o.provider_customer_key = t.provider_customer_key
    left join customers c on c.key = o.customer
"""


@dataclass(frozen=True, slots=True)
class ShownLine:
    """One line: as it was told, and led to its product."""

    told: Line
    line: Line
    product: tuple[str, str | None, str | None]
    #: None: it names no product.
    entry: Entry | None
    #: Why it has no product, or what a person would miss; None where there is nothing to say.
    reason: str | None


@dataclass(frozen=True, slots=True)
class ShownTransaction:
    """One payment."""

    row: Any
    paid: Transaction
    lines: tuple[ShownLine, ...]


def shown_transactions(connection: Connection, rows: Sequence[Any], program: Program) -> list[ShownTransaction]:
    """Rows of `SELECT` in their order, with their lines."""
    told, led, names = load_led(connection, [row.key for row in rows])
    reasons = reasons_of(connection, led, names)
    return [
        ShownTransaction(
            row,
            led[row.key],
            tuple(
                _line(before, line, led[row.key], reasons.get((row.key, line.key)), program)
                for before, line in zip(told[row.key].lines, led[row.key].lines, strict=True)
            ),
        )
        for row in rows
    ]


def _line(told: Line, line: Line, paid: Transaction, reason: str | None, program: Program) -> ShownLine:
    place = paid.place_of(line)
    provider, _, product = place
    entry = None if product is None else entry_of(line.price_keys, provider, product, program)
    if entry is not None and entry.needs_review and product is not None:
        reason = program.catalogue.near_miss(product) or f'"{product}" is not described in the product book yet'
    return ShownLine(told, line, place, entry, reason)


def reasons_of(connection: Connection, led: Mapping[str, Transaction], names: Names) -> dict[tuple[str, str], str]:
    """Why each line without a product has none, by (transaction, line)."""
    bare = [(paid, line) for paid in led.values() for line in paid.lines if line.product_key is None]
    posted = {
        paid.key: _payer(paid, names) for paid, line in bare if paid.provider == COMPANY and line.subscription_key
    }
    owned = _products_of(connection, {customer for customer in posted.values() if customer is not None})
    found: dict[tuple[str, str], str] = {}
    for paid, line in bare:
        if paid.provider != COMPANY:
            found[(paid.key, line.key)] = "the provider names no product on this line"
        else:
            found[(paid.key, line.key)] = why_without_product(line, owned.get(posted.get(paid.key) or "", ()))
    return found


def _payer(paid: Transaction, names: Names) -> str | None:
    return names.customers.get((paid.provider, paid.provider_customer_key or ""))


def _products_of(connection: Connection, customers: Iterable[str]) -> dict[str, list[ProductKey]]:
    """Every product of each of our customers."""
    rows = fetch(
        connection,
        """
        select o.customer, p.provider, p.subscription_key, p.product_key
        from json_to_recordset(cast(:wanted as json)) as w(customer text)
        join provider_customers o on o.customer = w.customer
        join products p on p.provider = o.provider and p.provider_customer_key = o.provider_customer_key
        """,
        wanted=as_json({"customer": customer} for customer in sorted(customers)),
    )
    found: dict[str, list[ProductKey]] = {}
    for row in rows:
        found.setdefault(row.customer, []).append((row.provider, row.subscription_key, row.product_key))
    return found
