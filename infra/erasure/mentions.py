"""Which events concern a person: every stored body is read, also of types that nothing here uses.

One that names a customer concerns that customer and nobody else, whoever's address is in it: an agency's address may
be on the invoices of hundreds. One that names none concerns whose address or payment it holds.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import Connection

from domain.addresses import address_of
from domain.errors import Unreadable
from infra.bodies import decode
from infra.erasure.persons import Person
from infra.rows import fetch

#: Bodies read at a time.
PORTION: Final = 2_000
#: Keys of objects and statements that say whose they are.
_NAMING: Final = ("customer", "customer_id", "customer_key")


@dataclass(frozen=True, slots=True)
class Portion:
    """What one portion of the inbox holds of a person."""

    events: tuple[int, ...]
    #: How many were read, and after which event to go on; None: there are no more.
    count: int
    after: int | None


_READ = """
    select id, provider, body_codec, body, body_bytes from inbox
    where id > :after and body is not null and provider <> 'program' order by id limit :count
"""


def mentioned(connection: Connection, person: Person, after: int, count: int = PORTION) -> Portion:
    """The events after `after`, up to `count` of them, whose bodies concern the person."""
    rows = fetch(connection, _READ, after=after, count=count)
    found = tuple(
        row.id for row in rows if concerns(person, row.provider, _body(row.body_codec, bytes(row.body), row.body_bytes))
    )
    return Portion(found, len(rows), rows[-1].id if len(rows) == count else None)


def _body(codec: int, stored: bytes, size: int) -> object:
    try:
        return msgspec.json.decode(decode(codec, stored, size))
    except (Unreadable, msgspec.DecodeError):  # nothing could ever be made of it here
        return None


def concerns(person: Person, provider: str, body: object) -> bool:
    """Whether a body is about the person."""
    named: set[str] = set()
    texts: set[str] = set()
    for owner, key, value in _texts(body):
        texts.add(value)
        if key in _NAMING or (key == "id" and _is_customer(owner)):
            named.add(value)
    if named:
        return any((provider, name) in person.names for name in named) or person.customer in named
    return not texts.isdisjoint(person.objects) or any(address_of(value) in person.addresses for value in texts)


def _is_customer(owner: tuple[str, Mapping[str, Any]]) -> bool:
    name, content = owner
    return name == "customer" or "customer" in (content.get("object"), content.get("type"))


def _texts(body: object) -> Iterator[tuple[tuple[str, Mapping[str, Any]], str, str]]:
    """Every text: the object it stands in, by name and content, its key there, and itself. Metadata is what it is."""
    waiting: list[tuple[str, object]] = [("", body)]
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, list):
            waiting.extend((name, each) for each in value)
            for each in value:
                if isinstance(each, str):
                    yield (name, {}), "", each
        elif isinstance(value, Mapping):
            is_metadata = name in ("metadata", "meta_data")
            for key, inner in value.items():
                if isinstance(inner, str):
                    yield (name, value), "" if is_metadata else key, inner
                else:
                    waiting.append((key, inner))
