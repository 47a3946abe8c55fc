"""Kinds of values that bodies and queries hold: refused by name where one does not fit."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StringConstraints,
    WithJsonSchema,
)

from domain.errors import Rejected
from domain.money import parse_currency
from domain.problems import UNSTORABLE, Problems, is_storable
from domain.windows import MOMENT_MS_MAX, parse_moment

#: PostgreSQL's bigint holds more; no amount of money does.
AMOUNT_MAX = 10**15


def _storable(value: str) -> str:
    if not is_storable(value):
        raise ValueError(UNSTORABLE)
    return value


def _as_text(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int) and abs(value) <= AMOUNT_MAX else value


def _currency(value: str) -> str:
    try:
        return parse_currency(value, "currency")
    except Rejected as error:
        raise ValueError(str(error)) from None


_EMAIL, _COUNTRY, _CURRENCY = r"^[^@\s\x00]+@[^@\s\x00]+$", r"^[A-Z]{2}$", r"^[A-Za-z]{3}$"
#: What each shape is called by people, who do not read patterns.
SHAPES: Mapping[str, str] = {
    _EMAIL: "must be an e-mail address, such as ada@example.com",
    _COUNTRY: "must be two letters, upper case, such as DE",
    _CURRENCY: "must be three letters, such as usd",
}

#: A key, ours or theirs, as it is.
Key = Annotated[str, StringConstraints(min_length=1, max_length=255), AfterValidator(_storable)]
#: A key that the caller chooses.
OwnKey = Annotated[str, StringConstraints(min_length=4, max_length=255), AfterValidator(_storable)]
#: A key made of two.
LongKey = Annotated[str, StringConstraints(min_length=1, max_length=600), AfterValidator(_storable)]
#: A name or another short text, without the white space around it.
ShortText = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(_storable)
]
LongText = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2_000), AfterValidator(_storable)
]
Email = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=320, pattern=_EMAIL),
    AfterValidator(_storable),
]
#: ISO 3166, two letters, upper case.
Country = Annotated[str, StringConstraints(pattern=_COUNTRY)]
Milliseconds = Annotated[StrictInt, Field(ge=0, le=MOMENT_MS_MAX, description="Epoch milliseconds.")]
#: The same in a query, where everything is text.
QueryMilliseconds = Annotated[int, Field(ge=0, le=MOMENT_MS_MAX, description="Epoch milliseconds.")]
Amount = Annotated[StrictInt, Field(ge=-AMOUNT_MAX, le=AMOUNT_MAX, description="Minor units.")]
Currency = Annotated[
    str, StringConstraints(pattern=_CURRENCY), AfterValidator(_currency), Field(description="ISO 4217.")
]
Flag = StrictBool
_NOTE_LENGTH_MAX = 500
#: A text; a whole number or a truth is kept as the text that a provider's metadata would have for it.
Note = Annotated[
    str,
    BeforeValidator(_as_text),
    StringConstraints(max_length=_NOTE_LENGTH_MAX),
    AfterValidator(_storable),
    WithJsonSchema({"type": ["string", "integer", "boolean"], "maxLength": _NOTE_LENGTH_MAX}),
]
Metadata = Annotated[
    dict[Annotated[str, StringConstraints(min_length=1, max_length=100), AfterValidator(_storable)], Note],
    Field(max_length=50, description="Numbers, true and false are kept as texts, as providers do."),
]


class Body(BaseModel):
    """A request's body: unknown fields are refused, and which were sent can be told (`sent`)."""

    model_config = ConfigDict(extra="forbid")

    def sent(self) -> dict[str, Any]:
        """The fields that were sent, null ones included, as plain values."""
        return self.model_dump(exclude_unset=True)


def moment(value: int | None, field: str) -> datetime | None:
    """A moment of epoch milliseconds."""
    problems = Problems()
    read = None if value is None else parse_moment(value, field, problems)
    problems.raise_any()
    return read
