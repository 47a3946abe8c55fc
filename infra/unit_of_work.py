"""One database transaction: everything in it is committed together, or nothing is."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection


@contextmanager
def unit_of_work(connection: Connection) -> Iterator[Connection]:
    """Commit on the way out, roll back on any error. One at a time per connection."""
    with connection.begin():
        yield connection
