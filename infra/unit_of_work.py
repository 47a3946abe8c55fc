"""One database transaction: everything in it is committed together, or nothing is."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine


@contextmanager
def unit_of_work(connection: Connection) -> Iterator[Connection]:
    """Commit on the way out, roll back on any error. One at a time per connection."""
    with connection.begin():
        yield connection


@contextmanager
def unit_of_work_on(engine: Engine) -> Iterator[Connection]:
    """The same on a connection of its own, given back afterwards."""
    with engine.connect() as connection, unit_of_work(connection):
        yield connection
