"""The engine, the server's fitness, and the one way to the newest schema, on a real PostgreSQL."""

import threading
from collections.abc import Iterator

import pytest
from alembic import command
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect, make_url, text
from sqlalchemy.exc import OperationalError

from infra.database import (
    ServerUnfit,
    check_server,
    make_engine,
    migrations_config,
    migrations_current,
    upgrade_to_head,
)
from infra.tables import metadata
from tests.conftest import OF_THIS_DATABASE


@pytest.fixture
def empty_engine(empty_database_url: str) -> Iterator[Engine]:
    """An engine on a database without a schema."""
    engine = make_engine(empty_database_url, application_name="tests")
    yield engine
    engine.dispose()


def with_options(url: str, options: str) -> str:
    return make_url(url).update_query_dict({"options": options}).render_as_string(hide_password=False)


def setting(engine: Engine, name: str) -> str:
    with engine.connect() as connection:
        return str(connection.scalar(text("select current_setting(:name)"), {"name": name}))


def test_a_session_is_in_utc_named_and_bounded(database_url: str) -> None:
    """Every session says which process it belongs to, thinks in UTC and gives up on endless statements."""
    engine = make_engine(database_url, application_name="pa-receiver", statement_timeout_s=0.25)
    assert setting(engine, "TimeZone") == "UTC"
    assert setting(engine, "application_name") == "pa-receiver"
    assert setting(engine, "statement_timeout") == "250ms"
    engine.dispose()


def test_options_in_the_address_are_kept(database_url: str) -> None:
    """What an operator put into the URL's options holds beside ours."""
    engine = make_engine(with_options(database_url, "-c work_mem=5MB"), application_name="tests")
    assert (setting(engine, "work_mem"), setting(engine, "TimeZone")) == ("5MB", "UTC")
    engine.dispose()


def test_the_pool_is_the_bound(database_url: str) -> None:
    """With its only connection out, an engine of one makes the next caller wait, and then hands out the same one."""
    engine = make_engine(database_url, application_name="tests", pool_size=1)
    pids: list[object] = []

    def ask() -> None:
        with engine.connect() as connection:
            pids.append(connection.scalar(text("select pg_backend_pid()")))

    with engine.connect() as connection:
        held = connection.scalar(text("select pg_backend_pid()"))
        waiting = threading.Thread(target=ask)
        waiting.start()
        waiting.join(0.3)
        assert pids == []
    waiting.join(10)
    assert pids == [held]
    engine.dispose()


def test_errors_do_not_show_parameters(engine: Engine) -> None:
    """A failing statement's error, which is logged, has none of the values it was run with."""
    with engine.connect() as connection, pytest.raises(OperationalError) as caught:
        connection.execute(text("set local statement_timeout = 10; select pg_sleep(5)"))
    assert caught.value.hide_parameters


def test_a_fit_server_has_no_warnings(engine: Engine) -> None:
    """A server with its defaults confirms only what is on disk."""
    assert check_server(engine) == []


def test_a_forgetful_server_is_warned_of(database_url: str) -> None:
    """With synchronous_commit off, a crash could take back an acknowledged event: the check says so."""
    engine = make_engine(with_options(database_url, "-c synchronous_commit=off"), application_name="tests")
    (warning,) = check_server(engine)
    assert warning.startswith("synchronous_commit is off")
    engine.dispose()


def test_a_read_only_server_is_refused(database_url: str) -> None:
    """A server that takes no writes is found out before anything starts."""
    engine = make_engine(with_options(database_url, "-c default_transaction_read_only=on"), application_name="tests")
    with pytest.raises(ServerUnfit, match="read-only"):
        check_server(engine)
    engine.dispose()


def test_migrating_twice_is_free(empty_engine: Engine) -> None:
    """An empty database is not current; after an upgrade it is, and another upgrade changes nothing."""
    assert not migrations_current(empty_engine)
    upgrade_to_head(empty_engine)
    assert migrations_current(empty_engine)
    upgrade_to_head(empty_engine)
    assert migrations_current(empty_engine)


def test_two_migrators_do_not_collide(empty_engine: Engine) -> None:
    """Two processes that migrate the same empty database at the same moment both succeed."""
    failures: list[BaseException] = []

    def migrate() -> None:
        try:
            upgrade_to_head(empty_engine)
        except BaseException as error:  # noqa: BLE001 - handed to the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=migrate) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert migrations_current(empty_engine)


def test_migrating_leaves_no_lock_or_timeout_behind(empty_engine: Engine) -> None:
    """What a migration sets on its session is gone afterwards: the pool hands out ordinary connections."""
    upgrade_to_head(empty_engine)
    with empty_engine.connect() as connection:
        assert connection.scalar(text("select current_setting('lock_timeout')")) == "0"
        held = "select count(*) from pg_locks where locktype = 'advisory'" + OF_THIS_DATABASE
        assert connection.scalar(text(held)) == 0


def test_migrations_equal_the_declared_tables(engine: Engine) -> None:
    """All migrations together make exactly the tables that the code declares (`alembic check`)."""
    config = migrations_config()
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.check(config)
    assert set(inspect(engine).get_table_names()) == {*metadata.tables, "alembic_version"}


def test_a_newer_schema_is_not_current(engine: Engine) -> None:
    """A database that a later release has migrated is not taken for this release's own."""
    with engine.begin() as connection:
        connection.execute(text("update alembic_version set version_num = '9999'"))
    assert not migrations_current(engine)


def test_the_history_has_one_head(engine: Engine) -> None:
    """Migrations form one line, and the template database stands at its end."""
    (head,) = ScriptDirectory.from_config(migrations_config()).get_heads()
    with engine.connect() as connection:
        assert MigrationContext.configure(connection).get_current_heads() == (head,)
