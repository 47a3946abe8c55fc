"""The queue between the event loop and the flushers, with a writer that does as it is told."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Sequence

import pytest

from tests.webhooks.test_inbox_writer import row
from webhooks import batcher as module
from webhooks.batcher import BATCH_ROWS_MAX, DEADLINE_S, FLUSHERS, Batcher, BatchReport, Stored
from webhooks.inbox_writer import InboxWriter, Lost, Row, Written


class ScriptedWriter(InboxWriter):
    """Keeps rows in memory; can be held up, and can lose its server."""

    def __init__(self) -> None:
        self.rows: set[tuple[str, str]] = set()
        self.batches: list[list[str]] = []
        self.go_on = threading.Event()
        self.go_on.set()
        self.is_gone = False
        self.is_broken = False
        self.cut_count = 0
        self.busy_count = 0
        self._lock = threading.Lock()

    def connect(self) -> None:
        if self.is_gone:
            raise Lost("nobody there")

    def write(self, rows: Sequence[Row]) -> Written:
        self.busy_count += 1
        self.go_on.wait()
        if self.is_broken:
            raise RuntimeError("a mistake of ours")
        with self._lock:
            self.batches.append([each.event_key for each in rows])
            created = frozenset(each.key for each in rows) - self.rows
            self.rows |= created
        return Written(created=created)

    def cut(self) -> None:
        self.cut_count += 1

    def close(self) -> None:
        """Nothing to close."""


async def occupied(batcher: Batcher, writer: ScriptedWriter) -> list[asyncio.Task[Stored]]:
    """Every flusher stuck with one row, until `writer.go_on` is set."""
    writer.go_on.clear()
    stuck = []
    for number in range(FLUSHERS):
        stuck.append(asyncio.create_task(batcher.store(row(f"stuck_{number}"))))
        while writer.busy_count <= number:
            await asyncio.sleep(0.01)
    return stuck


Story = Callable[[Batcher], Coroutine[object, object, None]]


def run(writer: ScriptedWriter, story: Story, reports: list[BatchReport] | None = None) -> None:
    """Tell a story on a running batcher, with one writer for all flushers."""

    async def tell() -> None:
        batcher = Batcher(lambda: writer, (reports if reports is not None else []).append)
        batcher.start()
        try:
            await asyncio.wait_for(story(batcher), 20)
        finally:
            writer.go_on.set()
            await asyncio.to_thread(batcher.stop)

    asyncio.run(tell())


def test_what_queued_during_a_commit_is_the_next_batch() -> None:
    """While the flushers are busy rows gather, and then go together, sorted, up to the largest batch."""
    writer = ScriptedWriter()
    reports: list[BatchReport] = []

    async def story(batcher: Batcher) -> None:
        busy = await occupied(batcher, writer)
        more = [asyncio.create_task(batcher.store(row(f"evt_{n:03}"))) for n in reversed(range(BATCH_ROWS_MAX + 10))]
        await asyncio.sleep(0.05)
        assert batcher.queued_count >= BATCH_ROWS_MAX
        writer.go_on.set()
        assert set(await asyncio.gather(*busy, *more)) == {Stored.ACCEPTED}

    run(writer, story, reports)
    largest = max(writer.batches, key=len)
    assert len(largest) == BATCH_ROWS_MAX
    assert all(batch == sorted(batch) for batch in writer.batches)
    assert len(writer.batches) <= FLUSHERS + 3
    assert sum(len(report.accepted) for report in reports) == BATCH_ROWS_MAX + 10 + FLUSHERS


def test_duplicates_inside_a_batch_are_written_once() -> None:
    """Of equal rows in one batch the first caller is told accepted, the others duplicate, and one row is written."""
    writer = ScriptedWriter()

    async def story(batcher: Batcher) -> None:
        busy = await occupied(batcher, writer)
        same = [asyncio.create_task(batcher.store(row("evt_same"))) for _ in range(30)]
        await asyncio.sleep(0.05)
        writer.go_on.set()
        assert await asyncio.gather(*same) == [Stored.ACCEPTED, *[Stored.DUPLICATE] * 29]
        await asyncio.gather(*busy)

    run(writer, story)
    assert [key for batch in writer.batches for key in batch].count("evt_same") == 1


def test_large_bodies_make_small_batches() -> None:
    """A batch holds no more bytes than allowed, and never less than one row."""
    writer = ScriptedWriter()
    large = b"x" * (module.BATCH_BYTES_MAX // 2 + 1)

    async def story(batcher: Batcher) -> None:
        stored = [batcher.store(row(f"evt_{number}", body=large)) for number in range(6)]
        assert set(await asyncio.gather(*stored)) == {Stored.ACCEPTED}

    run(writer, story)
    assert [len(batch) for batch in writer.batches] == [1] * 6


def test_a_caller_is_told_at_the_deadline_and_its_row_forgotten() -> None:
    """With the flushers stuck a caller waits five seconds; its row leaves the queue, and the connections are cut."""
    writer = ScriptedWriter()

    async def story(batcher: Batcher) -> None:
        stuck = await occupied(batcher, writer)
        began_s = time.monotonic()
        assert await batcher.store(row("evt_late")) is Stored.UNAVAILABLE
        assert DEADLINE_S - 0.2 < time.monotonic() - began_s < DEADLINE_S + 1
        assert batcher.queued_count == 0
        assert await asyncio.gather(*stuck) == [Stored.UNAVAILABLE] * FLUSHERS
        while not writer.cut_count:
            await asyncio.sleep(0.05)

    run(writer, story)
    assert ("stripe", "evt_late") not in writer.rows


def test_with_the_server_gone_nobody_waits_and_when_it_is_back_all_goes_on() -> None:
    """Callers are turned away at once while no connection can be had, and let in again without any help."""
    writer = ScriptedWriter()

    async def story(batcher: Batcher) -> None:
        writer.is_gone = True
        began_s = time.monotonic()
        answers = await asyncio.gather(*(batcher.store(row(f"evt_{number}")) for number in range(500)))
        assert set(answers) == {Stored.UNAVAILABLE}
        assert time.monotonic() - began_s < 1.5
        assert batcher.queued_count == 0
        writer.is_gone = False
        while await batcher.store(row("evt_after")) is Stored.UNAVAILABLE:
            await asyncio.sleep(0.02)
        assert time.monotonic() - began_s < 4

    run(writer, story)
    assert writer.rows == {("stripe", "evt_after")}


@pytest.mark.parametrize("attempts", [FLUSHERS * 3])
def test_a_mistake_of_ours_does_not_cost_a_flusher(attempts: int) -> None:
    """An unexpected error turns the batch's callers away, and the flushers go on."""
    writer = ScriptedWriter()

    async def story(batcher: Batcher) -> None:
        writer.is_broken = True
        for number in range(attempts):
            assert await batcher.store(row(f"evt_{number}")) is Stored.UNAVAILABLE
        writer.is_broken = False
        assert await batcher.store(row("evt_after")) is Stored.ACCEPTED

    run(writer, story)
    assert writer.rows == {("stripe", "evt_after")}


def test_a_stop_writes_what_is_queued_and_takes_no_more() -> None:
    """Rows queued before the stop are written, later ones are turned away."""
    writer = ScriptedWriter()

    async def story(batcher: Batcher) -> None:
        queued = [asyncio.create_task(batcher.store(row(f"evt_{number}"))) for number in range(50)]
        await asyncio.sleep(0)
        await asyncio.to_thread(batcher.stop)
        assert set(await asyncio.gather(*queued)) == {Stored.ACCEPTED}
        assert await batcher.store(row("evt_after")) is Stored.UNAVAILABLE

    run(writer, story)
    assert len(writer.rows) == 50
