"""What every translator of Chargebee's resources needs: the event they came in, and fields as the facts want them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from domain.errors import Unreadable
from domain.facts import Source
from infra.providers.chargebee import shapes

PROVIDER: Final = "chargebee"
AMOUNT_MAX: Final = 10**15

_RANKS: Final = {"created": 0, "deleted": 2}
#: How far a version may lie after the event that shows it: clocks differ, and events are dated in whole seconds.
_LATER_MAX: Final = timedelta(minutes=1)
_CUSTOM: Final = "cf_"

_fields: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True, slots=True)
class Told:
    """The event that the resources came in."""

    event_key: str
    event_type: str
    occurred_at: datetime

    def source(self, resource: shapes.Resource) -> Source:
        """Orders what is told of one resource: the higher version wins, whenever it was told.

        The version is the millisecond of the change it shows, so it also says since when that has been so. Where it
        is missing, or impossible, the event's own time stands in for it.
        """
        version = resource.resource_version
        if not version:
            version = round(self.occurred_at.timestamp() * 1000)
        since = datetime.fromtimestamp(version / 1000, UTC)
        rank = _RANKS.get(self.event_type.rpartition("_")[2], 1)
        known_since = since if since <= self.occurred_at + _LATER_MAX else self.occurred_at
        return Source(version, known_since, rank, self.event_key)


def currency_of(code: str) -> str:
    """A currency in lower case."""
    if not (code.isascii() and code.isalpha()):
        raise Unreadable("Impossible currency - at `$.content`")
    return code.lower()


def text_of(value: str | None) -> str | None:
    """Text without blanks around it; None for nothing but blanks."""
    return (value.strip() or None) if value else None


def moment_of(second: int) -> datetime:
    """Unix seconds as a moment."""
    return datetime.fromtimestamp(second, UTC)


def within(amount_minor: int, path: str) -> int:
    """The amount, unless adding up made it impossible."""
    if abs(amount_minor) > AMOUNT_MAX:
        raise Unreadable(f"Impossible amount - at `{path}`")
    return amount_minor


def named(status: str) -> str:
    """A status as it may stand in a reason."""
    return status if re.fullmatch(r"[a-z_]{1,40}", status) else "an unprintable one"


def metadata_of(meta_data: object, raw: msgspec.Raw) -> Mapping[str, str] | None:
    """What the company attached to a resource: `meta_data`, and its custom fields under their own names (`cf_...`).

    Values that are lists or objects are left out, blank ones too; None where nothing is attached at all.
    """
    attached = meta_data if isinstance(meta_data, dict) else {}
    # A custom field's name may be escaped no more than any other: then it is not seen, which costs a field.
    if b'"cf_' in memoryview(raw).tobytes():
        custom = {key: value for key, value in _fields.decode(raw).items() if key.startswith(_CUSTOM)}
        attached = {key: msgspec.json.decode(value) for key, value in custom.items()} | attached
    if not attached and meta_data is None:
        return None
    plain = {key: _plain(value) for key, value in attached.items()}
    return {key: value for key, value in plain.items() if value is not None}


def _plain(value: object) -> str | None:
    match value:
        case str():
            return text_of(value)
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
    return None


def present(metadata: Mapping[str, str] | None, *keys: str) -> str | None:
    """What is attached under the first of these keys, else under the custom field of that name."""
    if not metadata:
        return None
    names = [*keys, *(_CUSTOM + key for key in keys)]
    return next((found for name in names if (found := metadata.get(name))), None)
