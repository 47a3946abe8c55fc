"""The steps of one run. Each asks the provider first and then, in one transaction, writes what it learnt and where to
go on: killed anywhere, the same step is done again, and doing it twice stores nothing twice.
"""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Final

import msgspec
import structlog
from sqlalchemy import Connection

from domain.differences import Kind
from domain.portions import together
from domain.reconcile import Report, repaired
from infra import crashpoint
from infra.clock import Clock
from infra.program import ProgramReader
from infra.reconciliation import runs, stored
from infra.reconciliation.comparing import Compared, Comparer, customer_event, is_told
from infra.reconciliation.provider import ListedEvent, Provider
from infra.reconciliation.reporting import events_report, whole_report
from infra.reconciliation.runs import Phase, Progress, Run
from infra.unit_of_work import unit_of_work

log = structlog.get_logger()

#: Events are listed again from so long before the last list's end: some show up late.
OVERLAP: Final = timedelta(hours=1)
#: Paid invoices, refunds, credit notes and disputes are compared that were made since so long before the run, or since
#: the gap in the events began.
LOOK_BACK: Final = timedelta(days=30)
#: How often it is looked whether what was stored is processed, and for how long in all.
SETTLING_DELAY: Final = timedelta(seconds=1)
SETTLING_MAX: Final = timedelta(minutes=15)
#: How many of our own objects the provider is asked for one by one.
EXTRAS_MAX: Final = 200
#: How many keys of events a report names.
KEYS_MAX: Final = 100

_KINDS: Final = {
    Phase.SUBSCRIPTIONS: Kind.SUBSCRIPTION,
    Phase.INVOICES: Kind.INVOICE,
    Phase.REFUNDS: Kind.REFUND,
    Phase.CREDIT_NOTES: Kind.CREDIT_NOTE,
    Phase.DISPUTES: Kind.DISPUTE,
}


