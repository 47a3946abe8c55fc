"""One connection that commits batches of inbox rows, and sorts what can go wrong by what to do about it.

Rows come sorted by key: two batches that meet on the same keys then wait for each other, and never deadlock.
"""

import contextlib
import os
import random
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import psycopg
import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from infra import bodies
from infra.crashpoint import reach
from infra.database import DURABLE

_log = structlog.get_logger()

#: A connection that breaks within this many seconds was broken before. Should it not have been, and the rows be there,
#: the second try finds them by their keys.
_AT_ONCE_S = 0.2
#: Deadlocks and serialization failures are tried again this often in all.
ATTEMPTS_MAX = 3

#: Unsorted, duplicated or not: existing rows are left as they are and do not come back.
_INSERT = """
insert into inbox (provider, event_key, event_type, account, livemode, api_version, occurred_at,
                   secret_fingerprint, body, body_codec, body_bytes)
select * from unnest(%b::text[], %b::text[], %b::text[], %b::text[], %b::bool[], %b::text[], %b::timestamptz[],
                     %b::text[], %b::bytea[], %b::int2[], %b::int4[])
on conflict (provider, event_key) do nothing
returning provider, event_key
"""

#: The keys that could not be written, and the class of the error.
Refused = Mapping[tuple[str, str], str]


class Lost(Exception):
    """There is no usable connection; trying again at once is of no use."""


@dataclass(frozen=True, slots=True)
class Row:
    """A verified event on its way to the inbox. `body` is the exact bytes received."""

    provider: str
    event_key: str
    event_type: str
    account: str | None
    livemode: bool | None
    api_version: str | None
    occurred_at: datetime
    secret_fingerprint: str
    body: bytes

    @property
    def key(self) -> tuple[str, str]:
        """What makes the event one event."""
        return self.provider, self.event_key


@dataclass(frozen=True, slots=True)
class Written:
    """What a batch came to: the keys it created, and those it could not write. All others were there already."""

    created: frozenset[tuple[str, str]] = frozenset()
    refused: Refused = field(default_factory=dict)

    def __or__(self, other: "Written") -> "Written":
        return Written(self.created | other.created, {**self.refused, **other.refused})


class InboxWriter:
    """Not shared between threads, but for `cut`."""

    def __init__(self, open_connection: Callable[[], psycopg.Connection]) -> None:
        self._open = open_connection
        self._connection: psycopg.Connection | None = None
        self._has_worked = False

    def connect(self) -> None:
        """Have a connection. Raises `Lost`."""
        if self._connection is not None:
            return
        try:
            self._connection = self._open()
            self._has_worked = False
        except (psycopg.Error, SQLAlchemyError, OSError) as error:
            raise Lost(type(error).__name__) from error

    def write(self, rows: Sequence[Row]) -> Written:
        """Commit `rows`, which are sorted and have no key twice. Never raises for what PostgreSQL says.

        A row of which PostgreSQL refuses the values is found by halving, and the others are written. After anything
        that leaves the connection or the commit in doubt, all rows count as refused: a retry finds out.
        """
        began_s = time.monotonic()
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                return Written(created=self._insert(rows))
            except (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure) as error:
                if attempt == ATTEMPTS_MAX:
                    return _all_refused(rows, error)
                time.sleep(random.uniform(0.005, 0.02) * attempt)  # noqa: S311
            except (psycopg.DataError, psycopg.IntegrityError, ValueError) as error:
                # ValueError: what psycopg itself cannot write down, such as a lone surrogate.
                return self._halves(rows, error)
            except (psycopg.Error, Lost, OSError) as error:
                # Read-only after a failover, shutting down, disk full, gone: another connection may fare better.
                stale = attempt == 1 and self._was_stale(began_s)
                self.close()
                if not stale:
                    return _all_refused(rows, error)
        raise AssertionError("unreachable: the last attempt returns")

    def cut(self) -> None:
        """From another thread: shut the socket down under a call that waits on it."""
        connection = self._connection
        if connection is None:
            return
        # The descriptor may be closed by now: psycopg then says so.
        with (
            contextlib.suppress(psycopg.Error, OSError),
            socket.socket(fileno=os.dup(connection.fileno())) as duplicate,
        ):
            duplicate.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Drop the connection, if any; the next `connect` makes a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(psycopg.Error, OSError):
                connection.close()

    def _insert(self, rows: Sequence[Row]) -> frozenset[tuple[str, str]]:
        """One round trip: the statement commits by itself, and has its answer only after that."""
        self.connect()
        assert self._connection is not None
        reach("before_commit")
        cursor = self._connection.execute(_INSERT, _columns(rows), prepare=True)
        reach("after_commit")
        created = frozenset((str(provider), str(event_key)) for provider, event_key in cursor)
        self._has_worked = True
        return created

    def _was_stale(self, began_s: float) -> bool:
        """Whether the connection had ended while nobody used it: a server that restarted may well be back."""
        connection = self._connection
        lost_at_once = connection is not None and connection.broken and time.monotonic() - began_s < _AT_ONCE_S
        return lost_at_once and self._has_worked

    def _halves(self, rows: Sequence[Row], error: Exception) -> Written:
        if len(rows) == 1:
            return _all_refused(rows, error)
        middle = len(rows) // 2
        return self.write(rows[:middle]) | self.write(rows[middle:])


def connections_of(engine: Engine) -> Callable[[], psycopg.Connection]:
    """Opens connections as `engine` would, but owned by the caller; each statement is a transaction of its own."""

    def open_connection() -> psycopg.Connection:
        pooled = engine.raw_connection()
        connection = pooled.driver_connection
        assert isinstance(connection, psycopg.Connection), "make_engine uses psycopg"
        pooled.detach()
        try:
            _complain_of_forgetfulness(connection)
        except psycopg.Error:
            connection.close()
            raise
        return connection

    return open_connection


def _complain_of_forgetfulness(connection: psycopg.Connection) -> None:
    """At every connect, not only at the start: after a failover it is another server."""
    query = "select name from pg_settings where name = any(%s) and setting = 'off'"
    off = [str(name) for (name,) in connection.execute(query, (list(DURABLE),))]
    connection.rollback()
    connection.autocommit = True
    if off:
        _log.error("database.unsafe", off=off, reason="an event answered with 200 could be lost in a crash")


def _columns(rows: Sequence[Row]) -> tuple[list[object], ...]:
    encoded = [bodies.encode(row.body) for row in rows]
    return (
        [row.provider for row in rows],
        [row.event_key for row in rows],
        [row.event_type for row in rows],
        [row.account for row in rows],
        [row.livemode for row in rows],
        [row.api_version for row in rows],
        [row.occurred_at for row in rows],
        [row.secret_fingerprint for row in rows],
        [stored for _, stored in encoded],
        [codec for codec, _ in encoded],
        [len(row.body) for row in rows],
    )


def _all_refused(rows: Sequence[Row], error: Exception) -> Written:
    reason = getattr(error, "sqlstate", None) or type(error).__name__
    return Written(refused=dict.fromkeys((row.key for row in rows), reason))
