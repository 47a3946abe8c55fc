"""Rows to and from the database in sets: one statement, one JSON parameter, however many rows."""

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Table, TextClause, text

_encoder = msgspec.json.Encoder()

#: A statement is taken apart once, however often it is run.
_prepared = functools.lru_cache(maxsize=1024)(text)


def as_json(rows: Iterable[object]) -> str:
    """Rows as one JSON text parameter: aware datetimes, lists and mappings included."""
    return _encoder.encode(list(rows)).decode()


def insert_rows(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], *, replace: bool = False, newer: str = ""
) -> int:
    """Insert rows by primary key; existing ones stay, or are replaced where `replace` is set. How many were written.

    All rows must have the same columns; columns they lack get their defaults. Rows are written in key order, so
    that two batches never wait for each other in a circle. `newer` narrows a replacement further (SQL on `old` and
    `excluded`).
    """
    if not rows:
        return 0
    statement = _insertion(table, tuple(rows[0]), replace, newer)
    return connection.execute(statement, {"rows": as_json(rows)}).rowcount


@functools.lru_cache(maxsize=256)
def _insertion(table: Table, columns: tuple[str, ...], replace: bool, newer: str) -> TextClause:
    key = [column.name for column in table.primary_key]
    names = ", ".join(f'"{name}"' for name in columns)
    others = [name for name in columns if name not in key]
    update = ", ".join(f'"{name}" = excluded."{name}"' for name in others)
    action = f"do update set {update} {'where ' + newer if newer else ''}" if replace and others else "do nothing"
    return text(
        f'insert into "{table.name}" as old ({names}) '
        f'select {names} from json_populate_recordset(null::"{table.name}", cast(:rows as json)) '
        f"order by {', '.join(key)} on conflict ({', '.join(key)}) {action}"
    )


def run(connection: Connection, statement: str, **parameters: object) -> int:
    """Run a statement that gives no rows; how many it wrote."""
    return connection.execute(_prepared(statement), parameters).rowcount


def fetch(connection: Connection, statement: str, **parameters: object) -> Sequence[Any]:
    """All rows of a query, by attribute."""
    return connection.execute(_prepared(statement), parameters).all()


def fetch_tuples(connection: Connection, statement: str, **parameters: object) -> Sequence[tuple[Any, ...]]:
    """All rows of a query as the driver gives them: for thousands of rows, whose columns the caller names in order."""
    with connection.execute(_prepared(statement), parameters) as result:
        return result.cursor.fetchall()
