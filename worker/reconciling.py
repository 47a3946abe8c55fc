"""A pool process's part in reconciliation: a thread of its own: no event ever waits for a provider."""

import threading

import structlog
from sqlalchemy.exc import DBAPIError

from infra.clock import Clock, system_clock
from infra.database import make_engine
from infra.reconciliation.providers import providers_of
from infra.reconciliation.reconciler import Reconciler
from infra.settings import Settings

log = structlog.get_logger()

STATEMENT_TIMEOUT_S = 60.0


class Reconciling:
    """Steps on with runs that are due, of every provider there is an API key for; one process at a time for each."""

    def __init__(
        self, settings: Settings, closing: threading.Event, clock: Clock = system_clock, *, look_every_s: float = 2.0
    ) -> None:
        assert settings.database_url is not None
        self._engine = make_engine(
            settings.database_url,
            application_name="attribution-reconciler",
            pool_size=1,
            statement_timeout_s=STATEMENT_TIMEOUT_S,
        )
        providers = providers_of(settings)
        self.has_providers = bool(providers)
        self._reconciler = Reconciler(self._engine, settings, providers, clock)
        self._closing = closing
        self._look_every_s = look_every_s
        #: Set by a ring: the schedule is looked at.
        self._rung = threading.Event()

    def ring(self) -> None:
        """The schedule may have something; never waits."""
        self._rung.set()

    def run(self) -> None:
        """Work until closing; the body of a thread of its own."""
        more = False
        while not self._closing.is_set():
            if not more:
                self._closing.wait(self._look_every_s)
            more = self._look()
        self._engine.dispose()

    def _look(self) -> bool:
        try:
            if self._rung.is_set():
                self._rung.clear()
                self._reconciler.schedule()
            return self._reconciler.work(stopping=self._closing.is_set)
        except DBAPIError as error:
            # What was being done is done again when the database is back: every step is one commit.
            self._engine.dispose()
            log.warning("reconciliation.interrupted", error=type(error.orig).__name__)
            return False
