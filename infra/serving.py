"""An ASGI application served by Granian in this one process, until SIGTERM or SIGINT."""

import asyncio
import signal
import socket
import threading
from collections.abc import Callable
from typing import Any

import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from infra.settings import Settings, SettingsError

#: Also how long a connection may sit idle between two requests.
HEADERS_WITHIN_S = 10
HEADERS_BYTES_MAX = 16 * 1024
CONNECTIONS_MAX = 2048

_ADDRESS = "0.0.0.0"  # noqa: S104 - callers come from outside


def require_addresses(settings: Settings) -> None:
    """Raise SettingsError unless both servers are named."""
    values = {"DATABASE_URL": settings.database_url, "REDIS_URL": settings.redis_url}
    problems = tuple(
        f"{name}: is missing; set it, or let `attribution up` start a server"
        for name, value in values.items()
        if not value
    )
    if problems:
        raise SettingsError(problems)


def require_free_port(name: str, port: int) -> None:
    """The server would share a port that is taken, and half of the requests would go to somebody else's database."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_ADDRESS, port))
        except OSError as error:
            problem = f"{name}: {port} cannot be used ({error.strerror}); stop what uses it, or set another port"
            raise SettingsError((problem,)) from None


def serve(application: Any, port: int, *, announce_stop: Callable[[], None], cut_short: Callable[[], None]) -> None:
    """Serve until told to stop; then `announce_stop`, and, in a thread, `cut_short`, which ends the process."""
    uvloop.run(_serve(application, port, announce_stop, cut_short))


async def _serve(application: Any, port: int, announce_stop: Callable[[], None], cut_short: Callable[[], None]) -> None:
    server = Server(
        application,
        address=_ADDRESS,
        port=port,
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
        announce_stop()
        threading.Thread(target=cut_short, daemon=True).start()
        server.stop()  # type: ignore[no-untyped-call]

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    await server.serve()
