"""Drain the inbox: claim what is due, work it in batches, isolate what fails, count what kills.

A batch that fails is halved until the one bad event stands alone; the others are done. An event whose worker died
with it comes back as a suspect, in ever smaller company. Safe to run anywhere, any number of times: claims keep
drains apart.
"""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from domain.facts import Fact, Missing, NotUsed
from infra import crashpoint
from infra.batch import BatchResult, Translated, process, rejudge, translated
from infra.clock import Clock, system_clock
from infra.completing import Completer
from infra.failures import failure_mark
from infra.inbox import (
    JUST_DUE,
    ClaimLost,
    Envelope,
    InboxState,
    Mark,
    claim_newest,
    claim_on,
    claim_suspects,
    give_back,
    has_suspects,
    mark,
    release_orphans,
    waiting_until,
)
from infra.ledger.bookings import log_bookings
from infra.program import ProgramReader
from infra.program_changes import PROVIDER as PROGRAM
from infra.retries import READ_ONLY_TRANSACTION, connection_was_lost, sqlstate_of
from infra.settings import Settings
from infra.translating import events_of
from infra.unit_of_work import unit_of_work
from worker.looking_up import look_up

log = structlog.get_logger()

Take = Callable[[Connection], list[Envelope]]
Work = Callable[[Connection, Sequence[Translated]], BatchResult]

#: Envelopes claimed at once: enough to spread the cost of a batch's statements, few enough to leave other drains their
#: customers. With 200 an event costs up to a fifth more than with 400; with 400 drains on few customers are worst.
BATCH = 300
#: With so many of them put off, working on the rest costs more than it helps.
MUCH = BATCH // 4
#: In a backlog that is old every batch is followed by one of so many that have just come due.
NEWEST = 50
#: After this long a drain lets its caller look at other things; what is still due rings again.
SLICE_S = 2.0
#: For so long a batch may ask providers for lines, or whether they know its events. With the last call begun just
#: before its end and answered page by page just in time, it ends well within the claim's lease.
FETCH_BUDGET_S = 5.0
#: How soon an event is due again that its provider was not asked about, because that one is slow or silent.
FETCH_DELAY = timedelta(seconds=10)
#: For so long what is about busy customers is kept and tried again; given back then, a claim ends within its lease.
PUT_OFF_S = 2.0
#: Between two tries when nothing else is to be done, each time twice as long; and how soon it is due after that.
BUSY_PAUSE_S, BUSY_PAUSE_MAX_S = 0.02, 0.2
BUSY_DELAY = timedelta(milliseconds=50)
DISK_FULL = "53100"


@dataclass(slots=True)
class DrainReport:
    """What one drain did."""

    processed_count: int = 0
    failed_count: int = 0
    #: True: it ran out of time, not of work.
    more: bool = False

    def count(self, marks: Iterable[Mark]) -> None:
        """Count what was marked."""
        for done in marks:
            if done.state in (InboxState.PROCESSED, InboxState.IGNORED):
                self.processed_count += 1
            else:
                self.failed_count += 1

    def add(self, other: "DrainReport") -> None:
        """Count what another did."""
        self.processed_count += other.processed_count
        self.failed_count += other.failed_count
        self.more = self.more or other.more

    @property
    def done_count(self) -> int:
        """Of whatever end."""
        return self.processed_count + self.failed_count


