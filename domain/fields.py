"""The fields a rule can read: what kind of value each holds, whose it is, and at which trigger events it exists.

`Facts` are the values themselves, as of one moment. An absent *value* (a partner without a group) is Known(None);
an absent *object* (a line without a product) is Unknown, with the reason, for all of its fields.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from enum import StrEnum


class TriggerEvent(StrEnum):
    """What a trigger waits for."""

    #: A paid invoice or a posted transaction was recorded with an amount.
    TRANSACTION_CREATED = "transaction_created"
    #: A customer has a product it did not have before.
    PRODUCT_CREATED = "product_created"
    #: A customer's product moved between none, Trial, Active and Churned.
    PRODUCT_STATUS_CHANGED = "product_status_changed"
    #: A customer was seen for the first time.
    CUSTOMER_CREATED = "customer_created"
    #: A partner joined the program.
    PARTNER_JOINED = "partner_joined"


class Kind(StrEnum):
    """What sort of value a field holds; it decides which operators fit."""

    #: A text, compared exactly and case-sensitively.
    TEXT = "text"
    #: A set of texts: a partner's tags.
    TEXT_SET = "set of texts"
    #: A whole number.
    INTEGER = "whole number"
    #: `domain.money.Money`.
    MONEY = "amount"
    #: An aware UTC datetime.
    DATE = "date"
    #: The time since a date field of the same object, as of the moment judged.
    AGE = "age"
    #: `domain.facts.ProductStatus`.
    STATUS = "status"


class Letters(StrEnum):
    """How the facts spell a text; a rule may write it either way and is brought into this form when it is read."""

    AS_WRITTEN = "as written"
    LOWER = "lower case"
    UPPER = "upper case"


@dataclass(frozen=True, slots=True)
class Field:
    """One field. `name` is what a rule writes; `item` is where the facts of the object keep it."""

    name: str
    object: str
    item: str
    kind: Kind
    letters: Letters = Letters.AS_WRITTEN
    #: Set for a metadata field: the key inside the object's metadata.
    metadata_key: str | None = None


_EVERY_OBJECT = ("product", "line", "transaction", "customer", "partner")

#: The objects that exist when an event happens.
OBJECTS_OF: Mapping[TriggerEvent, tuple[str, ...]] = {
    TriggerEvent.TRANSACTION_CREATED: _EVERY_OBJECT,
    TriggerEvent.PRODUCT_CREATED: ("product", "customer", "partner"),
    TriggerEvent.PRODUCT_STATUS_CHANGED: ("product", "customer", "partner"),
    TriggerEvent.CUSTOMER_CREATED: ("customer", "partner"),
    TriggerEvent.PARTNER_JOINED: ("partner",),
}

#: A rule that reads one of these is judged once per line.
PER_LINE_OBJECTS = frozenset({"product", "line"})

#: Objects whose `<object>.metadata.<key>` can be read, as texts.
METADATA_OBJECTS = ("transaction", "customer", "partner")


def _field(name: str, kind: Kind, letters: Letters = Letters.AS_WRITTEN, item: str | None = None) -> Field:
    owner, _, own_name = name.partition(".")
    return Field(name, owner, item or own_name, kind, letters)


#: Every field but metadata, by name.
FIELDS: Mapping[str, Field] = {
    field.name: field
    for field in (
        _field("product.name", Kind.TEXT),
        _field("product.key", Kind.TEXT),
        _field("product.status", Kind.STATUS),
        _field("product.created", Kind.DATE),
        _field("product.amount", Kind.MONEY),
        _field("product.quantity", Kind.INTEGER),
        _field("line.amount", Kind.MONEY),
        _field("line.quantity", Kind.INTEGER),
        _field("transaction.amount", Kind.MONEY),
        _field("transaction.currency", Kind.TEXT, Letters.LOWER),
        _field("transaction.created", Kind.DATE),
        _field("transaction.number", Kind.INTEGER),
        _field("customer.created", Kind.DATE),
        _field("customer.age", Kind.AGE, item="created"),
        _field("customer.email_domain", Kind.TEXT, Letters.LOWER),
        _field("customer.country", Kind.TEXT, Letters.UPPER),
        _field("customer.transactions", Kind.INTEGER),
        _field("customer.revenue", Kind.MONEY),
        _field("partner.key", Kind.TEXT),
        _field("partner.group", Kind.TEXT),
        _field("partner.tags", Kind.TEXT_SET),
        _field("partner.joined", Kind.DATE),
        _field("partner.age", Kind.AGE, item="joined"),
        _field("partner.country", Kind.TEXT, Letters.UPPER),
    )
}


def find_field(name: str) -> Field | None:
    """The field a rule names, `customer.metadata.<key>` and its like included; None if there is none."""
    known = FIELDS.get(name)
    if known is not None:
        return known
    owner, _, rest = name.partition(".")
    prefix, _, key = rest.partition(".")
    if owner not in METADATA_OBJECTS or prefix != "metadata" or not key.strip():
        return None
    return Field(name, owner, "metadata", Kind.TEXT, metadata_key=key)


def field_names() -> list[str]:
    """Every name a rule may write, metadata as a pattern, for messages and for the screen."""
    return [*sorted(FIELDS), *(f"{owner}.metadata.<key>" for owner in METADATA_OBJECTS)]


@dataclass(frozen=True, slots=True)
class Known:
    """A fact that could be looked up; a value of None means it is not set."""

    value: object


@dataclass(frozen=True, slots=True)
class Unknown:
    """There is no object to ask, and why: `no product matches subscription "sub_1"`."""

    reason: str


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a rule can read, as of one moment.

    `objects` maps an object's name (`product`, `line`, `transaction`, `customer`, `partner`) to its values by item
    name (`{"name": "Inbox", "amount": Money(9900, "usd")}`), or to Unknown. Values are: text `str`; set of texts
    any set of `str`; whole number `int`; amount `Money`; date an aware datetime; status `ProductStatus`; `metadata`
    a mapping of texts. An item left out or None is not set, an object left out is Unknown. An age is worked out
    from its date. `customer.revenue` is in the transaction's currency. Currencies and e-mail domains are in lower
    case, countries in upper case.
    """

    objects: Mapping[str, Mapping[str, object] | Unknown]
    #: The moment judged: aware, UTC. For a transaction its `occurred_at`.
    as_of: datetime
    #: The program's time zone, for calendar periods.
    zone: tzinfo

    def with_objects(self, **objects: Mapping[str, object] | Unknown) -> "Facts":
        """The same facts with these objects added or replaced: one line's, on top of its transaction's."""
        return replace(self, objects={**self.objects, **objects})

    def value(self, name: str) -> Known | Unknown:
        """The value of a field, an age as a timedelta. Raises KeyError for a field that does not exist."""
        field = find_field(name)
        if field is None:
            raise KeyError(name)
        found = self.raw(field)
        if isinstance(found, Unknown):
            return found
        if field.kind is Kind.AGE and isinstance(found, datetime):
            return Known(self.as_of - found)
        return Known(found)

    def raw(self, field: Field) -> object:
        """What the object keeps for a field: its value, None if not set, Unknown if there is no such object."""
        found = self.objects.get(field.object)
        if found is None:
            return Unknown(f"there is no {field.object} here")
        if isinstance(found, Unknown):
            return found
        value = found.get(field.item)
        if field.metadata_key is not None:
            return metadata_text(value, field.metadata_key)
        return value


def metadata_text(metadata: object, key: str) -> str | None:
    """A metadata value as a text; numbers as they are written, anything that has no such form is not set."""
    value = metadata.get(key) if isinstance(metadata, Mapping) else None
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | str) else None