class Steps:
    """One step of one run; made anew for each."""

    def __init__(
        self, connection: Connection, provider: Provider, run: Run, reader: ProgramReader, clock: Clock
    ) -> None:
        self._connection = connection
        self._provider = provider
        self._run = run
        self._reader = reader
        self._clock = clock
        self._now = clock()

    def step(self) -> None:
        """Do what is next. Raises TryLater and CannotProcess, with nothing written."""
        if self._run.until is None:
            self._begin()
        steps: dict[Phase, Callable[[], None]] = {
            Phase.EVENTS: self._list_events,
            Phase.SETTLING: self._settle,
            **dict.fromkeys(_KINDS, self._list_objects),
            Phase.EXTRAS: self._ask_for_extras,
            Phase.COMPARING: self._compare,
            Phase.CUSTOMERS: self._ask_for_customer,
            Phase.REPAIRING: self._settle,
            Phase.REPORTING: self._report,
        }
        steps[self._run.phase]()

    def give_up(self, reason: str) -> bool:
        """The provider refuses what the phase at hand asks for: begin its list again, or go on without it.

        False: there is nothing to go on to.
        """
        run = self._run
        if run.until is None or run.phase not in (Phase.EVENTS, *_KINDS):
            return False
        with unit_of_work(self._connection):
            if (kind := _KINDS.get(run.phase)) is not None:
                stored.forget_objects(self._connection, run.id, kind)
            if run.cursor is not None:
                run.cursor = None
                run.progress.events_listed = 0
            else:
                run.progress.refused[run.phase] = reason
                self._go_on()
                if run.phase is Phase.EXTRAS:
                    self._note_extras()
            runs.save(self._connection, run, self._now)
        return True

    def _begin(self) -> None:
        """Settle which stretch of time it is about."""
        run, now = self._run, self._now
        with unit_of_work(self._connection):
            listed_until = runs.watermark(self._connection, self._provider.name)
        earliest = now - self._provider.keeps_events
        gap_since = earliest if listed_until is None else listed_until - OVERLAP
        wanted = run.asked_since or gap_since
        run.until = now
        run.events_since = max(wanted, earliest)
        run.since = run.asked_since or min(gap_since, now - LOOK_BACK)
        run.progress.events_lost_since = listed_until if listed_until is not None and listed_until < earliest else None
        run.progress.phase_since = now

    # Events.

    def _list_events(self) -> None:
        run = self._run
        assert run.events_since is not None and run.until is not None  # `_begin` has been there
        page = self._provider.list_events(run.events_since, run.cursor)
        told = [event for event in page.found if is_told(self._provider, event)]
        with unit_of_work(self._connection):
            missing = stored.unknown_events(self._connection, run.provider, told)
            if not run.dry_run:
                keys = stored.store_events(self._connection, run.provider, missing, run.id)
                missing = [event for event in missing if event.event_key in keys]
            _count(run.progress, len(page.found), missing)
            run.cursor = page.after
            if page.after is None:
                if not run.dry_run and run.asked_since is None:
                    runs.move_watermark(self._connection, run.provider, run.until)
                self._go_on()
            self._save()
        log.info("events.listed", reconciliation=run.id, count=len(page.found), missing_count=len(missing))

    # Waiting for the inbox.

    def _settle(self) -> None:
        """What was stored goes the way of every event; when that is done, or takes too long, go on."""
        run = self._run
        with unit_of_work(self._connection):
            due = stored.open_count(self._connection, run.id)
            late = self._now - (run.progress.phase_since or self._now) > SETTLING_MAX
            if due and not late:
                runs.save(self._connection, run, self._now + SETTLING_DELAY)
                return
            if late:
                log.warning("reconciliation.unsettled", reconciliation=run.id, due_count=due)
            self._go_on()
            self._save()

    # Objects.

    def _list_objects(self) -> None:
        run = self._run
        assert run.since is not None
        kind = _KINDS[run.phase]
        page = self._provider.list_objects(kind, run.since, run.cursor)
        with unit_of_work(self._connection):
            stored.store_objects(self._connection, run.id, kind, page.found, self._now)
            run.cursor = page.after
            if page.after is None:
                self._go_on()
                if run.phase is Phase.EXTRAS:
                    self._note_extras()
            self._save()
        log.info("objects.listed", reconciliation=run.id, kind=kind, count=len(page.found))

    def _note_extras(self) -> None:
        """Of what could not be listed, nothing is extra."""
        run = self._run
        assert run.since is not None and run.until is not None
        for phase, kind in _KINDS.items():
            if phase not in run.progress.refused and kind in self._provider.shown_by_key:
                stored.note_extras(self._connection, run.id, run.provider, kind, run.since, run.until)

    def _ask_for_extras(self) -> None:
        """One of ours that the lists did not show: it may only be outside their window."""
        run = self._run
        with unit_of_work(self._connection):
            extras = stored.extras(self._connection, run.id, 1) if run.progress.extras_asked < EXTRAS_MAX else []
        shown = self._provider.fetch_object(*extras[0]) if extras else None
        with unit_of_work(self._connection):
            if not extras:
                self._go_on()
            elif shown is None:
                stored.note_absent(self._connection, run.id, *extras[0], self._now)
            else:
                stored.store_objects(self._connection, run.id, extras[0][0], [shown], self._now)
            run.progress.extras_asked += len(extras)
            self._save()

    # Comparing and repairing.

    def _compared(self, repair: Callable[[Compared], None]) -> Report:
        reports = []
        for compared in Comparer(self._connection, self._provider, self._run, self._reader).portions():
            self._run.progress.unreadable |= compared.unreadable
            repair(compared)
            reports.append(compared.report)
        return together(reports[0].window, reports)

    def _compare(self) -> None:
        """Portion by portion what differs is stored; begun again, the same is stored once."""
        run = self._run
        customers: set[str] = set()

        def repair(compared: Compared) -> None:
            with unit_of_work(self._connection):
                keys = stored.store_events(self._connection, run.provider, compared.events, run.id)
            run.progress.repairs_stored += len(keys)
            customers.update(compared.customers)

        found = self._compared(_nothing if run.dry_run else repair)
        with unit_of_work(self._connection):
            if run.dry_run:
                runs.finish(self._connection, run, self._now, whole_report(run, found, None), None)
            else:
                run.progress.customers = sorted(customers)
                runs.save_found(self._connection, run, msgspec.json.encode(found))
                self._go_on()
                self._save()
        log.info("books.compared", reconciliation=run.id, repairs_count=run.progress.repairs_stored)

    def _ask_for_customer(self) -> None:
        """Without a word about the customer nobody could ever be paid for what was repaired."""
        run = self._run
        key = run.progress.customers[0] if run.progress.customers else None
        shown = self._provider.fetch_customer(key) if key is not None else None
        with unit_of_work(self._connection):
            if shown is not None:
                event = customer_event(self._provider, shown, self._now)
                stored.store_events(self._connection, run.provider, [event], run.id)
            del run.progress.customers[:1]
            if not run.progress.customers:
                self._go_on()
            self._save()

    def _report(self) -> None:
        run = self._run
        after = self._compared(_nothing)
        with unit_of_work(self._connection):
            before = msgspec.convert(runs.load_found(self._connection, run), Report)
            report = whole_report(run, before, (after, repaired(before, after)))
            runs.finish(self._connection, run, self._now, report, None)
        self._log_end()

    # Going on.

    def _go_on(self) -> None:
        """To the next phase."""
        run = self._run
        phases = list(Phase)
        run.phase = phases[phases.index(run.phase) + 1]
        run.cursor = None
        run.progress.phase_since = self._now
        if run.dry_run and run.phase is Phase.SETTLING:
            self._go_on()

    def _save(self) -> None:
        """Within the step's transaction: it is over, or goes on at once."""
        run = self._run
        over = run.scope == "events" and run.phase is Phase.SUBSCRIPTIONS
        if over:
            runs.finish(self._connection, run, self._now, events_report(run), None)
            self._log_end()
        else:
            runs.save(self._connection, run, self._now)
        crashpoint.reach("before_page_commit")

    def _log_end(self) -> None:
        log.info("reconciliation.finished", reconciliation=self._run.id, provider=self._run.provider)


def _nothing(_: Compared) -> None:
    """Nothing is repaired."""


def _count(progress: Progress, listed: int, missing: list[ListedEvent]) -> None:
    progress.events_listed += listed
    types = Counter(progress.events_missing) + Counter(event.event_type for event in missing)
    progress.events_missing = dict(sorted(types.items()))
    room = max(0, KEYS_MAX - len(progress.event_keys))
    progress.event_keys += [event.event_key for event in missing][:room]