class Drain:
    """Drains one database with one connection; not to be shared between threads."""

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        clock: Clock = system_clock,
        *,
        stopping: threading.Event | None = None,
        fetch_budget_s: float = FETCH_BUDGET_S,
        slice_s: float = SLICE_S,
        on_full: Callable[[], None] = lambda: None,
        gives_way: bool = False,
    ) -> None:
        """Once `stopping` is set, no further batch is begun; nor after `slice_s` of one run; nor, by one that
        `gives_way`, where others have much of its batch. `on_full` is called for a full batch, before the work.
        """
        self._engine = engine
        self._settings = settings
        self._clock = clock
        self._stopping = stopping or threading.Event()
        self._fetch_budget_s = fetch_budget_s
        self._slice_s = slice_s
        self._on_full = on_full
        self._gives_way = gives_way
        self._reader = ProgramReader(settings)
        self._completer = Completer(settings)
        #: How far this slice has come in a backlog.
        self._since: datetime | None = None
        #: More was due than the last claim of a backlog took.
        self._is_full = False
        #: Suspects are few, and looking for them is not free: once a slice, and while there are any.
        self._suspicious = True
        #: Claimed and read, but others had their customers; claimed at the earliest when, and when to try again.
        self._put_off: list[Translated] = []
        self._put_off_since_s: float | None = None
        self._rest_s = BUSY_PAUSE_S
        #: Monotonic seconds at which the turn at hand began; None between two. The watchdog reads it.
        self.busy_since_s: float | None = None

    def run(self, slice_s: float | None = None) -> DrainReport:
        """Work until nothing is due or the slice is over. Raises only when the database is out of reach."""
        report = DrainReport()
        until_s = time.monotonic() + (self._slice_s if slice_s is None else slice_s)
        self._suspicious, self._since = True, None
        with self._engine.connect() as connection:
            try:
                while not (self._stopping.is_set() or report.more) and self._go_on(connection, report):
                    report.more = time.monotonic() > until_s
                self._give_back_put_off(connection)
            finally:
                self._put_off = []
        return report

    def _go_on(self, connection: Connection, report: DrainReport) -> bool:
        """The next batch, and what is due beside it; False: there was nothing."""
        began_s, done_count, was_at_the_front = time.monotonic(), report.done_count, self._since is None
        count = self._turn(connection, report, self._take)
        if self._is_full and self._is_behind() and not self._stopping.is_set():
            self._turn(connection, report, lambda taken: claim_newest(taken, NEWEST))
        if self._suspicious:
            # They are tried in no other company than they are claimed in.
            self._give_back_put_off(connection)
            self._suspicious = self._turn(connection, report, claim_suspects) > 0
            self._give_back_put_off(connection)
        self._put_off_for_a_while(connection, began_s, has_come_on=report.done_count > done_count)
        is_in_the_way = self._gives_way and len(self._put_off) > MUCH
        return not is_in_the_way and (bool(count or self._suspicious or self._put_off) or not was_at_the_front)

    def _put_off_for_a_while(self, connection: Connection, began_s: float, *, has_come_on: bool) -> None:
        """Keep what was put off while it is fresh; where nothing else comes on, rest a moment."""
        if not self._put_off:
            self._put_off_since_s, self._rest_s = None, BUSY_PAUSE_S
            return
        self._put_off_since_s = began_s if self._put_off_since_s is None else self._put_off_since_s
        if time.monotonic() - self._put_off_since_s > PUT_OFF_S:
            self._give_back_put_off(connection)
        if has_come_on:
            self._rest_s = BUSY_PAUSE_S
        else:
            self._stopping.wait(self._rest_s)
            self._rest_s = min(2 * self._rest_s, BUSY_PAUSE_MAX_S)

    def _give_back_put_off(self, connection: Connection) -> None:
        put_off, self._put_off, self._put_off_since_s = self._put_off, [], None
        if put_off:
            with unit_of_work(connection):
                give_back(connection, [each.envelope for each in put_off], BUSY_DELAY)

    def _is_behind(self) -> bool:
        """Whether what is worked on has been due for so long that what is new should not wait behind it."""
        return self._since is not None and self._clock() - self._since > JUST_DUE

    def _take(self, connection: Connection) -> list[Envelope]:
        """The next of a backlog, as many as a batch has room for beside what was put off; from the front again once a
        slice, and before nothing is said to be due.
        """
        envelopes: list[Envelope] = []
        room = BATCH - len(self._put_off)
        if room > 0:
            envelopes, self._since = claim_on(connection, room, self._since)
        self._is_full = 0 < room == len(envelopes)
        self._suspicious = self._suspicious and has_suspects(connection)
        return envelopes

    def sweep(self) -> DrainReport:
        """Free what dead workers held, then drain: with this alone everything gets done."""
        self.busy_since_s = time.monotonic()
        try:
            with self._engine.connect() as connection, unit_of_work(connection):
                released_count = release_orphans(connection)
        finally:
            self.busy_since_s = None
        if released_count:
            log.warning("claims.released", count=released_count)
        return self.run()

    def _turn(self, connection: Connection, report: DrainReport, take: Take) -> int:
        began_s = self.busy_since_s = time.monotonic()
        try:
            with unit_of_work(connection):
                envelopes = take(connection)
            if not (envelopes or self._put_off):
                return 0
            crashpoint.reach("after_claim")
            if self._is_full:
                self._on_full()
            self._work(connection, envelopes, report)
        finally:
            self.busy_since_s = None
        if envelopes:
            log.info("batch.processed", count=len(envelopes), duration_ms=round((time.monotonic() - began_s) * 1000))
        return len(envelopes)

    def _work(self, connection: Connection, envelopes: Sequence[Envelope], report: DrainReport) -> None:
        """What Chargebee must be asked about comes last: it keeps nobody waiting."""
        chargebee = self._completer.chargebee if self._settings.chargebee_confirm_events else None
        doubtful = [each for each in envelopes if chargebee is not None and each.provider == "chargebee"]
        self._work_on([each for each in envelopes if each not in doubtful], connection, report)
        if doubtful and chargebee is not None:
            found = look_up(connection, doubtful, chargebee, self._clock(), self._fetch_budget_s)
            self._mark(connection, found.forged, report)
            self._work_on(found.known, connection, report)
            self._postpone(connection, found.unasked)

    def _work_on(self, envelopes: Sequence[Envelope], connection: Connection, report: DrainReport) -> None:
        """What was put off, and what is new; what could not even be read is marked first.

        Events of which a provider must be asked for the rest come last: they keep nobody waiting.
        """
        changes = [Translated(envelope, ()) for envelope in envelopes if envelope.provider == PROGRAM]
        readings = self._read_all(connection, [each for each in envelopes if each.provider != PROGRAM])
        decided = [reading for reading in readings if isinstance(reading, Mark)]
        batch = [reading for reading in readings if isinstance(reading, Translated)]
        incomplete = [reading for reading in readings if isinstance(reading, Envelope)]
        self._mark(connection, decided, report)
        put_off, self._put_off = self._put_off, []
        self._settle([*put_off, *changes, *batch], connection, report)
        self._complete(connection, incomplete, report)

    def _settle(self, batch: Sequence[Translated], connection: Connection, report: DrainReport) -> None:
        """Program changes one by one, events together."""
        events = [each for each in batch if each.envelope.provider != PROGRAM]
        for change in batch:
            if change.envelope.provider == PROGRAM:
                self._guarded(connection, [change], report, self._rejudge)
        # Descriptions of the catalogue wait until nobody judges: nobody else should wait with them.
        self._guarded(connection, [each for each in events if each.catalogue], report, self._process)
        self._guarded(connection, [each for each in events if not each.catalogue], report, self._process)

    def _guarded(self, connection: Connection, batch: Sequence[Translated], report: DrainReport, work: Work) -> None:
        """Do the work in one transaction; on failure halve it, until one event stands alone with its error."""
        if not batch:
            return
        try:
            with unit_of_work(connection):
                result = work(connection, batch)
        except ClaimLost as error:
            self._let_go(connection, [translated.envelope for translated in batch], error)
        except Exception as error:
            if _is_the_databases_own(error):
                raise
            if len(batch) > 1:
                middle = len(batch) // 2
                self._guarded(connection, batch[:middle], report, work)
                self._guarded(connection, batch[middle:], report, work)
            else:
                self._mark(connection, [failure_mark(batch[0].envelope, error, self._clock())], report)
        else:
            report.count(result.marks)
            self._put_off += result.busy
            log_bookings(result.bookings)

    def _mark(self, connection: Connection, marks: Sequence[Mark], report: DrainReport) -> None:
        try:
            with unit_of_work(connection):
                mark(connection, marks)
        except ClaimLost as lost:
            # One by one, those that are still ours get their mark.
            if len(marks) == 1:
                log.warning("claims.lost", count=1, reason=str(lost))
            for each in marks if len(marks) > 1 else ():
                self._mark(connection, [each], report)
        else:
            report.count(marks)

    def _let_go(self, connection: Connection, envelopes: Sequence[Envelope], lost: ClaimLost) -> None:
        """Some of these are another worker's now: what is still ours is due again at once, with nothing held."""
        log.warning("claims.lost", count=len(envelopes), reason=str(lost))
        with unit_of_work(connection):
            give_back(connection, envelopes, timedelta(0))

    def _process(self, connection: Connection, batch: Sequence[Translated]) -> BatchResult:
        return process(connection, batch, self._reader, self._clock())

    def _rejudge(self, connection: Connection, batch: Sequence[Translated]) -> BatchResult:
        return rejudge(connection, batch[0].envelope, self._reader, self._clock)

    # Before the transaction: what an envelope says.

    def _read_all(self, connection: Connection, envelopes: Sequence[Envelope]) -> list[Translated | Envelope | Mark]:
        """Each envelope with its facts, as it is where its provider is to be asked first, or with what became of it."""
        done: list[Translated | Envelope | Mark] = []
        read: list[tuple[Envelope, tuple[Fact, ...] | Missing]] = []
        for envelope in envelopes:
            reading = self._read(envelope)
            if isinstance(reading, Mark):
                done.append(reading)
            else:
                read.append((envelope, reading))
        with unit_of_work(connection):
            asked = self._completer.to_be_asked(connection, read)
        done += [each if each.id in asked else self._kept(each, facts) for each, facts in read]
        return done

    def _read(self, envelope: Envelope) -> tuple[Fact, ...] | Missing | Mark:
        try:
            facts = events_of(envelope, self._settings)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this event's own
            return failure_mark(envelope, error, self._clock())
        return _ignored(envelope, facts) if isinstance(facts, NotUsed) else facts

    def _kept(self, envelope: Envelope, facts: tuple[Fact, ...] | Missing) -> Translated | Mark:
        """Nobody is asked: either it can be worked as it is, or it waits."""
        missing = self._completer.left_out(envelope, facts)
        if missing is None and not isinstance(facts, Missing):
            return translated(envelope, facts)
        log.warning("event.waited", inbox_id=envelope.id, reason=missing)
        return Mark(envelope.id, envelope.attempts, InboxState.WAITING, waiting_until(envelope, self._clock()), missing)

    # Asking Stripe for what an event left out.

    def _complete(self, connection: Connection, incomplete: Sequence[Envelope], report: DrainReport) -> None:
        """Fetch and work on what time allows; the rest is given back as not begun."""
        if not incomplete:
            return
        until_s = time.monotonic() + self._fetch_budget_s
        readings: list[Translated | Mark] = []
        left: list[Envelope] = []
        silent: set[str] = set()
        for each in incomplete:
            if time.monotonic() > until_s or each.provider in silent:
                left.append(each)
                continue
            readings.append(self._fetched(each))
            if isinstance(readings[-1], Mark) and readings[-1].state is InboxState.RECEIVED:
                silent.add(each.provider)  # who does not answer one will not answer the others
        self._mark(connection, [reading for reading in readings if isinstance(reading, Mark)], report)
        batch = [reading for reading in readings if isinstance(reading, Translated)]
        self._guarded(connection, batch, report, self._process)
        self._postpone(connection, left)

    def _postpone(self, connection: Connection, left: Sequence[Envelope]) -> None:
        if left:
            log.warning("fetch.postponed", count=len(left))
            with unit_of_work(connection):
                give_back(connection, left, FETCH_DELAY)

    def _fetched(self, envelope: Envelope) -> Translated | Mark:
        try:
            done = self._completer.completed(envelope)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this event's own
            return failure_mark(envelope, error, self._clock())
        return _ignored(envelope, done) if isinstance(done, NotUsed) else done


def _ignored(envelope: Envelope, because: NotUsed) -> Mark:
    return Mark(envelope.id, envelope.attempts, InboxState.IGNORED, reason=because.reason)


def _is_the_databases_own(error: Exception) -> bool:
    """Gone, read-only, out of disk or broken: no event is to blame, and no other would fare better."""
    state = sqlstate_of(error) or ""
    return isinstance(error, DBAPIError) and (
        connection_was_lost(error) or state in (READ_ONLY_TRANSACTION, DISK_FULL) or state.startswith("58")
    )
