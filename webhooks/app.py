"""Everything the receiver consists of, wired from the settings and started and stopped in the right order."""

import asyncio
from collections.abc import Callable

import structlog

from infra.broker import Wake
from infra.database import make_engine
from infra.health import health_of
from infra.settings import Settings
from webhooks.answers import Send
from webhooks.batcher import FLUSHERS, Batcher, BatchReport
from webhooks.doors import doors_of
from webhooks.inbox_writer import InboxWriter, connections_of
from webhooks.metrics import Metrics
from webhooks.reading import Receive
from webhooks.receiver import Receiver, Scope
from webhooks.secret_reload import SecretReload, accepted_by

#: Below the deadline of a delivery, so that the server gives up first where it still can.
_STATEMENT_TIMEOUT_S = 4.5
_CONNECT_TIMEOUT_S = 3

_log = structlog.get_logger()


class Application:
    """The receiver with its batcher, wake and connections. Needs `database_url` and `redis_url`."""

    def __init__(self, settings: Settings) -> None:
        assert settings.database_url is not None, "checked by whoever starts the process"
        assert settings.redis_url is not None, "checked by whoever starts the process"
        self._writing = make_engine(
            settings.database_url,
            application_name="webhooks",
            pool_size=FLUSHERS,
            statement_timeout_s=_STATEMENT_TIMEOUT_S,
            connect_timeout_s=_CONNECT_TIMEOUT_S,
            pre_ping=False,
        )
        self._asking = make_engine(
            settings.database_url,
            application_name="webhooks-health",
            pool_size=1,
            statement_timeout_s=_STATEMENT_TIMEOUT_S,
            connect_timeout_s=_CONNECT_TIMEOUT_S,
        )
        self._metrics = Metrics()
        self._wake = Wake(settings.redis_url, on_error=self._metrics.wake_errors.inc)
        self._batcher = Batcher(lambda: InboxWriter(connections_of(self._writing)), self._finished)
        self._health = health_of(self._asking)
        doors = doors_of(settings)
        self._receiver = Receiver(doors, self._batcher, self._health, self._metrics)
        self.reload_secrets = SecretReload(settings, doors, self._receiver.replace_doors, self._metrics.reload)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI: requests go to the receiver; the lifespan starts and stops the rest."""
        if scope["type"] == "http":
            await self._receiver(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        steps: dict[str, Callable[[], object]] = {"startup": self._start, "shutdown": self._stop}
        for name, step in steps.items():
            await receive()
            outcome = step()
            if asyncio.iscoroutine(outcome):
                await outcome
            await send({"type": f"lifespan.{name}.complete"})

    def _start(self) -> None:
        self._wake.start()
        self._batcher.start()
        _log.info("receiver.started", accepted=accepted_by(self._receiver.doors))

    async def _stop(self) -> None:
        await asyncio.to_thread(self._batcher.stop)
        await asyncio.to_thread(self._wake.stop)
        self._writing.dispose()
        self._asking.dispose()
        _log.info("receiver.stopped")

    def announce_stop(self) -> None:
        """Answer `/readyz` with 503 from now on, so that nobody sends new deliveries here."""
        self._health.stopping = True

    def _finished(self, report: BatchReport) -> None:
        """In a flusher's thread. One line per batch names every event in it: a line per delivery costs ten times it."""
        if report.accepted:
            self._wake.ring()
        self._metrics.batch(report)
        if report.unavailable_count:
            _log.warning("batch.failed", unavailable_count=report.unavailable_count, error=report.error)
        if report.accepted or report.duplicates:
            _log.info(
                "batch.committed",
                accepted=report.accepted,
                duplicates=report.duplicates,
                duration_ms=round(report.commit_s * 1000, 1),
            )
