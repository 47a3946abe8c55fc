"""What every translator of Stripe's objects needs: the object of an event, and its fields as the facts want them."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final, TypeVar

from domain.errors import Unreadable
from domain.facts import BillingEvent, CatalogueEvent, Missing, NotUsed, Source
from infra.providers.stripe import shapes

PROVIDER: Final = "stripe"

#: The lifecycle rank of an event that ends what it is about.
ENDED_RANK: Final = 2
AMOUNT_MAX: Final = 10**15

ObjectT = TypeVar("ObjectT")

Translation = tuple[BillingEvent, ...] | tuple[CatalogueEvent, ...] | NotUsed | Missing
#: (exact body without NUL, source) -> facts. Raises Unreadable, or msgspec's own errors.
Translator = Callable[[bytes, Source], Translation]


def change_of(event: shapes.Event[ObjectT]) -> shapes.Change[ObjectT]:
    """The object of an event, and what was there before it."""
    if event.data is None:
        raise Unreadable("Object missing required field `data` - at `$`")
    return event.data


def expect_object(found: str, expected: str) -> None:
    """Raise Unreadable where the event carries another kind of object than its type promises."""
    if found != expected:
        raise Unreadable(f"Expected object `{expected}` - at `$.data.object.object`")


def currency_of(code: str) -> str:
    """A currency in lower case."""
    if not (code.isascii() and code.isalpha()):
        raise Unreadable("Impossible currency - at `$.data.object`")
    return code.lower()


def text_of(value: str | None) -> str | None:
    """Text without blanks around it; None for nothing but blanks."""
    return (value.strip() or None) if value else None


def metadata_of(found: Mapping[str, str] | None) -> Mapping[str, str] | None:
    """Metadata without its blank values; None where the object has no metadata at all."""
    if found is None:
        return None
    return {key: value for key, value in found.items() if value.strip()}


def present(metadata: Mapping[str, str] | None, key: str) -> str | None:
    """What metadata says under a key, unless that is blank."""
    return text_of(metadata.get(key)) if metadata else None


def moment_of(second: int) -> datetime:
    """Unix seconds as a moment."""
    return datetime.fromtimestamp(second, UTC)


def within(amount_minor: int, path: str) -> int:
    """The amount, unless adding up made it impossible."""
    if abs(amount_minor) > AMOUNT_MAX:
        raise Unreadable(f"Impossible amount - at `{path}`")
    return amount_minor


def id_of(named: shapes.Expandable) -> str | None:
    """The id, whether or not somebody expanded the object."""
    return named.id if isinstance(named, shapes.Identified) else named


def present_keys(*keys: str | None) -> tuple[str, ...]:
    """Those that are there."""
    return tuple(key for key in keys if key is not None)
