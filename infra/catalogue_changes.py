"""Record what providers' catalogues say of products and prices: entries that follow them take name and description.

A change of the program like a person's: it waits until nobody judges, makes versions, and asks for judging again
whatever it can affect.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from domain.catalogue import EntryName, placeholder
from domain.catalogue_descriptions import Followed, first_difference, followed
from domain.facts import CatalogueEvent, PriceDescribed, ProductDescribed
from domain.known import BEGINNING
from infra import tables
from infra.ledger.changes import add_entries
from infra.ledger.shapes import described_of, described_row
from infra.locks import own_program
from infra.program import names_in_time
from infra.program_changes import Rejudge, program_changed
from infra.rows import as_json, fetch, insert_rows

#: (provider, the provider's product id)
ProductKey = tuple[str, str]


def record_catalogue(connection: Connection, events: Sequence[CatalogueEvent], now: datetime) -> dict[ProductKey, str]:
    """Record descriptions in one set; the product book entry of every product they name.

    Hold `infra.locks.own_program`. Telling it again, or in another order, ends in the same book.
    """
    causes = {(e.provider, e.product_key): f"{e.provider}:{e.source.event_key}" for e in reversed(events)}
    told = [event for event in events if isinstance(event, ProductDescribed)]
    rows = {(e.provider, e.product_key, e.source.event_key): described_row(e) for e in told}
    insert_rows(connection, tables.product_descriptions, list(rows.values()), replace=True)
    changed = _Changed()
    entries = _entries(connection, causes, changed)
    _follow(connection, entries, changed)
    _file_prices(connection, [e for e in events if isinstance(e, PriceDescribed)], entries, changed)
    changed.announce(connection, {entry.key: causes[place] for place, entry in entries.items()}, now)
    return {place: entry.key for place, entry in entries.items()}


def follow_provider(connection: Connection, provider: str, product_key: str, *, follow: bool, now: datetime) -> None:
    """From now on let a product's entry be called what the provider's catalogue says, or no longer."""
    own_program(connection)
    connection.execute(
        text("""
            update product_book set needs_review = false, follows_provider_from =
                case when :follow then coalesce(follows_provider_from, cast(:now as timestamptz)) end
            where external_key = :key
        """),
        {"key": product_key, "follow": follow, "now": now},
    )
    changed = _Changed()
    entries = _found(connection, [(provider, product_key)])
    _follow(connection, entries, changed)
    changed.announce(connection, {entry.key: f"followed {now.isoformat()}" for entry in entries.values()}, now)


class _Changed:
    """What readers of the book must read again, and from when on what was sold must be judged again."""

    def __init__(self) -> None:
        self.anything = False
        self.since: dict[str, datetime] = {}

    def note(self, entry_key: str, since: datetime) -> None:
        self.anything = True
        self.since[entry_key] = min(since, self.since.get(entry_key, since))

    def announce(self, connection: Connection, causes: Mapping[str, str], now: datetime) -> None:
        for key, since in sorted(self.since.items()):
            work = Rejudge("product_book", key, None if since == BEGINNING else since)
            program_changed(connection, work, causes[key], now)
        if self.anything and not self.since:
            connection.execute(text("update program_revision set revision = revision + 1"))


@dataclass(frozen=True, slots=True)
class _BookEntry:
    """An entry as far as following the provider concerns it."""

    key: str
    external_key: str | None
    description: str | None
    archived: bool
    #: None: it keeps what a person said.
    follows_from: datetime | None


def _entries(connection: Connection, products: Iterable[ProductKey], changed: _Changed) -> dict[ProductKey, _BookEntry]:
    """The entry of each product; one that the book lacks is made, to be reviewed."""
    found = _found(connection, products)
    missing = [place for place in products if place not in found]
    if missing:
        add_entries(connection, [placeholder(*place) for place in sorted(missing)])
        changed.anything = True
        found |= _found(connection, missing)
    return found


def _found(connection: Connection, products: Iterable[ProductKey]) -> dict[ProductKey, _BookEntry]:
    rows = fetch(
        connection,
        """
        select w.provider, w.product_key, b.* from json_to_recordset(cast(:wanted as json))
            as w(provider text, product_key text)
        left join product_book_aliases a on a.alias = w.product_key
        join product_book b on b.key = coalesce(a.key, (select key from product_book where external_key = w.product_key))
        """,  # noqa: E501
        wanted=as_json({"provider": provider, "product_key": key} for provider, key in products),
    )
    return {(row.provider, row.product_key): _book_entry(row) for row in rows}


def _book_entry(row: Any) -> _BookEntry:
    follows_from = BEGINNING if row.needs_review else row.follows_provider_from
    return _BookEntry(row.key, row.external_key, row.description, row.archived, follows_from)


def _follow(connection: Connection, entries: Mapping[ProductKey, _BookEntry], changed: _Changed) -> None:
    # Of several products filed under one entry, the one it is named after speaks for it.
    following = {
        place: entry
        for place, entry in entries.items()
        if entry.follows_from is not None and entry.external_key == place[1]
    }
    said = _said(connection, following)
    versions = _versions(connection, {entry.key for entry in following.values()})
    names, details = [], []
    for place, entry in following.items():
        own = names_in_time(versions[entry.key])
        now_called = followed(own, said.get(place, ()), entry.follows_from or BEGINNING)
        if now_called is None:
            continue
        if (since := first_difference(own, now_called.names)) is not None:
            names += _name_rows(entry.key, now_called.names, len(versions[entry.key]))
            changed.note(entry.key, since)
        if (entry.description, entry.archived) != (now_called.description, now_called.archived):
            details.append(_details(entry, now_called))
    insert_rows(connection, tables.product_book_names, names)
    if details:
        connection.execute(
            text("""
                update product_book b set description = d.description, archived = d.archived
                from json_to_recordset(cast(:details as json)) as d(key text, description text, archived boolean)
                where b.key = d.key
            """),
            {"details": as_json(details)},
        )


def _said(connection: Connection, products: Iterable[ProductKey]) -> dict[ProductKey, list[ProductDescribed]]:
    rows = fetch(
        connection,
        """
        select d.* from json_to_recordset(cast(:wanted as json)) as w(provider text, product_key text)
        join product_descriptions d using (provider, product_key)
        """,
        wanted=as_json({"provider": provider, "product_key": key} for provider, key in products),
    )
    said: dict[ProductKey, list[ProductDescribed]] = {}
    for row in rows:
        said.setdefault((row.provider, row.product_key), []).append(described_of(row))
    return said


def _versions(connection: Connection, keys: Iterable[str]) -> dict[str, list[EntryName]]:
    rows = fetch(
        connection, "select * from product_book_names where key = any(:keys) order by key, version", keys=sorted(keys)
    )
    found: dict[str, list[EntryName]] = {}
    for row in rows:
        found.setdefault(row.key, []).append(EntryName(row.effective_from, row.name))
    return found


def _name_rows(key: str, names: Sequence[EntryName], versions_count: int) -> list[dict[str, Any]]:
    """The whole history once more: its first version replaces all that was there, and none is ever edited."""
    return [
        {"key": key, "version": number, "effective_from": name.effective_from, "name": name.name}
        for number, name in enumerate(names, versions_count + 1)
    ]


def _details(entry: _BookEntry, said: Followed) -> dict[str, Any]:
    return {"key": entry.key, "description": said.description, "archived": said.archived}


def _file_prices(
    connection: Connection,
    prices: Sequence[PriceDescribed],
    entries: Mapping[ProductKey, _BookEntry],
    changed: _Changed,
) -> None:
    """Each price's id leads to its product's entry from now on.

    An entry that was made for the price alone, because it was sold before anybody said of which product it is, is
    put away. One that a person has named stays, and so does the price's place in it.
    """
    wanted = {price.price_key: entries[(price.provider, price.product_key)].key for price in prices}
    known = fetch(
        connection,
        """
        select w.price, a.key as filed, b.key as named, b.needs_review
        from unnest(cast(:prices as text[])) as w(price)
        left join product_book_aliases a on a.alias = w.price
        left join product_book b on b.external_key = w.price
        """,
        prices=sorted(wanted),
    )
    free = [row for row in known if row.filed is None and (row.named is None or row.needs_review)]
    free = [row for row in free if row.named != wanted[row.price]]
    insert_rows(
        connection, tables.product_book_aliases, [{"alias": row.price, "key": wanted[row.price]} for row in free]
    )
    changed.anything |= bool(free)
    superseded = [row for row in free if row.named is not None]
    for row in superseded:
        changed.note(wanted[row.price], BEGINNING)
    connection.execute(
        text("update product_book set archived = true, needs_review = false where key = any(:keys)"),
        {"keys": sorted({row.named for row in superseded})},
    )


def entry_keys(events: Iterable[CatalogueEvent], entries: Mapping[ProductKey, str]) -> list[str]:
    """The entries that these events are about, for the inbox to show."""
    return sorted({entries[(e.provider, e.product_key)] for e in events})
