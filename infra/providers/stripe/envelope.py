"""The few fields of a Stripe event that are needed to store it, read strictly from the exact bytes.

The whole body is parsed all the same: what is stored must be readable again, by any reader, with one meaning.
"""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, NoReturn

import msgspec

from domain.errors import Rejected

KEY_LENGTH_MAX = 255

#: Unix seconds: 2001-09-09 and 2100-01-01. Stripe is younger than the one; the other is no billing date.
_CREATED_MIN = 1_000_000_000
_CREATED_MAX = 4_102_444_800


class MalformedEvent(Rejected):
    """The body is not one unambiguous Stripe event; the message names the rule broken, never a value."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """An event as received, without its meaning. `thin` events carry no object; it must be fetched."""

    event_key: str
    event_type: str
    #: Connect: whose event this is; None for the account's own.
    account: str | None
    livemode: bool | None
    api_version: str | None
    occurred_at: datetime
    thin: bool


class _Event(msgspec.Struct, frozen=True):
    id: str
    type: str
    #: Unix seconds; RFC 3339 in thin events.
    created: int | str
    object: Literal["event", "v2.core.event"] = "event"
    livemode: bool | None = None
    account: str | None = None
    #: Where thin events name the account.
    context: str | None = None
    api_version: str | None = None


def read_envelope(body: bytes) -> Envelope:
    """Raises `MalformedEvent` for anything but one event whose every field has one meaning; nothing else, ever."""
    event = _as_event(_parse(body))
    return Envelope(
        event_key=_printable(event.id, "id"),
        event_type=_printable(event.type, "type"),
        account=_printable_or_none(event.account or event.context, "account"),
        livemode=event.livemode,
        api_version=_printable_or_none(event.api_version, "api_version"),
        occurred_at=_moment(event.created),
        thin=event.object == "v2.core.event",
    )


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


def _as_event(tree: object) -> _Event:
    try:
        return msgspec.convert(tree, _Event)
    except msgspec.ValidationError:
        raise MalformedEvent("the body is not an event") from None


def _printable(value: str, field: str) -> str:
    """PostgreSQL's text holds no NUL, log lines no line feeds, and no key of Stripe's either of them."""
    if not value or len(value) > KEY_LENGTH_MAX or not value.isprintable():
        raise MalformedEvent("empty, too long or not printable", field)
    return value


def _printable_or_none(value: str | None, field: str) -> str | None:
    return None if value is None else _printable(value, field)


def _moment(created: int | str) -> datetime:
    if isinstance(created, int):
        if not _CREATED_MIN <= created <= _CREATED_MAX:
            _refuse_moment()
        return datetime.fromtimestamp(created, UTC)
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,18}(Z|[+-][0-9]{2}:[0-9]{2})", created):
        _refuse_moment()
    try:
        moment = datetime.fromisoformat(created).astimezone(UTC)
    except (ValueError, OverflowError):
        _refuse_moment()
    if not _CREATED_MIN <= moment.timestamp() <= _CREATED_MAX:
        _refuse_moment()
    return moment


def _refuse_moment() -> NoReturn:
    raise MalformedEvent("not a time in this century", "created")
