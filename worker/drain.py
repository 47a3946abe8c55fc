"""Drain the inbox: claim what is due, work it in batches, isolate what fails, count what kills.

A batch that fails is halved until the one bad event stands alone; the others are done. An event whose worker died
with it comes back as a suspect, in ever smaller company. Safe to run anywhere, any number of times: claims keep
drains apart.
"""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from domain.errors import TryLater
from domain.facts import NotUsed
from infra import crashpoint
from infra.batch import BatchResult, Translated, process, rejudge, translated
from infra.clock import Clock, system_clock
from infra.failures import failure_mark
from infra.inbox import (
    ClaimLost,
    Envelope,
    InboxState,
    Mark,
    claim,
    claim_suspects,
    give_back,
    mark,
    release_orphans,
)
from infra.ledger.bookings import log_bookings
from infra.program import ProgramReader
from infra.program_changes import PROVIDER as PROGRAM
from infra.providers.stripe.client import StripeApi
from infra.providers.stripe.invoice_lines import with_all_lines
from infra.retries import READ_ONLY_TRANSACTION, connection_was_lost, sqlstate_of
from infra.settings import Settings
from infra.translating import events_of, translate, with_lines_missing
from infra.unit_of_work import unit_of_work

log = structlog.get_logger()

Take = Callable[[Connection], list[Envelope]]
Work = Callable[[Connection, Sequence[Translated]], BatchResult]

