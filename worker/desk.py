"""One pool process's place of work: a drain, a sweep that needs no doorbell, and a watchdog over both."""

import os
import threading
import time
from collections.abc import Callable

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, OperationalError

from infra.database import make_engine
from infra.embedded.parent_watch import exit_when_orphaned
from infra.inbox import counts
from infra.locks import try_chore
from infra.retries import connection_was_lost
from infra.settings import Settings
from infra.unit_of_work import unit_of_work
from worker.drain import Drain

log = structlog.get_logger()

#: A row that no ring announced waits this long at most.
SWEEP_EVERY_S = 1.0
#: Below the inbox lease: who hangs longer is killed while the claim is still its own, and the attempt counts.
HANGS_AFTER_S = 45.0
STATEMENT_TIMEOUT_S = 30.0
#: Exit code of a process that its own watchdog ended.
HUNG_EXIT_CODE = 70
FAILED_EXIT_CODE = 71
_COMPLAINTS_EVERY_S = 10.0
#: A due row that is older than this is a reason to look.
LATE_AFTER_S = 60


class Desk:
    """Drains on request and sweeps by itself; `open` starts its threads."""

    def __init__(self, settings: Settings) -> None:
        assert settings.database_url is not None
        self._engine: Engine = make_engine(
            settings.database_url,
            application_name="attribution-worker",
            pool_size=2,
            statement_timeout_s=STATEMENT_TIMEOUT_S,
        )
        self._drain = Drain(self._engine, settings)
        #: Held while draining: task and sweep of one process never drain at the same time.
        self._draining = threading.Lock()
        self._closing = threading.Event()
        self._complained_s = float("-inf")

    def open(self) -> None:
        """Start to sweep, and to watch that nothing hangs and that the worker's main process lives."""
        exit_when_orphaned()
        for name, work in (("sweep", self._sweep_on), ("watchdog", self._watch_over)):
            threading.Thread(target=self._to_the_end, args=(work,), name=name, daemon=True).start()

    def close(self, timeout_s: float = 8.0) -> None:
        """Let the batch at hand finish, then let go of the database."""
        self._closing.set()
        if self._draining.acquire(timeout=timeout_s):
            self._engine.dispose()

    def drain(self) -> None:
        """Work until nothing is due; at once back if this process is at it already."""
        if self._draining.acquire(blocking=False):
            try:
                self._guarded_drain(sweep=False)
            finally:
                self._draining.release()

    def watch(self) -> None:
        """Log how the inbox stands, once however many are asked at the same time."""
        try:
            with self._engine.connect() as connection, unit_of_work(connection):
                if not try_chore(connection, 1):
                    return
                found = counts(connection)
        except DBAPIError as error:
            self._complain(error)
            return
        late = found["oldest_due_s"] > LATE_AFTER_S
        (log.warning if late or found["dead"] else log.info)("inbox.watched", late=late, **found)

    def _sweep_on(self) -> None:
        while not self._closing.wait(SWEEP_EVERY_S):
            if self._draining.acquire(blocking=False):
                try:
                    self._guarded_drain(sweep=True)
                finally:
                    self._draining.release()

    def _to_the_end(self, work: Callable[[], None]) -> None:
        """A desk without its threads would look alive and do nothing: a fault of theirs ends the process."""
        try:
            work()
        except BaseException:
            log.critical("worker.failed", exc_info=True)
            os._exit(FAILED_EXIT_CODE)

    def _guarded_drain(self, *, sweep: bool) -> None:
        try:
            report = self._drain.sweep() if sweep else self._drain.run()
            while report.more and not self._closing.is_set():
                report = self._drain.run()
        except OperationalError as error:
            self._complain(error)
            if connection_was_lost(error):
                self._engine.dispose()
        except DBAPIError as error:
            self._complain(error)

    def _complain(self, error: DBAPIError) -> None:
        now_s = time.monotonic()
        if now_s - self._complained_s > _COMPLAINTS_EVERY_S:
            self._complained_s = now_s
            log.warning("database.unreachable", error=type(error.orig).__name__)

    def _watch_over(self) -> None:
        while not self._closing.wait(1.0):
            since_s = self._drain.busy_since_s
            if since_s is not None and time.monotonic() - since_s > HANGS_AFTER_S:
                log.critical("worker.hung", seconds=round(time.monotonic() - since_s))
                os._exit(HUNG_EXIT_CODE)
