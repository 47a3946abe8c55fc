"""Batches on a real PostgreSQL: what is created, what was there, and what each error does to whom."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import psycopg
import pytest
from sqlalchemy import Engine

from infra.database import make_engine
from tests.webhooks.conftest import Query
from webhooks.inbox_writer import ATTEMPTS_MAX, InboxWriter, Lost, Row, connections_of

MakeWriter = Callable[[], InboxWriter]


def row(key: str, **fields: object) -> Row:
    """A row to write."""
    plain = Row(
        provider="stripe",
        event_key=key,
        event_type="invoice.paid",
        account=None,
        livemode=None,
        api_version=None,
        occurred_at=datetime(2026, 4, 1, tzinfo=UTC),
        secret_fingerprint="f" * 12,
        body=b"{}" * 100,
    )
    return replace(plain, **fields)  # type: ignore[arg-type]


def keys(rows: Sequence[Row]) -> frozenset[tuple[str, str]]:
    """Their keys."""
    return frozenset(each.key for each in rows)


@pytest.fixture
def make_writer(database_url: str) -> Iterator[MakeWriter]:
    """Makes writers to this test's database, as the application would."""
    engine: Engine = make_engine(database_url, application_name="webhooks", pool_size=4, pre_ping=False)
    writers: list[InboxWriter] = []

    def make() -> InboxWriter:
        writers.append(InboxWriter(connections_of(engine)))
        return writers[-1]

    yield make
    for writer in writers:
        writer.close()
    engine.dispose()


def run_on_each_insert(stored: Query, body: str, *, at_commit: bool = False) -> None:
    """From now on every inserted row first runs `body` (PL/pgSQL), or at its commit."""
    stored(f"create function fault() returns trigger language plpgsql as $$ begin {body}; return new; end $$")
    when = "create constraint trigger fault after" if at_commit else "create trigger fault before"
    deferred = "deferrable initially deferred" if at_commit else ""
    stored(f"{when} insert on inbox {deferred} for each row execute function fault()")


def test_a_batch_says_what_it_created(make_writer: MakeWriter, own_stored: Query) -> None:
    """New keys are created, known ones are not, and what a known one holds is left alone."""
    writer = make_writer()
    first = [row("evt_1"), row("evt_2")]
    assert writer.write(first).created == keys(first)
    again = writer.write([row("evt_1", event_type="other"), row("evt_3")])
    assert (again.created, again.refused) == (keys([row("evt_3")]), {})
    assert own_stored("select event_key, event_type from inbox order by 1") == [
        (key, "invoice.paid") for key in ("evt_1", "evt_2", "evt_3")
    ]


def test_every_field_may_be_missing_or_hostile(make_writer: MakeWriter, own_stored: Query) -> None:
    """Whatever text a verified event carries is stored as it is."""
    hostile = '\'; drop table inbox; -- {"a":[null,NULL,%s,$1]} \\ \u20ac \U0001f600'
    rows = [
        row("a", account=None, livemode=None, api_version=None),
        row(hostile, event_type=hostile, account=hostile, livemode=True, api_version=hostile, body=b""),
    ]
    assert make_writer().write(rows).created == keys(rows)
    select = "select event_type, account, livemode, api_version, body, body_bytes from inbox where event_key = %s"
    assert own_stored(select, hostile) == [(hostile, hostile, True, hostile, b"", 0)]


@pytest.mark.parametrize("poison", ["evt_\x00", "evt_\ud800"], ids=["nul", "surrogate"])
def test_one_poisonous_row_does_not_hold_up_the_others(make_writer: MakeWriter, own_stored: Query, poison: str) -> None:
    """Of 200 rows the one that cannot be written is refused alone."""
    good = [row(f"evt_{number:03}") for number in range(199)]
    written = make_writer().write([*good[:77], row(poison), *good[77:]])
    assert written.created == keys(good)
    assert list(written.refused) == [("stripe", poison)]
    assert own_stored("select count(*) from inbox") == [(199,)]