#: Envelopes claimed at once: enough to spread the cost of a batch's statements, few enough to be done in a second.
BATCH = 200
#: After this long a drain lets its caller look at other things; what is still due rings again.
SLICE_S = 2.0
#: For so long a batch may ask Stripe for lines. With the last call begun just before its end and answered page by page
#: just in time, it ends well within the claim's lease.
FETCH_BUDGET_S = 5.0
#: How soon an event is due again whose lines were not asked for, because Stripe is slow or silent.
FETCH_DELAY = timedelta(seconds=10)
DISK_FULL = "53100"
#: How long an event waits before it is looked at again for a missing thing.
WAITING_DELAY = timedelta(minutes=15)


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
    ) -> None:
        """Once `stopping` is set, no further batch is begun."""
        self._engine = engine
        self._settings = settings
        self._clock = clock
        self._stopping = stopping or threading.Event()
        self._fetch_budget_s = fetch_budget_s
        self._reader = ProgramReader(settings)
        self._stripe = _stripe_api(settings)
        #: Monotonic seconds at which the turn at hand began; None between two. The watchdog reads it.
        self.busy_since_s: float | None = None

    def run(self, slice_s: float = SLICE_S) -> DrainReport:
        """Work until nothing is due or the slice is over. Raises only when the database is out of reach."""
        report = DrainReport()
        until_s = time.monotonic() + slice_s
        suspicious = True
        with self._engine.connect() as connection:
            while not (self._stopping.is_set() or report.more):
                fresh_count = self._turn(connection, report, lambda taken: claim(taken, BATCH))
                # In a backlog suspects are few and looking for them is not free: once a slice, and while there are any.
                looked = suspicious or fresh_count < BATCH
                suspicious = looked and self._turn(connection, report, claim_suspects) > 0
                if not fresh_count and not suspicious:
                    return report
                report.more = time.monotonic() > until_s
        return report

    def sweep(self, slice_s: float = SLICE_S) -> DrainReport:
        """Free what dead workers held, then drain: with this alone everything gets done."""
        self.busy_since_s = time.monotonic()
        try:
            with self._engine.connect() as connection, unit_of_work(connection):
                released_count = release_orphans(connection)
        finally:
            self.busy_since_s = None
        if released_count:
            log.warning("claims.released", count=released_count)
        return self.run(slice_s)

    def _turn(self, connection: Connection, report: DrainReport, take: Take) -> int:
        began_s = self.busy_since_s = time.monotonic()
        try:
            with unit_of_work(connection):
                envelopes = take(connection)
            if not envelopes:
                return 0
            crashpoint.reach("after_claim")
            self._work(connection, envelopes, report)
        finally:
            self.busy_since_s = None
        log.info("batch.processed", count=len(envelopes), duration_ms=round((time.monotonic() - began_s) * 1000))
        return len(envelopes)

    def _work(self, connection: Connection, envelopes: Sequence[Envelope], report: DrainReport) -> None:
        """Program changes one by one, events together; what could not even be read is marked first.

        Events of which Stripe must be asked for the rest come last: they keep nobody waiting.
        """
        changes = [Translated(envelope, ()) for envelope in envelopes if envelope.provider == PROGRAM]
        readings = [self._read(envelope) for envelope in envelopes if envelope.provider != PROGRAM]
        decided = [reading for reading in readings if isinstance(reading, Mark)]
        batch = [reading for reading in readings if isinstance(reading, Translated)]
        incomplete = [reading for reading in readings if isinstance(reading, _Incomplete)]
        self._mark(connection, decided, report)
        for change in changes:
            self._guarded(connection, [change], report, self._rejudge)
        # Descriptions of the catalogue wait until nobody judges: nobody else should wait with them.
        self._guarded(connection, [each for each in batch if each.catalogue], report, self._process)
        self._guarded(connection, [each for each in batch if not each.catalogue], report, self._process)
        self._complete(connection, incomplete, report)

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

    def _read(self, envelope: Envelope) -> "Translated | _Incomplete | Mark":
        try:
            events = events_of(envelope, self._settings)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this event's own
            return failure_mark(envelope, error, self._clock())
        if isinstance(events, NotUsed):
            return Mark(envelope.id, envelope.attempts, InboxState.IGNORED, reason=events.reason)
        if (missing := with_lines_missing(events)) is None:
            return translated(envelope, events)
        if self._stripe is not None:
            return _Incomplete(envelope, missing)
        reason = f"invoice {missing} has more lines than the event carries; set STRIPE_API_KEY to fetch them"
        log.warning("event.waited", inbox_id=envelope.id, reason=reason)
        return Mark(envelope.id, envelope.attempts, InboxState.WAITING, self._clock() + WAITING_DELAY, reason)

    # Asking Stripe for what an event left out.

    def _complete(self, connection: Connection, incomplete: Sequence["_Incomplete"], report: DrainReport) -> None:
        """Fetch and work on what time allows; the rest is given back as not begun."""
        if not incomplete:
            return
        until_s = time.monotonic() + self._fetch_budget_s
        readings: list[Translated | Mark] = []
        for each in incomplete:
            if time.monotonic() > until_s:
                break
            readings.append(self._fetched(each))
            if isinstance(readings[-1], Mark) and readings[-1].state is InboxState.RECEIVED:
                break  # Stripe does not answer one, so it will not answer the others
        self._mark(connection, [reading for reading in readings if isinstance(reading, Mark)], report)
        batch = [reading for reading in readings if isinstance(reading, Translated)]
        self._guarded(connection, batch, report, self._process)
        if left := [each.envelope for each in incomplete[len(readings) :]]:
            log.warning("fetch.postponed", count=len(left))
            with unit_of_work(connection):
                give_back(connection, left, FETCH_DELAY)

    def _fetched(self, incomplete: "_Incomplete") -> Translated | Mark:
        envelope = incomplete.envelope
        assert self._stripe is not None  # or it would wait for a key
        try:
            lines = self._stripe.fetch_invoice_lines(incomplete.invoice_key)
            events = translate(envelope, with_all_lines(envelope.body(), lines))
            if isinstance(events, NotUsed) or with_lines_missing(events) is not None:
                raise TryLater("Stripe's list of the invoice's lines is not complete either")
            return translated(envelope, events)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this event's own
            return failure_mark(envelope, error, self._clock())


@dataclass(frozen=True, slots=True)
class _Incomplete:
    """An envelope that names only the first of an invoice's lines."""

    envelope: Envelope
    invoice_key: str


def _stripe_api(settings: Settings) -> StripeApi | None:
    """Without the SDK's own retries: the inbox carries them, and an answer never takes longer than a claim holds."""
    if settings.stripe_api_key is None:
        return None
    return StripeApi(
        settings.stripe_api_key,
        settings.stripe_api_base,
        timeout_s=(3.0, 8.0),
        network_retries_max=0,
        pages_within_s=15.0,
    )


def _is_the_databases_own(error: Exception) -> bool:
    """Gone, read-only, out of disk or broken: no event is to blame, and no other would fare better."""
    state = sqlstate_of(error) or ""
    return isinstance(error, DBAPIError) and (
        connection_was_lost(error) or state in (READ_ONLY_TRANSACTION, DISK_FULL) or state.startswith("58")
    )
