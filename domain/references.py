"""Posted lines: which product of their customer a `subscription_key` leads to. Decided when they are judged.

A line keeps what was posted; it is led to a product anew each time, from the facts as they are, so that a product
stated after its payment counts as one stated before. Exact and case-sensitive, whoever bills the product.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from domain import ids
from domain.facts import COMPANY, ProductStatus
from domain.known import ProductKey
from domain.near_misses import difference_between
from domain.products import ProductVersion, version_at
from domain.transactions import Line, Transaction

Histories = Mapping[ProductKey, Sequence[ProductVersion]]


def references_of(paid: Transaction) -> set[str]:
    """What the lines of a posted transaction refer to; nothing for a provider's, whose lines name their products."""
    if paid.provider != COMPANY:
        return set()
    return {line.subscription_key for line in paid.lines if line.subscription_key and line.product_key is None}


def names_of(product: ProductKey) -> tuple[str, str]:
    """What leads to a product: its own key, and its subscription's as long as that has only one."""
    _, subscription_key, product_key = product
    return ids.product_key_of(subscription_key, product_key), subscription_key


def led_to_products(paid: Transaction, owned: Histories) -> Transaction:
    """The transaction with the products its lines refer to. `owned` are products of its customer, all that fit."""
    if not references_of(paid):
        return paid
    return replace(paid, lines=tuple(_led(line, paid.occurred_at, owned) for line in paid.lines))


def _led(line: Line, at: datetime, owned: Histories) -> Line:
    found = fitting(line.subscription_key, owned)
    if line.product_key is not None or not found:
        return line
    if len(found) > 1:
        found = [product for product in found if _is_had(owned[product], at)]
    if len(found) != 1:
        return line
    ((provider, subscription_key, product_key),) = found
    history = owned[found[0]]
    version = version_at(history, at) or next(iter(history), None)
    return replace(
        line,
        product_provider=provider,
        subscription_key=subscription_key,
        product_key=product_key,
        price_keys=version.price_keys if version else (),
    )


def fitting(reference: str | None, products: Iterable[ProductKey]) -> list[ProductKey]:
    """Every product that a reference may mean, in order."""
    return sorted(product for product in products if reference in names_of(product))


def _is_had(history: Sequence[ProductVersion], at: datetime) -> bool:
    """Of several products on one subscription, a payment is for the one that was in trial or active."""
    version = version_at(history, at)
    return version is not None and version.status in (ProductStatus.TRIAL, ProductStatus.ACTIVE)


def why_without_product(line: Line, products: Iterable[ProductKey]) -> str:
    """Why a posted line was led to no product, naming what may have been meant. `products` are all the customer's."""
    if line.subscription_key is None:
        return "the line names no product"
    known = list(products)
    what = f'subscription_key "{line.subscription_key}"'
    if found := fitting(line.subscription_key, known):
        names = ", ".join(f'"{names_of(product)[0]}"' for product in found)
        return f"{what} may mean any of {names}; name one of them"
    for name in sorted({name for product in known for name in names_of(product)}):
        if (difference := difference_between(line.subscription_key, name)) is not None:
            return f'{what} matches no product; "{name}" differs only in {difference}'
    return f"{what} matches no product"
