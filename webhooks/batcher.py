"""From verified events to committed rows: whatever queued while the last commit ran is the next batch.

The event loop only queues and answers; all waiting on PostgreSQL is done by the flusher threads. An event waits
here at most `DEADLINE_S`: then its caller is told it is not stored, and it is forgotten unless a batch has it.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice

import structlog

from webhooks.inbox_writer import InboxWriter, Lost, Refused, Row, Written

DEADLINE_S = 5.0
FLUSHERS = 2
BATCH_ROWS_MAX = 256
BATCH_BYTES_MAX = 4 * 1024 * 1024
#: Under load a flusher waits this long once for a batch of this size. An unconditional wait paid off in short trials;
#: for this one, on a busy machine, no gain could be told from noise.
GATHER_S = 0.002
GATHERED_ROWS = 48

#: Between two tries to connect; while all flushers fail, callers are turned away at once.
_RECONNECT_PAUSE_S = 0.25
#: A statement nobody answered for this long will not be answered: the connection is cut.
_STUCK_S = DEADLINE_S + 1.0


_log = structlog.get_logger()


class Stored(StrEnum):
    """What became of one delivery's event."""

    #: The row is committed, by this delivery.
    ACCEPTED = "accepted"
    #: The row was committed before, or by another delivery of the same batch.
    DUPLICATE = "duplicate"
    #: Not known to be committed: the provider must send it again.
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class BatchReport:
    """One finished batch, for counters and the log."""

    #: Event keys.
    accepted: Sequence[str]
    duplicates: Sequence[str]
    unavailable_count: int
    commit_s: float
    error: str | None


class _Waiting:
    """One caller and its row. `resolve` runs on the caller's loop, and only the first time does anything."""

    __slots__ = ("_expiry", "_future", "row")

    def __init__(self, row: Row, loop: asyncio.AbstractEventLoop, expire: Callable[["_Waiting"], None]) -> None:
        self.row = row
        self._future: asyncio.Future[Stored] = loop.create_future()
        self._expiry = loop.call_later(DEADLINE_S, expire, self)

    def resolve(self, stored: Stored) -> None:
        self._expiry.cancel()
        if not self._future.done():
            self._future.set_result(stored)

    async def outcome(self) -> Stored:
        return await self._future


