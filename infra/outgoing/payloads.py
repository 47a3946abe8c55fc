"""What a delivery says: `{"type", "timestamp", "data"}`, where data is the item as the API shows it.

The item is read when the delivery is first sent and then kept: it may hold changes that came after the one it tells of,
each of which has a delivery of its own. `timestamp` is when it began to be read.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import Connection

from domain import ids
from domain.case import Program
from domain.known import ProductKey
from infra.outgoing.deliveries import Claimed
from infra.rows import fetch
from infra.shown.products import product_document, read_products
from infra.shown.rewards import read_rewards


def payloads_of(connection: Connection, program: Program, deliveries: Sequence[Claimed]) -> dict[int, str]:
    """By delivery id, the exact texts to sign and send. Read in one transaction."""
    as_of: datetime = fetch(connection, "select now() as at")[0].at
    commissions = {each.subject[0] for each in _about("commission", deliveries)}
    places = {_place(each) for each in _about("product", deliveries)}
    items: dict[tuple[str, ...], Mapping[str, Any]] = {
        (item["key"],): item for item in (read_rewards(connection, commissions) if commissions else ())
    }
    for product in read_products(connection, places, program, as_of) if places else ():
        items[product.place] = product_document(product)
    return {each.id: _written(each, as_of, items) for each in deliveries}


def _written(delivery: Claimed, as_of: datetime, items: Mapping[tuple[str, ...], Mapping[str, Any]]) -> str:
    item = items.get(delivery.subject) or {"key": _key(delivery), "deleted": True}
    moment = as_of.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return msgspec.json.encode({"type": delivery.event_type, "timestamp": moment, "data": item}).decode()


def _about(kind: str, deliveries: Iterable[Claimed]) -> Iterable[Claimed]:
    return (each for each in deliveries if each.event_type.partition(".")[0] == kind)


def _key(delivery: Claimed) -> str:
    """How the API calls what is no longer there."""
    return delivery.subject[0] if len(delivery.subject) == 1 else ids.product_key_of(*_place(delivery)[1:])


def _place(delivery: Claimed) -> ProductKey:
    provider, subscription, product = delivery.subject
    return provider, subscription, product
