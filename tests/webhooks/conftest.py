"""One receiver for all tests that leave it as it was, and what looks into its database."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from infra.embedded import Addresses
from tests.conftest import new_database
from tests.webhooks.receiver_process import ReceiverProcess, running


@pytest.fixture(scope="session")
def receiver_database_url(server_url: str, template_database: str) -> Iterator[str]:
    """The database of the shared receiver."""
    with new_database(server_url, template_database) as url:
        yield url


@pytest.fixture(scope="session")
def receiver(
    receiver_database_url: str, server_addresses: Addresses, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ReceiverProcess]:
    """A running receiver, shared: tests use event ids of their own and leave it able to work."""
    folder = tmp_path_factory.mktemp("receiver")
    with running(folder, DATABASE_URL=receiver_database_url, REDIS_URL=server_addresses.redis_url) as process:
        yield process


@pytest.fixture
def own_receiver(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[ReceiverProcess]:
    """A receiver of this test's own, which may do with it what it likes."""
    with running(tmp_path, DATABASE_URL=database_url, REDIS_URL=redis_url) as process:
        yield process


Query = Callable[..., list[tuple[object, ...]]]


@pytest.fixture
def stored(receiver_database_url: str) -> Iterator[Query]:
    """Rows of the shared receiver's database: `stored(sql, parameters...)`."""
    yield from _query(receiver_database_url)


@pytest.fixture
def own_stored(database_url: str) -> Iterator[Query]:
    """Rows of this test's own database."""
    yield from _query(database_url)


def _query(url: str) -> Iterator[Query]:
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        lock = threading.Lock()

        def query(sql: str, *parameters: object) -> list[tuple[object, ...]]:
            with lock:
                cursor = connection.execute(sql, parameters)
                return list(cursor) if cursor.description else []

        yield query
