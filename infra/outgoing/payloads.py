"""What a delivery says: `{"type", "timestamp", "data"}`, where data is the item as the API shows it.

The item is read when the delivery is first sent and then kept: it may hold changes that came after the one it tells of,
each of which has a delivery of its own. `timestamp` is when it was read, so that of two the later one is the newer.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import Connection

from infra.outgoing.deliveries import Claimed
from infra.outgoing.items import ProductPlace, commission_items, gone, product_items, product_key_of
from infra.rows import fetch


def payloads_of(connection: Connection, deliveries: Sequence[Claimed]) -> dict[int, str]:
    """By delivery id, the exact texts to sign and send. Read in one transaction."""
    as_of: datetime = fetch(connection, "select now() as at")[0].at
    commissions = commission_items(connection, {each.subject[0] for each in _about("commission", deliveries)})
    products = product_items(connection, {_place(each) for each in _about("product", deliveries)})
    return {each.id: _written(each, as_of, commissions, products) for each in deliveries}


def _written(
    delivery: Claimed,
    as_of: datetime,
    commissions: Mapping[str, Mapping[str, Any]],
    products: Mapping[ProductPlace, Mapping[str, Any]],
) -> str:
    if _kind(delivery) == "commission":
        item = commissions.get(delivery.subject[0]) or gone(delivery.subject[0])
    else:
        item = products.get(_place(delivery)) or gone(product_key_of(_place(delivery)))
    moment = as_of.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    document = {"type": delivery.event_type, "timestamp": moment, "data": item}
    return msgspec.json.encode(document).decode()


def _about(kind: str, deliveries: Iterable[Claimed]) -> Iterable[Claimed]:
    return (each for each in deliveries if _kind(each) == kind)


def _kind(delivery: Claimed) -> str:
    return delivery.event_type.partition(".")[0]


def _place(delivery: Claimed) -> ProductPlace:
    provider, subscription, product = delivery.subject
    return provider, subscription, product
