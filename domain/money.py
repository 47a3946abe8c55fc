"""Money is an integer in the currency's minor unit; a percentage is an exact decimal. No float comes near either.

Everything here loses nothing: the parts of a split always add up to the whole, and rounding happens once.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from domain.errors import Rejected

#: ISO 4217 currencies whose minor unit is not a hundredth.
_EXPONENTS: dict[str, int] = {
    **dict.fromkeys(
        (
            "bif",
            "clp",
            "djf",
            "gnf",
            "isk",
            "jpy",
            "kmf",
            "krw",
            "pyg",
            "rwf",
            "ugx",
            "uyi",
            "vnd",
            "vuv",
            "xaf",
        )
        + ("xof", "xpf"),
        0,
    ),
    **dict.fromkeys(("bhd", "iqd", "jod", "kwd", "lyd", "omr", "tnd"), 3),
    **dict.fromkeys(("clf", "uyw"), 4),
}

_PERCENT = re.compile(r"[0-9]{1,3}(\.[0-9]{1,4})?", re.ASCII)
_CURRENCY = re.compile(r"[a-z]{3}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Money:
    """An amount together with its currency (three letters, lower case)."""

    amount_minor: int
    currency: str

    def __str__(self) -> str:
        return format_money(self.amount_minor, self.currency)


def split_proportionally(total: int, weights: Sequence[int]) -> list[int]:
    """Split `total` over `weights` by largest remainder; the parts always add up to `total`.

    Ties go to the earlier part. A negative total mirrors the positive one, a zero weight gets nothing, and
    weights that are all zero leave everything on the first. Weights are zero or positive; without any, only a
    total of zero can be split.
    """
    if any(weight < 0 for weight in weights):
        raise ValueError("a weight cannot be negative")
    if not weights:
        if total:
            raise ValueError("nothing to split the amount over")
        return []
    whole = sum(weights)
    if whole == 0:
        return [total, *[0] * (len(weights) - 1)]
    sign = -1 if total < 0 else 1
    shares = [divmod(abs(total) * weight, whole) for weight in weights]
    left = abs(total) - sum(part for part, _ in shares)
    first_served = sorted(range(len(shares)), key=lambda index: (-shares[index][1], index))[:left]
    raised = set(first_served)
    return [sign * (part + (index in raised)) for index, (part, _) in enumerate(shares)]


def split_evenly(total: int, parts: int) -> list[int]:
    """Split `total` into `parts` that differ by at most one minor unit, the larger (in size) first."""
    if parts < 1:
        raise ValueError("an amount is split into one part or more")
    return split_proportionally(total, [1] * parts)


def percent_of(amount_minor: int, percent: Decimal) -> int:
    """`percent` per cent of an amount, rounded half to even once; exact for any magnitude and either sign."""
    numerator, denominator = percent.as_integer_ratio()
    return _divide_half_to_even(amount_minor * numerator, denominator * 100)


def share_of(amount_minor: int, part: int, whole: int) -> int:
    """`part` out of a positive `whole` of an amount, rounded half to even once."""
    return _divide_half_to_even(amount_minor * part, whole)


def exponent(currency: str) -> int:
    """How many decimals the currency's minor unit stands for (ISO 4217); 2 for a currency not listed."""
    return _EXPONENTS.get(currency.lower(), 2)


def format_money(amount_minor: int, currency: str) -> str:
    """`4.90 USD`, `-1,234 JPY`, `1,000.000 KWD`: for people, never to be read back."""
    places = exponent(currency)
    units, fraction = divmod(abs(amount_minor), 10**places)
    sign = "-" if amount_minor < 0 else ""
    decimals = f".{fraction:0{places}d}" if places else ""
    return f"{sign}{units:,}{decimals} {currency.upper()}"


def parse_percent(text: object, field: str = "percent") -> Decimal:
    """A percentage written as a decimal string such as `12.5`: more than 0, at most 100, up to four places.

    Over 100 is refused: paying out more than was paid is a slip of the decimal point, not an offer. Raises
    Rejected naming `field`.
    """
    if not isinstance(text, str) or not _PERCENT.fullmatch(text):
        raise Rejected('must be a decimal string of up to 4 places, such as "12.5"', field)
    percent = Decimal(text)
    if not 0 < percent <= 100:
        raise Rejected("must be more than 0 and at most 100", field)
    return percent


def parse_currency(text: object, field: str = "currency") -> str:
    """A three-letter currency code, any capitals, as its lower-case form. Raises Rejected naming `field`."""
    code = text.lower() if isinstance(text, str) else ""
    if not _CURRENCY.fullmatch(code):
        raise Rejected('must be a three-letter currency code, such as "usd"', field)
    return code


def _divide_half_to_even(numerator: int, denominator: int) -> int:
    """The quotient of integers, half to even; `denominator` is positive."""
    floor, rest = divmod(numerator, denominator)
    twice = 2 * rest
    if twice > denominator or (twice == denominator and floor % 2):
        return floor + 1
    return floor
