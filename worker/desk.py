"""One pool process's place of work: hands to drain with, a sweep that needs no doorbell, a courier, and a watchdog."""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from sqlalchemy import Engine, make_url
from sqlalchemy.exc import DBAPIError

from infra.checks import Step, consistent, take_step
from infra.clock import Clock, system_clock
from infra.database import make_engine, oldest_transaction
from infra.embedded.parent_watch import exit_when_orphaned
from infra.erasure import take_erasure_step
from infra.inbox import counts
from infra.ledger.moves import PORTION, release
from infra.locks import try_chore
from infra.retries import connection_was_lost, is_transient
from infra.settings import Settings
from infra.tallies import fold
from infra.unit_of_work import unit_of_work
from worker.courier import Courier
from worker.drain import DrainReport
from worker.hands import Hands
from worker.reconciling import Reconciling

log = structlog.get_logger()

STATEMENT_TIMEOUT_S = 30.0
#: Exit code of a process that its own watchdog ended.
HUNG_EXIT_CODE = 70
FAILED_EXIT_CODE = 71
_COMPLAINTS_EVERY_S = 10.0
#: How long one ring goes on checking invariants, or erasing.
CHECK_SLICE_S = 2.0
#: A due row that is older than this is a reason to look.
LATE_AFTER_S = 60


@dataclass(frozen=True, slots=True)
class DeskTimes:
    """How patient a desk is, in seconds."""

    #: A row that no ring announced waits this long at most.
    sweep_every_s: float = 1.0
    #: Below the inbox lease: who hangs longer is killed while the claim is still its own, and the attempt counts.
    hangs_after_s: float = 45.0
    #: A transaction that is open for so long is complained of.
    held_after_s: float = 300.0
    #: For the batch at hand when the process is to end.
    close_within_s: float = 6.0


