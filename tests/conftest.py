"""What all tests share: real servers once per session, and of them a fresh database and an empty Redis per test.

`TEST_DATABASE_URL` and `TEST_REDIS_URL` run the suite on servers that are there already; the database user must be
allowed to create databases, and the Redis database is emptied.
"""

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
import structlog
import tenacity
from hypothesis import settings
from sqlalchemy import Engine, make_url, text
from sqlalchemy.exc import ProgrammingError

from infra.database import make_engine, upgrade_to_head
from infra.embedded import Addresses, servers

#: Other tests may be at work on the same server.
OF_THIS_DATABASE = " and database = (select oid from pg_database where datname = current_database())"

REPOSITORY = Path(__file__).resolve().parent.parent


# Not a test module, but it asserts; named here, before any test can import it.
pytest.register_assert_rewrite("tests.domain.tables")
# How long one example takes is the machine's affair; a test that hangs meets pytest's own timeout.
settings.register_profile("patient", settings(), deadline=None)
settings.load_profile("patient")


@pytest.fixture(autouse=True)
def _logging_as_it_came() -> Iterator[None]:
    """What one test binds or configures, no other sees."""
    yield
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def recorded_payloads_dir() -> Path:
    """Webhook bodies recorded at the providers: folders `stripe` and `chargebee`."""
    folder = REPOSITORY.parent / "shared" / "payloads"
    if not folder.is_dir():
        pytest.skip("recorded payloads are not part of this checkout (../shared/payloads)")
    return folder


@pytest.fixture(scope="session")
def server_addresses() -> Iterator[Addresses]:
    """A PostgreSQL and a Redis for the whole session."""
    database_url, redis_url = os.environ.get("TEST_DATABASE_URL"), os.environ.get("TEST_REDIS_URL")
    with (
        reachable_folder() as folder,
        servers(folder / "servers", database_url=database_url, redis_url=redis_url) as addresses,
    ):
        yield addresses


@contextmanager
def reachable_folder() -> Iterator[Path]:
    """A new folder that other accounts can enter, unlike pytest's own: PostgreSQL never runs as root."""
    parents = [Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")]
    folder = Path(tempfile.mkdtemp(prefix="pa-", dir=next(filter(_anyone_can_enter, parents), None)))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _anyone_can_enter(folder: Path) -> bool:
    return all(step.is_dir() and step.stat().st_mode & 0o001 for step in (folder, *folder.parents))


@contextmanager
def new_database(server_url: str, template: str = "template1") -> Iterator[str]:
    """The URL of a database made from `template`, dropped afterwards whoever is still connected."""
    name = f"test_{uuid.uuid4().hex[:16]}"
    admin = make_engine(server_url, application_name="tests", pool_size=1).execution_options(
        isolation_level="AUTOCOMMIT"
    )
    try:
        with admin.connect() as connection:
            connection.execute(text(f'create database "{name}" template "{template}"'))
        yield make_url(server_url).set(database=name).render_as_string(hide_password=False)
    finally:
        _drop(admin, name)
        admin.dispose()


@tenacity.retry(
    retry=tenacity.retry_if_exception_type(ProgrammingError),
    stop=tenacity.stop_after_attempt(20),
    wait=tenacity.wait_fixed(0.5),
    reraise=True,
)
def _drop(admin: Engine, name: str) -> None:
    """Whoever is connected is sent away, but for a vacuum of the server's own: that is waited for."""
    with admin.connect() as connection:
        connection.execute(text(f'drop database if exists "{name}" with (force)'))


def server_url_of(addresses: Addresses) -> str:
    """The PostgreSQL server, as the address of a database that always exists."""
    url = make_url(addresses.database_url).set(drivername="postgresql+psycopg")
    return url.render_as_string(hide_password=False)


@contextmanager
def migrated_database(server_url: str) -> Iterator[str]:
    """Name of a database that all migrations have run on: a template for others."""
    with new_database(server_url) as url:
        engine = make_engine(url, application_name="tests", pool_size=1)
        upgrade_to_head(engine)
        engine.dispose()
        yield str(make_url(url).database)


@contextmanager
def own_servers() -> Iterator[tuple[str, str, str]]:
    """A PostgreSQL's address, the name of a migrated database on it, and a Redis': for programs beside the tests."""
    with reachable_folder() as folder, servers(folder / "servers", database_url=None, redis_url=None) as addresses:
        server_url = server_url_of(addresses)
        with migrated_database(server_url) as template:
            yield server_url, template, addresses.redis_url


@pytest.fixture(scope="session")
def server_url(server_addresses: Addresses) -> str:
    """The session's PostgreSQL server."""
    return server_url_of(server_addresses)


@pytest.fixture(scope="session")
def template_database(server_url: str) -> Iterator[str]:
    """Name of a database that all migrations have run on; tests get copies of it."""
    with migrated_database(server_url) as name:
        yield name


@pytest.fixture
def empty_database_url(server_url: str) -> Iterator[str]:
    """A database without a schema."""
    with new_database(server_url) as url:
        yield url


@pytest.fixture
def database_url(server_url: str, template_database: str) -> Iterator[str]:
    """A database of this test's own, migrated and empty."""
    with new_database(server_url, template_database) as url:
        yield url


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine on this test's own database."""
    engine = make_engine(database_url, application_name="tests", pool_size=10, statement_timeout_s=60)
    yield engine
    engine.dispose()


@pytest.fixture
def redis_url(server_addresses: Addresses) -> Iterator[str]:
    """A Redis database, empty before and after."""
    with redis.Redis.from_url(server_addresses.redis_url) as client:
        client.flushdb()
        yield server_addresses.redis_url
        client.flushdb()