class Batcher:
    """Owns the queue and the flushers. `make_writer` is called once per flusher, `on_batch` from their threads."""

    def __init__(
        self, make_writer: Callable[[], InboxWriter], on_batch: Callable[[BatchReport], None] = lambda report: None
    ) -> None:
        self._on_batch = on_batch
        self._changed = threading.Condition()
        self._queue: dict[_Waiting, None] = {}
        self._stopping = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._flushers = [_Flusher(self, make_writer(), number) for number in range(FLUSHERS)]

    @property
    def queued_count(self) -> int:
        """Rows that no flusher has taken yet."""
        return len(self._queue)

    def start(self) -> None:
        """Start the flushers; call from the loop that will call `store`."""
        self._loop = asyncio.get_running_loop()
        for flusher in self._flushers:
            flusher.start()
        self._watch()

    async def store(self, row: Row) -> Stored:
        """Commit `row`, with whatever else waits. Answers within `DEADLINE_S`; at once where the database is gone."""
        assert self._loop is not None, "start() comes first"
        if all(flusher.is_failing for flusher in self._flushers):
            return Stored.UNAVAILABLE
        waiting = _Waiting(row, self._loop, self._expire)
        with self._changed:
            if self._stopping:
                waiting.resolve(Stored.UNAVAILABLE)
            else:
                self._queue[waiting] = None
                if len(self._queue) == 1:
                    self._changed.notify()
        return await waiting.outcome()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Write what is queued, then end the flushers. Blocks; not to be called from the loop."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        until_s = time.monotonic() + timeout_s
        for flusher in self._flushers:
            flusher.join(max(0.0, until_s - time.monotonic()))
            flusher.cut()
        self._turn_all_away()

    def _expire(self, waiting: _Waiting) -> None:
        with self._changed:
            self._queue.pop(waiting, None)
        waiting.resolve(Stored.UNAVAILABLE)

    def _watch(self) -> None:
        """Cut connections that hang, so that their flushers can begin anew once the database answers."""
        assert self._loop is not None
        for flusher in self._flushers:
            if flusher.busy_s > _STUCK_S:
                flusher.cut()
        if not self._stopping:
            self._loop.call_later(0.5, self._watch)

    def wait_for_rows(self) -> bool:
        """Flushers: sleep until there is something to write; False at the end of everything.

        While another flusher commits there is no hurry: a moment's more rows make a cheaper batch.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._stopping)
            is_worth_a_wait = not self._stopping and len(self._queue) < GATHERED_ROWS
        if is_worth_a_wait and any(flusher.busy_s for flusher in self._flushers):
            time.sleep(GATHER_S)
        return bool(self._queue) or not self._stopping

    def take(self) -> list[_Waiting]:
        """Flushers: the next batch, oldest first; may be empty when another flusher was quicker."""
        with self._changed:
            batch: list[_Waiting] = []
            size = 0
            for waiting in islice(self._queue, BATCH_ROWS_MAX):
                size += len(waiting.row.body)
                if batch and size > BATCH_BYTES_MAX:
                    break
                batch.append(waiting)
            for waiting in batch:
                del self._queue[waiting]
            if self._queue:
                self._changed.notify()
            return batch

    def pass_on(self) -> None:
        """Flushers: one has no connection. Another takes over; with none left every waiting caller is told now."""
        if all(flusher.is_failing for flusher in self._flushers):
            self._turn_all_away()
            return
        with self._changed:
            self._changed.notify()

    def pause(self, seconds: float) -> bool:
        """Flushers: sleep; True when there is something to wake up for afterwards."""
        with self._changed:
            return not self._changed.wait_for(lambda: self._stopping, seconds)

    def _turn_all_away(self) -> None:
        with self._changed:
            waiting, self._queue = list(self._queue), {}
        self.answer((each, Stored.UNAVAILABLE) for each in waiting)

    def answer(self, outcomes: Iterable[tuple[_Waiting, Stored]]) -> None:
        """Flushers: hand outcomes to the callers, in one hop to their loop."""
        pairs = list(outcomes)
        assert self._loop is not None
        if pairs and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_resolve_all, pairs)

    def report(self, report: BatchReport) -> None:
        """Flushers: tell whoever counts."""
        self._on_batch(report)


class _Flusher(threading.Thread):
    """One connection, one batch at a time."""

    def __init__(self, batcher: Batcher, writer: InboxWriter, number: int) -> None:
        super().__init__(name=f"flusher-{number}", daemon=True)
        self._batcher = batcher
        self._writer = writer
        self._busy_since_s: float | None = None
        #: From a failed try to connect to the next good one.
        self.is_failing = False

    @property
    def busy_s(self) -> float:
        since_s = self._busy_since_s
        return 0.0 if since_s is None else time.monotonic() - since_s

    def cut(self) -> None:
        """From any thread: make whatever this flusher waits for on its connection fail."""
        self._writer.cut()

    def run(self) -> None:
        while self._batcher.wait_for_rows():
            if self._connect() and (batch := self._batcher.take()):
                self._flush_or_say_so(batch)
        self._writer.close()

    def _flush_or_say_so(self, batch: list[_Waiting]) -> None:
        """Whatever happens, the callers are told, and this thread stays: without it nothing would be stored again."""
        try:
            self._flush(batch)
        except Exception as error:  # noqa: BLE001 - the thread is all that stores anything
            self._batcher.answer((waiting, Stored.UNAVAILABLE) for waiting in batch)
            self._busy_since_s = None
            self._writer.close()
            _log.exception("flusher.failed", row_count=len(batch))
            self._batcher.report(BatchReport((), (), len(batch), 0.0, type(error).__name__))

    def _connect(self) -> bool:
        """Try until there is a connection; False at the end of everything. Only then is a batch taken: no row is
        lost to a server that is not there, and it is noticed when it is back without anybody's delivery.
        """
        while True:
            try:
                self._writer.connect()
            except Lost:
                self.is_failing = True
                self._batcher.pass_on()
                if not self._batcher.pause(_RECONNECT_PAUSE_S):
                    return False
            else:
                self.is_failing = False
                return True

    def _flush(self, batch: list[_Waiting]) -> None:
        began_s = self._busy_since_s = time.monotonic()
        by_key: dict[tuple[str, str], list[_Waiting]] = {}
        for waiting in batch:
            by_key.setdefault(waiting.row.key, []).append(waiting)
        result = self._writer.write([by_key[key][0].row for key in sorted(by_key)])
        self._busy_since_s = None
        outcomes = [pair for key, waiting in by_key.items() for pair in _outcomes(key, waiting, result)]
        self._batcher.answer(outcomes)
        self._batcher.report(_summary(outcomes, time.monotonic() - began_s, result.refused))


def _outcomes(key: tuple[str, str], waiting: Sequence[_Waiting], result: Written) -> list[tuple[_Waiting, Stored]]:
    if key in result.refused:
        return [(each, Stored.UNAVAILABLE) for each in waiting]
    first = Stored.ACCEPTED if key in result.created else Stored.DUPLICATE
    return [(waiting[0], first), *((each, Stored.DUPLICATE) for each in waiting[1:])]


def _summary(outcomes: Sequence[tuple[_Waiting, Stored]], commit_s: float, refused: Refused) -> BatchReport:
    return BatchReport(
        accepted=[waiting.row.event_key for waiting, stored in outcomes if stored is Stored.ACCEPTED],
        duplicates=[waiting.row.event_key for waiting, stored in outcomes if stored is Stored.DUPLICATE],
        unavailable_count=sum(stored is Stored.UNAVAILABLE for _, stored in outcomes),
        commit_s=commit_s,
        error=next(iter(refused.values()), None),
    )


def _resolve_all(outcomes: Sequence[tuple[_Waiting, Stored]]) -> None:
    for waiting, stored in outcomes:
        waiting.resolve(stored)
