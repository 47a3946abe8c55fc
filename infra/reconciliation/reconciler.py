"""Runs reconciliations, step by step: one request or one comparison, then one commit that says how far it has come.

One process at a time works on a provider, by a lock that its connection holds and that goes with it. What the provider
cannot answer now is tried again later; the inbox and its workers never wait for it.
"""

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

import structlog
from sqlalchemy import Connection, Engine, text

from domain.errors import TryLater
from infra import crashpoint
from infra.clock import Clock, system_clock
from infra.failures import reason_of
from infra.program import ProgramReader
from infra.reconciliation.provider import Provider
from infra.reconciliation.runs import Run, Scope, finish, next_due, postpone, request_due
from infra.reconciliation.steps import Steps
from infra.retries import connection_was_lost, next_attempt
from infra.settings import Settings
from infra.unit_of_work import unit_of_work

log = structlog.get_logger()

#: How often the schedule looks for gaps, and at everything.
EVERY: Final[dict[Scope, timedelta]] = {"events": timedelta(hours=1), "whole": timedelta(days=1)}
#: What a provider refuses is no better for asking often.
REFUSALS_MAX: Final = 3
_LOCK: Final = 0x5045


class Reconciler:
    """Works on the runs of the providers there is an API key for; not to be shared between threads."""

    def __init__(
        self, engine: Engine, settings: Settings, providers: Mapping[str, Provider], clock: Clock = system_clock
    ) -> None:
        self._engine = engine
        self._providers = providers
        self._clock = clock
        self._reader = ProgramReader(settings)

    def schedule(self) -> None:
        """Ask for the runs whose time has come."""
        for name in self._providers:
            with self._engine.connect() as connection, unit_of_work(connection):
                run_id = request_due(connection, name, self._clock(), EVERY)
            if run_id is not None:
                log.info("reconciliation.requested", reconciliation=run_id, provider=name)

    def work(self, slice_s: float = 5.0, stopping: Callable[[], bool] = lambda: False) -> bool:
        """Step on with whatever is due until the slice is over; whether something was left that is due at once."""
        until_s = time.monotonic() + slice_s
        more = False
        for name, provider in self._providers.items():
            with self._engine.connect() as connection, _alone(connection, name) as alone:
                while alone and not stopping() and (more := self._step(connection, provider)):
                    if time.monotonic() > until_s:
                        return True
        return more

    def _step(self, connection: Connection, provider: Provider) -> bool:
        """One step of the provider's oldest run, if that is due."""
        with unit_of_work(connection):
            run = next_due(connection, provider.name, self._clock())
        if run is None:
            return False
        steps = Steps(connection, provider, run, self._reader, self._clock)
        try:
            steps.step()
        except Exception as error:
            if connection_was_lost(error):
                raise
            self._failed(connection, steps, run, error)
        crashpoint.reach("after_page")
        return True

    def _failed(self, connection: Connection, steps: Steps, run: Run, error: Exception) -> None:
        """Again later; what is refused or faulty is left out after a few times, or ends the run."""
        now, reason = self._clock(), reason_of(error)
        hopeless = not isinstance(error, TryLater) and run.attempts + 1 >= REFUSALS_MAX
        if hopeless and steps.give_up(reason):
            return
        patience_s = (error.again_after_s or 0) if isinstance(error, TryLater) else 0
        due_at = None if hopeless else next_attempt(run.attempts + 1, now, random.random())  # noqa: S311 - jitter
        with unit_of_work(connection):
            if due_at is None:
                finish(connection, run, now, None, reason)
            else:
                due_at = max(due_at, now + timedelta(seconds=patience_s))
                postpone(connection, run, due_at, reason)
        event = "reconciliation.failed" if due_at is None else "reconciliation.postponed"
        log.warning(
            event, reconciliation=run.id, provider=run.provider, phase=run.phase, reason=reason, again_at=due_at
        )


@contextmanager
def _alone(connection: Connection, provider: str) -> Iterator[bool]:
    """Whether this connection is the only one to work on the provider, until it lets go or is gone."""
    names = {"a": _LOCK, "provider": provider}
    with unit_of_work(connection):
        taken = bool(connection.scalar(text("select pg_try_advisory_lock(:a, hashtext(:provider))"), names))
    try:
        yield taken
    finally:
        # A broken connection has let go by being broken.
        if taken and not connection.invalidated and not connection.closed:
            with unit_of_work(connection):
                connection.execute(text("select pg_advisory_unlock(:a, hashtext(:provider))"), names)
