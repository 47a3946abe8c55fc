"""The kinds of files there are: their columns, what names the thing a row is about, and what brings a row in.

An empty cell clears what can be cleared; a column that is not there leaves alone what it would have said.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from domain import ids
from domain.customers import attribution_at
from domain.facts import COMPANY
from infra.ledger.attributions import load_attributions
from infra.program_changes import change_entry, change_partner, create_entry, create_partner
from infra.rows import fetch
from infra.sheets import cells
from infra.sheets.cells import UNSAID, Column
from infra.shown.products import products_called
from infra.stated.customers import change_customer, state_customer
from infra.stated.payers import customer_called
from infra.stated.products import change_product, entry_called, state_product
from infra.stated.telling import Telling
from infra.stated.transactions import state_transaction

Fields = Mapping[str, Any]
#: None: it is new; else the names of what changed, none where nothing did.
Changed = tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of file."""

    columns: tuple[Column, ...]
    #: Columns that name the thing together; of several such ways the first that a row fills.
    named_by: tuple[tuple[str, ...], ...]
    bring_in: Callable[[Telling, Fields], Changed]
    #: Whether there may be columns `metadata.<name>`.
    metadata: bool = False


def importable(zone: tzinfo) -> dict[str, Kind]:
    """The kinds that can be read, by name; days in them are of this time zone."""
    moment = cells.moment_in(zone)
    return {
        "product_book": Kind(_PRODUCT_BOOK, (("key",), ("external_key",), ("name",)), _entry),
        "partners": Kind((*_PARTNERS, Column("joined_at", moment, empty=UNSAID)), (("partner_key",),), _partner, True),
        "customers": Kind(
            (*_CUSTOMERS, Column("attributed_at", moment, empty=UNSAID)), (("customer_key",),), _customer, True
        ),
        "products": Kind((*_PRODUCTS, Column("created_at", moment, empty=UNSAID)), _PRODUCT_NAME, _product),
        "transactions": Kind(
            (*_TRANSACTIONS, Column("created_at", moment, required=True)), (("key",),), _transaction, True
        ),
    }


_PRODUCT_BOOK = (
    Column("key", cells.key, empty=UNSAID),
    Column("name", cells.short_text, required=True),
    Column("description", cells.long_text),
    Column("external_key", cells.key),
    Column("aliases", cells.listed, empty=list),
    Column("archived", cells.flag, empty=UNSAID),
)
_PARTNERS = (
    Column("partner_key", cells.key, required=True),
    Column("name", cells.short_text),
    Column("email", cells.email),
    Column("group", cells.short_text),
    Column("tags", cells.listed, empty=list),
    Column("country", cells.country),
)
_CUSTOMERS = (
    Column("customer_key", cells.key, required=True),
    Column("email", cells.email),
    Column("name", cells.short_text),
    Column("country", cells.country),
    Column("partner_key", cells.key, empty=UNSAID),
    Column("member_key", cells.key, empty=UNSAID),
    Column("provider_key", cells.key, empty=UNSAID),
)
_PRODUCT_NAME = (("external_subscription_key", "product_book_key"),)
_PRODUCTS = (
    Column("external_subscription_key", cells.key, required=True),
    Column("product_book_key", cells.key, required=True),
    Column("customer_key", cells.key, required=True),
    Column("status", cells.one_of("trial", "active", "churned"), empty=UNSAID),
    Column("amount", cells.amount, empty=UNSAID),
    Column("currency", cells.currency, empty=UNSAID),
    Column("quantity", cells.positive, empty=UNSAID),
    Column("partner_key", cells.key, empty=UNSAID),
    Column("member_key", cells.key, empty=UNSAID),
)
_TRANSACTIONS = (
    Column("key", cells.own_key, required=True),
    Column("customer_key", cells.key, required=True),
    Column("amount", cells.amount, required=True),
    Column("currency", cells.currency, required=True),
    Column("subscription_key", cells.key, empty=UNSAID),
    Column("product_book_key", cells.key, empty=UNSAID),
    Column("quantity", cells.positive, empty=UNSAID),
)


def _without(fields: Fields, *names: str) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in names}


def _entry(telling: Telling, fields: Fields) -> Changed:
    said, key = _without(fields, "key"), fields.get("key")
    if key is None:
        external_key = fields.get("external_key")
        found = fetch(
            telling.connection,
            """
            select key from product_book where external_key = :external_key
                or key = :derived and cast(:external_key as text) is null
            """,
            external_key=external_key,
            derived=ids.derived("pbook", external_key or fields["name"]),
        )
        if not found:
            create_entry(telling.connection, said, telling.now)
            return None
        key = found[0].key
    return change_entry(telling.connection, key, said, telling.now)


def _partner(telling: Telling, fields: Fields) -> Changed:
    said, key = _without(fields, "partner_key"), fields["partner_key"]
    if fetch(telling.connection, "select from partners where partner_key = :key", key=key):
        return change_partner(telling.connection, key, said, telling.now)
    create_partner(telling.connection, key, said, telling.now)
    return None


def _customer(telling: Telling, fields: Fields) -> Changed:
    key = fields["customer_key"]
    called = customer_called(telling.connection, key)
    if called is None:
        state_customer(telling, fields)
        return None
    said = _without(fields, "customer_key")
    if _is_theirs_since(telling, called[0], said):
        said = _without(said, "partner_key", "member_key", "attributed_at")
    _, is_new = change_customer(telling, key, said)
    return tuple(said) if is_new else ()


def _is_theirs_since(telling: Telling, customer: str, said: Fields) -> bool:
    """Whether the customer is that partner's from that moment on already."""
    history = load_attributions(telling.connection, [customer], telling.program.lookback)[customer]
    current = attribution_at(history, telling.now)
    return (
        current is not None
        and "attributed_at" in said
        and (said.get("partner_key"), said["attributed_at"]) == (current.partner_key, current.effective_from)
        and said.get("member_key", current.member_key) == current.member_key
    )


def _product(telling: Telling, fields: Fields) -> Changed:
    subscription, book = fields["external_subscription_key"], telling.program.catalogue
    entry = entry_called(book, fields["product_book_key"])
    own = [
        product
        for provider, key, product in products_called(telling.connection, subscription)
        if (provider, key) == (COMPANY, subscription) and entry is not None and entry_called(book, product) == entry
    ]
    if not own:
        _, is_new = state_product(telling, fields)
        return None if is_new else ()
    said = _without(fields, "external_subscription_key", "product_book_key", "customer_key", "created_at")
    _, is_new = change_product(telling, ids.product_key_of(subscription, own[0]), said)
    return tuple(said) if is_new else ()


def _transaction(telling: Telling, fields: Fields) -> Changed:
    given = _without(fields, "product_book_key", "quantity", "subscription_key")
    line = {
        name: fields[name] for name in ("amount", "subscription_key", "product_book_key", "quantity") if name in fields
    }
    _, is_new, _ = state_transaction(telling, {**given, "lines": [line]})
    return None if is_new else ()
