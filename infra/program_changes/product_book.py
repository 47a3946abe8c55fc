"""Product book entries as a person sets them.

A name is history, for rules read it as of a moment; the provider ids that lead to an entry hold from the beginning
of time. Archived says only that the entry is sold no more: it still matches lines, and lists leave it out.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from domain import ids
from domain.errors import Conflict, Missing
from infra import tables
from infra.locks import own_program
from infra.program_changes.rejudging import Rejudge, program_changed
from infra.rows import fetch, insert_rows

#: What a person may set, and may leave out: `name`, `description`, `external_key`, `aliases`, `archived`.
Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SavedEntry:
    """What became of a wish to have an entry: its key, and which fields are other than they were."""

    key: str
    created: bool
    changed: tuple[str, ...]


def create_entry(connection: Connection, fields: Fields, now: datetime) -> SavedEntry:
    """A new entry; the one with its `external_key` if that waited for review or says the same already.

    Raises Conflict where a provider id leads elsewhere, or that entry says otherwise.
    """
    own_program(connection)
    external_key = fields.get("external_key")
    key = _key_by(connection, external_key) or ids.derived("pbook", external_key or fields["name"])
    known = _entry(connection, key)
    if known is None:
        _refuse_taken(connection, key, fields)
        row = {"key": key, "external_key": external_key, "needs_review": True}
        insert_rows(connection, tables.product_book, [row])
        change_entry(connection, key, fields, now)
        return SavedEntry(key, True, tuple(fields))
    different = () if known["needs_review"] else _differing(known, fields)
    if different:
        what = f"external_key {external_key}" if external_key else f"name {fields['name']}"
        raise Conflict(f"{key} has the {what} and another {different[0]}; change it with PATCH", different[0])
    return SavedEntry(key, False, change_entry(connection, key, fields, now))


def change_entry(
    connection: Connection, key: str, fields: Fields, now: datetime, effective_from: datetime | None = None
) -> tuple[str, ...]:
    """Set fields of an entry; the names of those that are other than they were. What changes nothing makes no version.

    What a person says it keeps, whatever the provider's catalogue says afterwards (but see `infra.catalogue_changes`).
    The first name a person gives holds from the beginning of time, a later one from `effective_from` or now. Raises
    Missing, or Conflict where a provider id leads to another entry.
    """
    own_program(connection)
    known = _entry(connection, key)
    if known is None:
        raise Missing(f"there is no product book entry {key}", "key")
    changed = _differing(known, fields)
    if not changed and not known["needs_review"]:
        return ()
    _refuse_taken(connection, key, fields)
    wanted = {**known, **{name: fields[name] for name in changed}}
    connection.execute(
        text("""
            update product_book set external_key = :external_key, description = :description, archived = :archived,
                needs_review = false, follows_provider_from = case when not :said then follows_provider_from end
            where key = :key
        """),
        {
            **{name: wanted[name] for name in ("external_key", "description", "archived", "key")},
            "said": known["needs_review"] or bool({"name", "description", "archived"} & set(changed)),
        },
    )
    if "aliases" in changed:
        _replace_aliases(connection, key, wanted["aliases"])
    if known["needs_review"] or {"name", "external_key", "aliases"} & set(changed):
        _add_version(connection, known, wanted, effective_from, now)
    return changed


def save_product(
    connection: Connection,
    *,
    name: str,
    external_key: str | None,
    aliases: Sequence[str] = (),
    effective_from: datetime | None = None,
    now: datetime,
) -> str:
    """Add a product book entry or rename the one with this provider id, aliases added to those it has; its key."""
    own_program(connection)
    key = _key_by(connection, external_key)
    if key is None:
        fields = {"name": name, "external_key": external_key, "aliases": list(aliases)}
        return create_entry(connection, fields, now).key
    known = _entry(connection, key)
    assert known is not None, "found by its external key"
    fields = {"name": name, "aliases": [*known["aliases"], *aliases]}
    change_entry(connection, key, fields, now, effective_from)
    return key


def _key_by(connection: Connection, external_key: str | None) -> str | None:
    found = fetch(connection, "select key from product_book where external_key = :key", key=external_key)
    return found[0].key if found else None


def _entry(connection: Connection, key: str) -> dict[str, Any] | None:
    found = fetch(
        connection,
        """
        select b.key, b.external_key, b.description, b.archived, b.needs_review, n.name, n.version,
            array(select alias from product_book_aliases a where a.key = b.key order by alias) as aliases
        from product_book b left join lateral (
            select name, version from product_book_names n where n.key = b.key order by version desc limit 1
        ) n on true where b.key = :key
        """,
        key=key,
    )
    return dict(found[0]._mapping) if found else None


def _differing(known: Mapping[str, Any], fields: Fields) -> tuple[str, ...]:
    wanted = {**fields, **({"aliases": sorted(set(fields["aliases"]))} if "aliases" in fields else {})}
    return tuple(name for name, value in wanted.items() if known[name] != value)


def _refuse_taken(connection: Connection, key: str, fields: Fields) -> None:
    named = {"external_key": [fields.get("external_key")], "aliases": fields.get("aliases", [])}
    for field, external_keys in named.items():
        for row in fetch(
            connection,
            """
            select external_key as name, key from product_book where external_key = any(:names) and key <> :key
            union all select alias, key from product_book_aliases where alias = any(:names) and key <> :key order by 1
            """,
            names=[each for each in external_keys if each is not None],
            key=key,
        ):
            raise Conflict(f'"{row.name}" leads to {row.key} already; take it from there first', field)


def _replace_aliases(connection: Connection, key: str, aliases: Iterable[str]) -> None:
    kept = sorted(set(aliases))
    connection.execute(
        text("delete from product_book_aliases where key = :key and alias <> all(:kept)"), {"key": key, "kept": kept}
    )
    insert_rows(connection, tables.product_book_aliases, [{"alias": alias, "key": key} for alias in kept])


def _add_version(
    connection: Connection,
    known: Mapping[str, Any],
    wanted: Mapping[str, Any],
    effective_from: datetime | None,
    now: datetime,
) -> None:
    since = effective_from or (None if known["needs_review"] else now)
    version = (known["version"] or 0) + 1
    row = {"key": wanted["key"], "version": version, "effective_from": since, "name": wanted["name"]}
    insert_rows(connection, tables.product_book_names, [row])
    former = {known["external_key"], *known["aliases"]} - {wanted["external_key"], *wanted["aliases"], None}
    # Provider ids hold from the beginning of time, whatever the name does.
    ids_changed = (known["external_key"], known["aliases"]) != (wanted["external_key"], sorted(set(wanted["aliases"])))
    reaches = None if ids_changed else since
    work = Rejudge("product_book", wanted["key"], reaches, former=tuple(sorted(former)))
    program_changed(connection, work, f"version {version}", now)
