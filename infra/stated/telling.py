"""A statement becomes an inbox row and is worked on in the same transaction, on the path of every other event.

So there is evidence, replay works, and whoever asked reads afterwards what became of it. A customer whom a worker has
at hand is waited for a little.
"""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

import msgspec
import tenacity
from sqlalchemy import Connection

from domain import ids
from domain.case import Program
from domain.decide import Booking
from domain.errors import CannotProcess, Conflict, TryLater
from domain.facts import COMPANY, NotUsed
from infra.batch import process, translated
from infra.bodies import decode, encode
from infra.inbox import LEASE, Envelope
from infra.ledger.bookings import log_bookings
from infra.locks import lock_customers, share_program
from infra.program import ProgramReader
from infra.providers.api.documents import Statement
from infra.retries import DEADLOCK_DETECTED, sqlstate_of
from infra.rows import fetch
from infra.settings import Settings
from infra.translating import translate

T = TypeVar("T")

#: How long somebody who states something waits for a customer that others are busy with.
PATIENCE_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class Telling:
    """One attempt at stating something, within the caller's transaction. Lock, look, then say."""

    connection: Connection
    program: Program
    now: datetime
    _reader: ProgramReader
    _bookings: list[Booking]

    def lock(self, *names: str) -> None:
        """Have these to oneself until the end. Raises TryLater while somebody else has one of them."""
        if not set(names) <= lock_customers(self.connection, names):
            raise TryLater("a worker is busy with this customer")

    def say(self, event_type: str, event_key: str, document: Statement) -> bool:
        """Write a statement down and work on it; False, and nothing done, where this event is there already."""
        envelope = _stored(self.connection, event_type, event_key, document)
        if envelope is None:
            return False
        events = translate(envelope, envelope.body())
        if not isinstance(events, tuple):
            raise CannotProcess(events.reason if isinstance(events, NotUsed) else f"{events.what} is missing")
        result = process(self.connection, [translated(envelope, events)], self._reader, self.now)
        if result.busy:
            raise TryLater("a worker is busy with a customer whom this concerns")
        self._bookings.extend(result.bookings)
        return True


def tell(
    connection: Connection,
    settings: Settings,
    now: datetime,
    work: Callable[[Telling], T],
    *,
    patience_s: float = PATIENCE_S,
) -> T:
    """Do `work` within the caller's transaction; what was begun in vain is undone, locks included, and done again.

    Raises TryLater when patience is over.
    """
    policy = tenacity.Retrying(
        retry=tenacity.retry_if_exception(_may_pass),
        stop=tenacity.stop_after_delay(patience_s),
        wait=tenacity.wait_random_exponential(multiplier=0.02, max=0.3),
        reraise=True,
    )
    return policy(lambda: _once(connection, settings, now, work))


def _once(connection: Connection, settings: Settings, now: datetime, work: Callable[[Telling], T]) -> T:
    with connection.begin_nested():
        share_program(connection)
        reader = _reader_of(settings)
        bookings: list[Booking] = []
        answer = work(Telling(connection, reader.read(connection), now, reader, bookings))
    log_bookings(bookings)
    return answer


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, TryLater) or sqlstate_of(error) == DEADLOCK_DETECTED


class _Own(threading.local):
    """One thread's reader of the program, kept from one statement to the next."""

    def __init__(self) -> None:
        self.settings: Settings | None = None
        self.reader: ProgramReader | None = None


_own = _Own()


def _reader_of(settings: Settings) -> ProgramReader:
    if _own.reader is None or _own.settings is not settings:
        _own.settings, _own.reader = settings, ProgramReader(settings)
    return _own.reader


def program_as_of_now(connection: Connection, settings: Settings) -> Program:
    """The program, for showing: kept by the thread as long as it stays the same."""
    return _reader_of(settings).read(connection)


def event_key_of(kind: str, document: Statement) -> str:
    """The key of a statement that may be made again with other words: made of all it says, its moment included."""
    return ids.derived("said", kind, msgspec.json.encode(document).decode())


def stated(connection: Connection, event_key: str) -> bytes | None:
    """The body of a statement that was made before; None: it was not. Raises Conflict where it was erased."""
    rows = fetch(
        connection,
        "select body_codec, body, body_bytes from inbox where provider = :provider and event_key = :key",
        provider=COMPANY,
        key=event_key,
    )
    if not rows:
        return None
    if rows[0].body is None:
        raise Conflict("what was stated under this key was erased; take another key")
    return decode(rows[0].body_codec, rows[0].body, rows[0].body_bytes)


def _stored(connection: Connection, event_type: str, event_key: str, document: Statement) -> Envelope | None:
    """The statement as an inbox row that this connection has claimed already."""
    body = msgspec.json.encode(document)
    codec, encoded = encode(body)
    rows = fetch(
        connection,
        """
        insert into inbox (provider, event_key, event_type, occurred_at, body_codec, body_bytes, body, attempts,
            claimed_by, next_attempt_at)
        values (:provider, :key, :type, :at, :codec, :size, :body, 1, pg_backend_pid(), now() + :lease)
        on conflict (provider, event_key) do nothing
        returning id, provider, event_key, event_type, occurred_at, livemode, account, attempts, body_codec, body,
            body_bytes
        """,
        provider=COMPANY,
        key=event_key,
        type=event_type,
        at=document.stated_at,
        codec=codec,
        size=len(body),
        body=encoded,
        lease=LEASE,
    )
    return Envelope(*rows[0]) if rows else None


def later_than(now: datetime, moments: Iterable[datetime | None]) -> datetime:
    """`now`, but after everything the company said of the same thing before: clocks differ between machines."""
    tick = now.resolution
    return max([now, *(moment + tick for moment in moments if moment is not None)])