class Desk:
    """Drains on request and sweeps by itself; `open` starts its threads."""

    def __init__(self, settings: Settings, times: DeskTimes = DeskTimes(), clock: Clock = system_clock) -> None:
        assert settings.database_url is not None
        self._times = times
        self._clock = clock
        self._settings = settings
        self._engine = _engine(settings.database_url, times)
        self._closing = threading.Event()
        self._hands = Hands(self._engine, settings, stopping=self._closing)
        self._reconciling = Reconciling(settings, self._closing, clock)
        #: Held while draining: task and sweep of one process never drain at the same time.
        self._draining = threading.Lock()
        self._more = threading.Event()
        self._complained_s = float("-inf")
        self._courier = Courier(
            self._engine,
            settings,
            clock,
            every_s=times.sweep_every_s,
            closing=self._closing,
            complain=self._complain,
        )

    def open(self) -> None:
        """Start to sweep, and to watch that nothing hangs and that the worker's main process lives."""
        exit_when_orphaned()
        threads = {"sweep": self._sweep_on, "courier": self._courier.run, "watchdog": self._watch_over}
        if self._reconciling.has_providers:
            threads["reconciler"] = self._reconciling.run
        for name, work in threads.items():
            threading.Thread(target=self._to_the_end, args=(work,), name=name, daemon=True).start()

    def close(self) -> None:
        """Let the batch at hand finish, begin no other, and let go of the database."""
        self._closing.set()
        self._more.set()
        self._courier.tell()
        if self._draining.acquire(timeout=self._times.close_within_s):
            self._engine.dispose()
            self._draining.release()

    def drain(self) -> None:
        """Work on what is due, for a slice of time; at once back if this process is at it already.

        Celery waits for its tasks when it is told to stop: what a slice leaves is taken on by the sweep.
        """
        if not self._closing.is_set() and self._draining.acquire(blocking=False):
            try:
                self._guarded(self._hands.run)
            finally:
                self._draining.release()

    def deliver(self) -> None:
        """Have the courier look at once for webhooks to deliver; does not wait for it."""
        self._courier.tell()

    def watch(self) -> None:
        """Log how the inbox stands, and fold the tallies, once however many are asked at the same time."""
        try:
            with self._engine.connect() as connection, unit_of_work(connection):
                if not try_chore(connection, 1):
                    return
                found = counts(connection)
                fold(connection)
                oldest = oldest_transaction(connection)
        except DBAPIError as error:
            self._complain(error)
            return
        late = found["oldest_due_s"] > LATE_AFTER_S
        (log.warning if late or found["dead"] else log.info)("inbox.watched", late=late, **found)
        if oldest is not None and oldest[0] > self._times.held_after_s:
            log.warning("database.held", seconds=round(oldest[0]), by=oldest[1])

    def release(self) -> None:
        """Move commissions whose day has come, portion by portion, once however many are asked at the same time."""
        try:
            more = True
            while more and not self._closing.is_set():
                with self._engine.connect() as connection, unit_of_work(connection):
                    if not try_chore(connection, 2):
                        return
                    count = release(connection, self._clock(), self._settings.hold_days)
                if count:
                    log.info("commissions.released", count=count)
                more = count >= PORTION
        except DBAPIError as error:
            self._complain(error)

    def check(self) -> None:
        """Go on with the check of the invariants for a slice of time, once however many are asked at the same time.

        Celery waits for its tasks when it is told to stop: what a slice leaves is taken on at the next ring.
        """
        self._for_a_slice(self._check_step)

    def erase(self) -> None:
        """Go on with the erasures that were asked for, for a slice of time, as `check` does."""
        self._for_a_slice(self._erase_step)

    def _for_a_slice(self, step: Callable[[], bool]) -> None:
        """Step by step until the slice is over or a step finds nothing to do."""
        until_s = time.monotonic() + CHECK_SLICE_S
        try:
            while time.monotonic() < until_s and not self._closing.is_set() and step():
                pass
        except DBAPIError as error:
            if not is_transient(error) or connection_was_lost(error):
                self._complain(error)

    def _check_step(self) -> bool:
        with consistent(self._engine) as connection, unit_of_work(connection):
            step = take_step(connection, self._clock()) if try_chore(connection, 3) else None
        if step is not None:
            _log_step(step)
        return step is not None

    def _erase_step(self) -> bool:
        with self._engine.connect() as connection, unit_of_work(connection):
            return take_erasure_step(connection, self._settings, self._clock())

    def reconcile(self) -> None:
        """Look whether it is time to compare with the providers' books; the thread beside the drain does it."""
        self._reconciling.ring()

    def _sweep_on(self) -> None:
        while not self._closing.is_set():
            self._more.wait(self._times.sweep_every_s)
            self._more.clear()
            if not self._closing.is_set() and self._draining.acquire(blocking=False):
                try:
                    self._guarded(self._hands.sweep)
                finally:
                    self._draining.release()

    def _to_the_end(self, work: Callable[[], None]) -> None:
        """A desk without its threads would look alive and do nothing: a fault of theirs ends the process."""
        try:
            work()
        except BaseException:
            log.critical("worker.failed", exc_info=True)
            os._exit(FAILED_EXIT_CODE)

    def _guarded(self, work: Callable[[], DrainReport]) -> None:
        try:
            report = work()
            if report.processed_count:
                self._courier.tell()
            if report.more:
                self._more.set()
        except DBAPIError as error:
            # With the connections their claims are void, and the next sweep finds them, here or elsewhere.
            self._engine.dispose()
            self._complain(error)

    def _complain(self, error: DBAPIError) -> None:
        now_s = time.monotonic()
        if now_s - self._complained_s > _COMPLAINTS_EVERY_S:
            self._complained_s = now_s
            log.warning("database.unreachable", error=type(error.orig).__name__)

    def _watch_over(self) -> None:
        limit_s = self._times.hangs_after_s
        while not self._closing.wait(min(1.0, limit_s / 4)):
            since_s = self._hands.busy_since_s
            if since_s is not None and time.monotonic() - since_s > limit_s:
                log.critical("worker.hung", seconds=round(time.monotonic() - since_s))
                os._exit(HUNG_EXIT_CODE)


def _log_step(step: Step) -> None:
    for breach in step.found:
        log.error("invariant.broken", invariant=breach.invariant, subject=breach.subject, complaint=breach.message)
    if (whole := step.finished) is not None:
        (log.error if whole.breaches else log.info)(
            "books.checked",
            transactions=whole.transactions_count,
            commissions=whole.commissions_count,
            events=whole.events_count,
            breaches=len(whole.breaches),
            more=whole.more,
        )


def _engine(database_url: str, times: DeskTimes) -> Engine:
    """Connections to drain (two), watch and deliver. A stalled process must not hold its customers' locks for ever."""
    address = make_url(database_url)
    limit = f"-c idle_in_transaction_session_timeout={round(times.hangs_after_s * 1000)}"
    options = " ".join(filter(None, (str(address.query.get("options", "")), limit)))
    return make_engine(
        address.update_query_dict({"options": options}).render_as_string(hide_password=False),
        application_name="attribution-worker",
        pool_size=4,
        statement_timeout_s=STATEMENT_TIMEOUT_S,
    )
