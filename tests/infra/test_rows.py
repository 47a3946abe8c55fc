"""Rows to and from the database in sets: what is kept, replaced and refused, on real tables."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from sqlalchemy import BigInteger, Column, DateTime, Engine, Integer, MetaData, Table, Text, func, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.exc import DBAPIError

from infra.database import make_engine
from infra.rows import as_json, fetch, insert_rows

#: One column of each kind that the program has, two of them the key, one of them a word of SQL's own.
kinds = Table(
    "rows_test",
    MetaData(),
    Column("owner", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("group", Text),
    Column("amount_minor", BigInteger),
    Column("at", DateTime(timezone=True)),
    Column("names", ARRAY(Text)),
    Column("document", JSONB),
    Column("noted_at", DateTime(timezone=True), server_default=func.now()),
)


@pytest.fixture(scope="module")
def shared_engine(server_url: str) -> Iterator[Engine]:
    """One table for all tests here."""
    engine = make_engine(server_url, application_name="tests", statement_timeout_s=60)
    kinds.metadata.create_all(engine)
    yield engine
    kinds.metadata.drop_all(engine)
    engine.dispose()


@pytest.fixture
def engine(shared_engine: Engine) -> Engine:
    """With the table empty."""
    with shared_engine.begin() as connection:
        connection.execute(text("truncate rows_test"))
    return shared_engine


def _row(number: int, **columns: Any) -> dict[str, Any]:
    return {"owner": "ada", "number": number, **columns}


def _insert(engine: Engine, rows: list[dict[str, Any]], **how: Any) -> int:
    with engine.begin() as connection:
        return insert_rows(connection, kinds, rows, **how)


def _all(engine: Engine, columns: str = "number, amount_minor") -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in fetch(connection, f"select {columns} from rows_test order by owner, number")]


def test_every_kind_of_value_comes_back_as_it_was(engine: Engine) -> None:
    """Whole numbers to the last bit, moments to the microsecond, texts, lists, documents and nothing at all."""
    moment = datetime(2026, 3, 29, 1, 30, 0, 123456, tzinfo=UTC)
    values: dict[str, Any] = {
        "group": 'Größe "1" \'; drop table x; -- \\ \u2028 🐦',
        "amount_minor": 2**63 - 1,
        "at": moment,
        "names": ["a,b", '{"c"}', "", "NULL", "\\"],
        "document": {"a": [1, None, {"b": "c"}], "": True},
    }
    empty: dict[str, Any] = dict.fromkeys(values)
    assert _insert(engine, [_row(1, **values), _row(2, **empty)]) == 2
    names = 'number, "group", amount_minor, at, names, document'
    assert _all(engine, names) == [(1, *values.values()), (2, None, None, None, None, None)]


def test_a_moment_is_the_same_in_any_zone(engine: Engine) -> None:
    """An aware time of another zone is stored as the moment it names."""
    moment = datetime(2026, 7, 1, 12, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    _insert(engine, [_row(1, at=moment)])
    assert _all(engine, "at") == [(moment.astimezone(UTC),)]


def test_existing_rows_stay_unless_they_are_to_be_replaced(engine: Engine) -> None:
    """The number of rows written says which it was."""
    assert _insert(engine, [_row(1, amount_minor=1), _row(2, amount_minor=2)]) == 2
    assert _insert(engine, [_row(2, amount_minor=20), _row(3, amount_minor=30)]) == 1
    assert _all(engine) == [(1, 1), (2, 2), (3, 30)]
    assert _insert(engine, [_row(2, amount_minor=20), _row(4, amount_minor=40)], replace=True) == 2
    assert _all(engine) == [(1, 1), (2, 20), (3, 30), (4, 40)]


def test_a_replacement_may_be_narrowed(engine: Engine) -> None:
    """An older row does not overwrite a newer one."""
    _insert(engine, [_row(1, amount_minor=5), _row(2, amount_minor=5)])
    newer = "excluded.amount_minor > old.amount_minor"
    assert _insert(engine, [_row(1, amount_minor=4), _row(2, amount_minor=6)], replace=True, newer=newer) == 1
    assert _all(engine) == [(1, 5), (2, 6)]


def test_rows_of_nothing_but_their_key_are_never_replaced(engine: Engine) -> None:
    """There is nothing to replace them with."""
    assert _insert(engine, [_row(1)], replace=True) == 1
    assert _insert(engine, [_row(1), _row(2)], replace=True) == 1


def test_columns_left_out_get_their_defaults(engine: Engine) -> None:
    """They are not set to null, neither at first nor when a row is replaced."""
    _insert(engine, [_row(1, amount_minor=1)])
    ((first,),) = _all(engine, "noted_at")
    assert first is not None
    _insert(engine, [_row(1, amount_minor=2)], replace=True)
    assert _all(engine, "amount_minor, noted_at") == [(2, first)]


def test_no_rows_are_no_statement(engine: Engine) -> None:
    """An empty set writes nothing and needs no table."""
    assert _insert(engine, []) == 0
    assert _all(engine) == []


def test_a_number_too_large_is_refused_not_cut(engine: Engine) -> None:
    """The database says so, and nothing of the set is written."""
    with pytest.raises(DBAPIError, match="out of range"):
        _insert(engine, [_row(1, amount_minor=1), _row(2, amount_minor=2**63)])
    assert _all(engine) == []


def test_what_cannot_be_text_is_refused_before_it_is_sent() -> None:
    """Half a surrogate pair has no bytes."""
    with pytest.raises(UnicodeEncodeError):
        as_json([{"owner": "\ud800"}])


def test_two_sets_in_opposite_orders_do_not_deadlock(engine: Engine) -> None:
    """Rows are written in key order whatever order they came in: one waits for the other, and both are written."""
    numbers = list(range(2000))

    def write(order: list[int]) -> int:
        return _insert(engine, [_row(number, amount_minor=number) for number in order], replace=True)

    with ThreadPoolExecutor(4) as pool:
        written = list(pool.map(write, [numbers, numbers[::-1]] * 4))
    assert written == [2000] * 8
    assert len(_all(engine)) == 2000


def test_json_holds_structs_and_mappings_alike() -> None:
    """Dataclasses, structs and mappings are objects by field; times say their zone."""

    class Place(msgspec.Struct):
        name: str
        at: datetime

    at = datetime(2026, 1, 1, tzinfo=UTC)
    assert msgspec.json.decode(as_json([Place("a", at), {"name": "b", "at": at}])) == [
        {"name": "a", "at": "2026-01-01T00:00:00Z"},
        {"name": "b", "at": "2026-01-01T00:00:00Z"},
    ]
