"""Reading a delivery's body strictly, whichever provider it is from: one unambiguous event, or none.

The whole body is parsed: what is stored must be readable again, by any reader, with one meaning.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final, NoReturn, TypeVar

import msgspec

from domain.errors import Rejected, Unreadable

KEY_LENGTH_MAX = 255

#: Unix seconds: 2001-09-09 and 2100-01-01. The providers are younger than the one; the other is no billing date.
SECOND_MIN = 1_000_000_000
SECOND_MAX = 4_102_444_800

#: JSON's escaped NUL, which no PostgreSQL text can hold; not the six characters after an escaped backslash.
_NUL: Final = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")

EventT = TypeVar("EventT")


class MalformedEvent(Rejected):
    """The body is not one unambiguous event; the message names the rule broken, never a value."""


def read_exactly(body: bytes, shape: type[EventT]) -> EventT:
    """The event in `body`. Raises `MalformedEvent` for what is not JSON with one meaning, or not of that shape."""
    try:
        return msgspec.convert(_parse(body), shape)
    except msgspec.ValidationError:
        raise MalformedEvent("the body is not an event") from None


def _parse(body: bytes) -> object:
    try:
        tree = msgspec.json.decode(body)
        _refuse_repeated_keys(body, tree)
    except (ValueError, RecursionError, msgspec.MsgspecError):
        # ValueError covers bad UTF-8, and numbers of more digits than Python converts.
        raise MalformedEvent("the body is not unambiguous JSON") from None
    return tree


def _refuse_repeated_keys(body: bytes, tree: object) -> None:
    """A parser keeps the last of two equal keys, so written out again the tree lacks the other one's colon.

    Only an escaped colon in a string could hide that; such a body is looked at key by key.
    """
    if b"\\" in body and b"\\u003" in body:
        json.loads(body, object_pairs_hook=_refuse_repeats)
    elif msgspec.json.encode(tree).count(b":") != body.count(b":"):
        raise MalformedEvent("a key is there twice")


def _refuse_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    unique = dict(pairs)
    if len(unique) != len(pairs):
        raise MalformedEvent("a key is there twice")
    return unique


def printable(value: str, field: str) -> str:
    """PostgreSQL's text holds no NUL, log lines no line feeds, and no key of a provider's either of them."""
    if not value or len(value) > KEY_LENGTH_MAX or not value.isprintable():
        raise MalformedEvent("empty, too long or not printable", field)
    return value


def printable_or_none(value: str | None, field: str) -> str | None:
    """The same of a field that may be absent."""
    return None if value is None else printable(value, field)


def moment_of(second: int, field: str) -> datetime:
    """Unix seconds as a time in this century."""
    if not SECOND_MIN <= second <= SECOND_MAX:
        refuse_moment(field)
    return datetime.fromtimestamp(second, UTC)


def refuse_moment(field: str) -> NoReturn:
    """Raise for a field that holds no usable time."""
    raise MalformedEvent("not a time in this century", field)


# --- what was stored, read again


@contextmanager
def reading() -> Iterator[None]:
    """Every way in which stored bytes can be unreadable, as `Unreadable`: naming a path, never a value."""
    try:
        yield
    except RecursionError:
        raise Unreadable("nested too deeply - at `$`") from None
    except UnicodeDecodeError:
        raise Unreadable("not UTF-8 - at `$`") from None
    except msgspec.MsgspecError as error:
        # Without positions in lists, so that one fault is one group of dead letters.
        raise Unreadable(re.sub(r"\[\d+\]", "[...]", str(error))) from error


def without_nul(body: bytes) -> bytes:
    """The same JSON without NUL characters in its strings; the very same object where there are none."""
    return _NUL.sub(rb"\1", body) if b"\\u0000" in body else body
