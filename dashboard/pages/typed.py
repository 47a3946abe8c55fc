"""What people type and the API takes otherwise: amounts with decimals, days and moments of the program's zone."""

import re
from datetime import date, datetime, time, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator

from domain.errors import Rejected
from domain.money import exponent
from domain.windows import MOMENT_MS_MAX, epoch_ms

_AMOUNT = re.compile(r"([0-9]+)(?:\.([0-9]+))?", re.ASCII)
_DIGITS_MAX = 16


def day_starts(day: date, zone: ZoneInfo) -> int:
    """Its first moment, in epoch milliseconds; days beyond what moments there are become the first or last of them."""
    return min(max(epoch_ms(datetime.combine(day, time(), zone)), 0), MOMENT_MS_MAX)


def day_of(text: str, field: str) -> date:
    """A day as date fields send it. Raises Rejected."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Rejected("must be a day, such as 2026-01-31", field) from None


def _day(value: object) -> object:
    """As pydantic asks: its own sentence about dates speaks of what a date field never sends."""
    try:
        return day_of(value, "day") if isinstance(value, str) else value
    except Rejected as error:
        raise ValueError(str(error)) from None


Day = Annotated[date, BeforeValidator(_day)]


class Days(BaseModel):
    """Filters of a list whose items have a day; both days are of the program's zone, and included."""

    since: Day | None = None
    until: Day | None = None


def in_days(filters: Days, zone: ZoneInfo) -> dict[str, int]:
    """The same as bounds that the API takes."""
    bounds = {}
    if filters.since is not None:
        bounds["min_created"] = day_starts(filters.since, zone)
    if filters.until is not None and filters.until < date.max:
        bounds["max_created"] = day_starts(filters.until + timedelta(days=1), zone) - 1
    return bounds


def moment_of(text: str, zone: ZoneInfo, field: str) -> int:
    """A moment as fields of day and time send it, in epoch milliseconds. Raises Rejected."""
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        raise Rejected("must be a day and a time, such as 2026-01-31T16:30", field) from None
    return epoch_ms(read if read.tzinfo is not None else read.replace(tzinfo=zone))


def number_of(text: str) -> int | str:
    """A whole number, or the text itself where it is none: the API says what is wrong with it."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _DIGITS_MAX else text


def typed_amount(amount_minor: int | None, currency: str | None) -> str:
    """An amount as people type it and `amount_of` reads it; nothing of none."""
    if amount_minor is None or currency is None:
        return ""
    places = exponent(currency)
    units, fraction = divmod(amount_minor, 10**places)
    return f"{units}.{fraction:0{places}d}" if places else str(units)


def amount_of(text: str, currency: str, field: str) -> int:
    """An amount in minor units. Commas, and more decimals than the currency has, are refused. Raises Rejected."""
    places = exponent(currency)
    found = _AMOUNT.fullmatch(text)
    if found is None or len(found[2] or "") > places or len(found[1]) > _DIGITS_MAX:
        example = f"such as 1234.{'5'.ljust(places, '0')}" if places else "such as 1234"
        decimals = f"at most {places} decimals after a point" if places else "no decimals"
        where = f" in {currency.upper()}" if currency else ""
        raise Rejected(f"must be a plain number, {example}: no commas, {decimals}{where}", field)
    return int(found[1] + (found[2] or "").ljust(places, "0"))
