"""What one cell may hold, and how it is written. Every reader raises ValueError saying what is allowed instead.

A time that a spreadsheet gave a point (1720622562.0) is read, one that it rounded (1.72E+12) is refused. So is an
amount with a point: 99.00 would be 99 minor units to one reader and 9,900 to another.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from domain.errors import Rejected
from domain.money import parse_currency
from domain.problems import UNSTORABLE, is_storable, quoted
from domain.windows import MOMENT_MS_MAX
from infra.rows import as_json

#: What a spreadsheet takes for the beginning of a formula.
_RUNS = ("=", "+", "-", "@", "\t", "\r")
_LIST_SEPARATOR = "|"
_LIST_MAX = 1_000
_NUMBER = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_EPOCH = re.compile(r"([0-9]{1,18})(\.0*)?", re.ASCII)
_ROUNDED = re.compile(r"-?[0-9]+(\.[0-9]+)?[eE]\+?[0-9]+", re.ASCII)
_WAS_ROUNDED = "{} was rounded by a spreadsheet; format the column as a number or text"
_EMAIL = re.compile(r"[^@\s\x00]+@[^@\s\x00]+", re.ASCII)
_COUNTRY = re.compile(r"[A-Z]{2}", re.ASCII)
#: Seconds reach this in the year 5138, milliseconds did in 1973.
_MILLISECONDS_FROM = 10**11
_AMOUNT_MAX = 10**15


class Unsaid:
    """What an empty cell says where nothing can be cleared: nothing."""


UNSAID = Unsaid()


@dataclass(frozen=True, slots=True)
class Column:
    """A column that a file may have."""

    name: str
    read: Callable[[str], Any]
    #: A file without it, or a row with an empty cell in it, is refused.
    required: bool = False
    #: What an empty cell means.
    empty: Any = None


def text_of(length_max: int) -> Callable[[str], str]:
    """Reads texts up to a length."""

    def read(cell: str) -> str:
        if len(cell) > length_max:
            raise ValueError(f"has {len(cell)} characters; at most {length_max} are allowed")
        if not is_storable(cell):
            raise ValueError(UNSTORABLE)
        return cell

    return read


key = text_of(255)
short_text = text_of(200)
long_text = text_of(2_000)


def email(cell: str) -> str:
    """An address of somebody."""
    if len(cell) > 320 or not _EMAIL.fullmatch(cell):
        raise ValueError(f"{quoted(cell)} is not an e-mail address")
    return key(cell)


def country(cell: str) -> str:
    """ISO 3166, two letters, upper case."""
    if not _COUNTRY.fullmatch(cell):
        raise ValueError(f"{quoted(cell)} is not a country of two capital letters, such as DE")
    return cell


def currency(cell: str) -> str:
    """ISO 4217, in lower case afterwards."""
    try:
        return parse_currency(cell)
    except Rejected as error:
        raise ValueError(str(error)) from None


def flag(cell: str) -> bool:
    """True or false, in any capitals."""
    if cell.lower() not in ("true", "false"):
        raise ValueError(f"{quoted(cell)} is neither true nor false")
    return cell.lower() == "true"


def one_of(*allowed: str) -> Callable[[str], str]:
    """Reads one of a few words."""

    def read(cell: str) -> str:
        if cell not in allowed:
            raise ValueError(f"{quoted(cell)} is none of {', '.join(allowed)}")
        return cell

    return read


def number(cell: str) -> int:
    """A whole number."""
    if _ROUNDED.fullmatch(cell):
        raise ValueError(_WAS_ROUNDED.format(quoted(cell)))
    if not _NUMBER.fullmatch(cell):
        raise ValueError(f"{quoted(cell)} is not a whole number")
    return int(cell)


def positive(cell: str) -> int:
    """A whole number from 1."""
    found = number(cell)
    if not 1 <= found <= 10**9:
        raise ValueError(f"{quoted(cell)} is not a number from 1 to a thousand million")
    return found


def own_key(cell: str) -> str:
    """A key of 4 characters or more."""
    if len(cell) < 4:
        raise ValueError(f"{quoted(cell)} is too short; a key has 4 to 255 characters")
    return key(cell)


def amount(cell: str) -> int:
    """Minor units: 4.90 USD is 490."""
    try:
        found = number(cell)
    except ValueError as error:
        raise ValueError(f"{error}; amounts are in minor units, so 4.90 USD is 490") from None
    if abs(found) > _AMOUNT_MAX:
        raise ValueError(f"{quoted(cell)} is more than any amount")
    return found


def listed(cell: str) -> list[str]:
    """Keys with | between them."""
    found = [each.strip() for each in cell.split(_LIST_SEPARATOR)]
    if len(found) > _LIST_MAX:
        raise ValueError(f"lists {len(found)}; at most {_LIST_MAX} are allowed")
    if not all(found):
        raise ValueError(f"lists nothing between two {_LIST_SEPARATOR}")
    return [key(each) for each in found]


def moment_in(zone: tzinfo) -> Callable[[str], datetime]:
    """Reads `2026-03-01T12:00:00Z`, `2026-03-01` (its midnight in `zone`), and epoch seconds or milliseconds."""

    def read(cell: str) -> datetime:
        if (count := _EPOCH.fullmatch(cell)) is not None:
            return _epoch(int(count[1]))
        if _ROUNDED.fullmatch(cell):
            raise ValueError(_WAS_ROUNDED.format(quoted(cell)))
        try:
            found = datetime.fromisoformat(cell)
        except ValueError:
            raise ValueError(f"{quoted(cell)} is not a time such as 2026-03-01T12:00:00Z or 2026-03-01") from None
        if found.tzinfo is None:
            found = found.replace(tzinfo=zone)
        if not 1970 <= found.year < 3000:
            raise ValueError(f"{quoted(cell)} is before 1970 or after 2999")
        return found.astimezone(UTC)

    return read


def _epoch(count: int) -> datetime:
    milliseconds = count if count >= _MILLISECONDS_FROM else count * 1000
    if milliseconds > MOMENT_MS_MAX:
        raise ValueError(f'"{count}" is no time before the year 3000')
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)


def written(value: Any) -> str:
    """A value as a cell. A text that a spreadsheet would run is given an apostrophe, which reading takes off."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="auto").replace("+00:00", "Z")
        case dict():
            return as_json([value])[1:-1]
        case list() | tuple():
            return guarded(_LIST_SEPARATOR.join(map(str, value)))
    return guarded(str(value))


def guarded(text: str) -> str:
    """The text such that no spreadsheet runs it; one that begins with our apostrophe gets another."""
    return f"'{text}" if text.lstrip("'").startswith(_RUNS) else text


def unguarded(cell: str) -> str:
    """The text that `guarded` was given."""
    return cell[1:] if cell.startswith("'") and cell.lstrip("'").startswith(_RUNS) else cell
