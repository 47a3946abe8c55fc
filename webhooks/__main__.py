"""`python -m webhooks`: the receiver on PORT, in this one process, until SIGTERM or SIGINT."""

import asyncio
import gc
import os
import signal
import socket
import sys
import threading
import time

import structlog
import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from infra.embedded.parent_watch import exit_with_supervisor
from infra.log import configure_logging
from infra.settings import Settings, SettingsError, load_settings
from webhooks.app import Application

#: All there is time for between a SIGTERM and the end: reading a body, committing it, saying so.
STOP_WITHIN_S = 10.0
#: Also how long a connection may sit idle between two requests.
HEADERS_WITHIN_S = 10
HEADERS_BYTES_MAX = 16 * 1024
CONNECTIONS_MAX = 2048

_ADDRESS = "0.0.0.0"  # noqa: S104 - providers come from outside

_log = structlog.get_logger()


def main() -> int:
    """Exit code 0 after a clean stop, 2 when the settings do not do."""
    try:
        settings = load_settings()
        _require(settings)
        _require_free_port(settings.port)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    exit_with_supervisor()
    configure_logging("web", never_block=True, log_format=settings.log_format)
    uvloop.run(_serve(settings))
    return 0


def _require(settings: Settings) -> None:
    values = {"DATABASE_URL": settings.database_url, "REDIS_URL": settings.redis_url}
    problems = tuple(
        f"{name}: is missing; set it, or let `attribution up` start a server"
        for name, value in values.items()
        if not value
    )
    if problems:
        raise SettingsError(problems)


def _require_free_port(port: int) -> None:
    """The server would share a port that is taken, and half of the deliveries would go to somebody else's database."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_ADDRESS, port))
        except OSError as error:
            problem = f"PORT: {port} cannot be used ({error.strerror}); stop what uses it, or set another port"
            raise SettingsError((problem,)) from None


async def _serve(settings: Settings) -> None:
    application = Application(settings)
    server = Server(
        application,
        address=_ADDRESS,
        port=settings.port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        websockets=False,
        backlog=1024,
        backpressure=CONNECTIONS_MAX,
        http1_settings=HTTP1Settings(
            header_read_timeout=HEADERS_WITHIN_S * 1000, max_buffer_size=HEADERS_BYTES_MAX, keep_alive=True
        ),
        log_enabled=False,
    )

    def stop() -> None:
        application.announce_stop()
        threading.Thread(target=_end_in_time, daemon=True).start()
        server.stop()  # type: ignore[no-untyped-call]

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    # What lives as long as the process need not be looked at again by every collection.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    await server.serve()


def _end_in_time() -> None:
    """Nobody was told of anything uncommitted: leaving hard loses nothing but the last answers."""
    time.sleep(STOP_WITHIN_S - 1)
    _log.warning("receiver.cut_short")
    time.sleep(0.2)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
