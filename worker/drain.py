"""Drain the inbox: claim what is due, work it in batches, isolate what fails, count what kills.

A batch that fails is halved until the one bad event stands alone; the others are done. An event whose worker died
with it comes back alone, as a suspect. Safe to run anywhere, any number of times: claims keep drains apart.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from domain.errors import CannotProcess
from domain.facts import BillingEvent, InvoicePaid, NotUsed
from infra import crashpoint
from infra.clock import Clock, system_clock
from infra.inbox import (
    ClaimLost,
    Envelope,
    InboxState,
    Mark,
    claim,
    claim_suspect,
    mark,
    release_orphans,
)
from infra.program import ProgramReader
from infra.program_changes import PROVIDER as PROGRAM
from infra.providers.registry import TRANSLATORS
from infra.providers.stripe.client import StripeApi
from infra.providers.stripe.invoice_lines import with_all_lines
from infra.retries import connection_was_lost
from infra.settings import Settings
from infra.unit_of_work import unit_of_work
from worker.batch import BatchResult, Translated, process, rejudge
from worker.failures import failure_mark

log = structlog.get_logger()

Take = Callable[[Connection], list[Envelope]]
Work = Callable[[Connection, Sequence[Translated]], BatchResult]

#: Envelopes claimed at once: enough to spread the cost of a batch's statements, few enough to be done in a second.
BATCH = 200
#: After this long a drain lets its caller look at other things; what is still due rings again.
SLICE_S = 5.0
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

    def __init__(self, engine: Engine, settings: Settings, clock: Clock = system_clock) -> None:
        self._engine = engine
        self._settings = settings
        self._clock = clock
        self._reader = ProgramReader(settings)
        self._stripe = StripeApi(settings.stripe_api_key, settings.stripe_api_base) if settings.stripe_api_key else None
        #: Monotonic seconds at which the work at hand began; None between two. The watchdog reads it.
        self.busy_since_s: float | None = None

    def run(self, slice_s: float = SLICE_S) -> DrainReport:
        """Work until nothing is due or the slice is over. Raises only when the database is out of reach."""
        report = DrainReport()
        began_s = time.monotonic()
        with self._engine.connect() as connection:
            while not report.more:
                fresh = self._turn(connection, report, lambda taken: claim(taken, BATCH))
                suspect = self._turn(connection, report, claim_suspect)
                if not fresh and not suspect:
                    return report
                report.more = time.monotonic() - began_s > slice_s
        return report

    def sweep(self) -> DrainReport:
        """Free what dead workers held, then drain: with this alone everything gets done."""
        with self._engine.connect() as connection, unit_of_work(connection):
            released_count = release_orphans(connection)
        if released_count:
            log.warning("claims.released", count=released_count)
        return self.run()

    def _turn(self, connection: Connection, report: DrainReport, take: Take) -> bool:
        with unit_of_work(connection):
            envelopes = take(connection)
        if not envelopes:
            return False
        crashpoint.reach("after_claim")
        began_s = self.busy_since_s = time.monotonic()
        try:
            self._work(connection, envelopes, report)
        finally:
            self.busy_since_s = None
        log.info("batch.processed", count=len(envelopes), duration_ms=round((time.monotonic() - began_s) * 1000))
        return True

    def _work(self, connection: Connection, envelopes: Sequence[Envelope], report: DrainReport) -> None:
        """Program changes one by one, events together; what could not even be read is marked first."""
        changes = [Translated(envelope, ()) for envelope in envelopes if envelope.provider == PROGRAM]
        readings = [self._read(envelope) for envelope in envelopes if envelope.provider != PROGRAM]
        decided = [reading for reading in readings if isinstance(reading, Mark)]
        batch = [reading for reading in readings if isinstance(reading, Translated)]
        self._mark(connection, decided, report)
        for change in changes:
            self._guarded(connection, [change], report, self._rejudge)
        if batch:
            self._guarded(connection, batch, report, self._process)

    def _guarded(self, connection: Connection, batch: Sequence[Translated], report: DrainReport, work: Work) -> None:
        """Do the work in one transaction; on failure halve it, until one event stands alone with its error."""
        try:
            with unit_of_work(connection):
                result = work(connection, batch)
        except ClaimLost as error:
            log.warning("claims.lost", count=len(batch), reason=str(error))
        except Exception as error:
            if isinstance(error, DBAPIError) and connection_was_lost(error):
                raise
            if len(batch) > 1:
                middle = len(batch) // 2
                self._guarded(connection, batch[:middle], report, work)
                self._guarded(connection, batch[middle:], report, work)
            else:
                self._mark(connection, [failure_mark(batch[0].envelope, error, self._clock())], report)
        else:
            report.count(result.marks)
            _log_entries(result)

    def _mark(self, connection: Connection, marks: Sequence[Mark], report: DrainReport) -> None:
        try:
            with unit_of_work(connection):
                mark(connection, marks)
        except ClaimLost as lost:
            log.warning("claims.lost", count=len(marks), reason=str(lost))
        else:
            report.count(marks)

    def _process(self, connection: Connection, batch: Sequence[Translated]) -> BatchResult:
        return process(connection, batch, self._reader)

    def _rejudge(self, connection: Connection, batch: Sequence[Translated]) -> BatchResult:
        return rejudge(connection, batch[0].envelope, self._reader, self._clock)

    # Before the transaction: what an envelope says, asking its provider for what it left out.

    def _read(self, envelope: Envelope) -> Translated | Mark:
        try:
            events = self._events(envelope)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this event's own
            return failure_mark(envelope, error, self._clock())
        if isinstance(events, NotUsed):
            return Mark(envelope.id, envelope.attempts, InboxState.IGNORED, reason=events.reason)
        if self._stripe is None and (missing := _with_lines_missing(events)) is not None:
            reason = f"invoice {missing} has more lines than the event carries; set STRIPE_API_KEY to fetch them"
            due = self._clock() + WAITING_DELAY
            log.warning("event.waited", inbox_id=envelope.id, reason=reason)
            return Mark(envelope.id, envelope.attempts, InboxState.WAITING, due, reason)
        return Translated(envelope, events)

    def _events(self, envelope: Envelope) -> tuple[BillingEvent, ...] | NotUsed:
        wanted = self._settings.stripe_mode
        if wanted != "any" and envelope.livemode is not None and envelope.livemode != (wanted == "live"):
            return NotUsed(f"an event of {'live' if envelope.livemode else 'test'} mode, and STRIPE_MODE is {wanted}")
        translate = TRANSLATORS.get(envelope.provider)
        if translate is None:
            raise CannotProcess(f"nothing translates events of {envelope.provider} yet")
        place = (envelope.event_type, envelope.event_key, envelope.occurred_at)
        body = envelope.body()
        events = translate(*place, body)
        if isinstance(events, NotUsed) or self._stripe is None:
            return events
        if (missing := _with_lines_missing(events)) is None:
            return events
        return translate(*place, with_all_lines(body, self._stripe.fetch_invoice_lines(missing)))


def _with_lines_missing(events: Iterable[BillingEvent]) -> str | None:
    """The invoice of which only the first page of lines is known."""
    return next((e.invoice_key for e in events if isinstance(e, InvoicePaid) and e.lines_missing), None)


def _log_entries(result: BatchResult) -> None:
    for entry, cause in result.entries:
        log.info(
            "commission.booked",
            commission=entry.commission_key,
            partner=entry.claimant.partner_key,
            transaction=entry.claimant.transaction_key,
            line=entry.claimant.line_key,
            amount_minor=entry.amount_minor,
            balance_minor=entry.balance_minor,
            currency=entry.claimant.currency,
            cause=cause,
        )