@pytest.mark.parametrize("at_commit", [False, True])
def test_rows_the_server_refuses_are_found_among_others(
    make_writer: MakeWriter, own_stored: Query, *, at_commit: bool
) -> None:
    """Values that only the server's own checks refuse are isolated too, be it as late as at the commit."""
    refuse_bad = "if new.event_type = 'bad' then raise check_violation; end if"
    run_on_each_insert(own_stored, refuse_bad, at_commit=at_commit)
    rows = [row(f"evt_{number}", event_type="bad" if number in (3, 4) else "good") for number in range(8)]
    written = make_writer().write(rows)
    assert set(written.refused) == {("stripe", "evt_3"), ("stripe", "evt_4")}
    assert own_stored("select count(*) from inbox") == [(6,)]


@pytest.mark.parametrize(("failures", "is_stored"), [(ATTEMPTS_MAX - 1, True), (ATTEMPTS_MAX, False)])
@pytest.mark.parametrize("condition", ["deadlock_detected", "serialization_failure"])
def test_conflicts_between_transactions_are_tried_again(
    make_writer: MakeWriter, own_stored: Query, condition: str, failures: int, is_stored: bool
) -> None:
    """A deadlock or serialization failure is retried three times in all, and refused after that."""
    own_stored("create sequence attempts")
    run_on_each_insert(own_stored, f"if nextval('attempts') <= {failures} then raise {condition}; end if")
    written = make_writer().write([row("evt_1")])
    assert (bool(written.created), bool(written.refused)) == (is_stored, not is_stored)
    assert own_stored("select last_value from attempts") == [(min(failures + 1, ATTEMPTS_MAX),)]


def test_batches_that_share_keys_do_not_deadlock(make_writer: MakeWriter, own_stored: Query) -> None:
    """Two writers with the same sorted keys, over and over, each row created by exactly one of them, none refused."""
    created: list[tuple[str, str]] = []
    refused: list[tuple[str, str]] = []

    def write(writer: InboxWriter) -> None:
        for start in range(0, 400, 20):
            written = writer.write([row(f"evt_{number:03}") for number in range(start, start + 40)])
            created.extend(written.created)
            refused.extend(written.refused)

    threads = [threading.Thread(target=write, args=(make_writer(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refused == []
    assert len(created) == len(set(created)) == 420
    assert own_stored("select count(*) from inbox") == [(420,)]


def test_a_commit_that_breaks_is_not_taken_for_stored(make_writer: MakeWriter, own_stored: Query) -> None:
    """Cut off while the commit runs, the outcome is unknown: the row is refused and not silently tried again."""
    writer = make_writer()
    assert writer.write([row("evt_0")]).created
    run_on_each_insert(own_stored, "perform pg_sleep(2)", at_commit=True)
    cutter = threading.Timer(0.3, writer.cut)
    cutter.start()
    began_s = time.monotonic()
    written = writer.write([row("evt_1")])
    cutter.join()
    assert set(written.refused) == {("stripe", "evt_1")}
    assert time.monotonic() - began_s < 1.5


def test_nothing_is_created_before_the_commit_is_over(make_writer: MakeWriter, own_stored: Query) -> None:
    """While the commit still runs the batch is not finished, and its row is not there for others."""
    run_on_each_insert(own_stored, "perform pg_sleep(0.5)", at_commit=True)
    writer = make_writer()
    seen: list[list[tuple[object, ...]]] = []
    onlooker = threading.Timer(0.3, lambda: seen.append(own_stored("select 1 from inbox")))
    onlooker.start()
    assert writer.write([row("evt_1")]).created
    onlooker.join()
    assert seen == [[]]
    assert own_stored("select 1 from inbox") == [(1,)]


def test_no_server_means_lost() -> None:
    """Connecting to nothing raises `Lost`, and writing refuses every row."""

    def fail() -> psycopg.Connection:
        raise psycopg.OperationalError("nobody there")

    writer = InboxWriter(fail)
    with pytest.raises(Lost):
        writer.connect()
    assert set(writer.write([row("evt_1")]).refused) == {("stripe", "evt_1")}
