"""An ASGI application served by Granian in this one process, until SIGTERM or SIGINT."""

import asyncio
import ctypes
import os
import signal
import socket
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from infra.embedded.parent_watch import exit_with_supervisor
from infra.hangup import Terminal
from infra.log import configure_logging
from infra.settings import Settings, SettingsError, load_settings

#: Also how long a connection may sit idle between two requests.
HEADERS_WITHIN_S = 10
HEADERS_BYTES_MAX = 16 * 1024
CONNECTIONS_MAX = 2048

#: From the signal to stop to the stop itself: for whoever has connected to send the request.
LAST_REQUESTS_WITHIN_S = 0.3

#: All there is time for between a SIGTERM and the end: reading a body, committing it, saying so. `attribution up` waits
#: no longer either.
STOP_WITHIN_S = 10.0

#: Linux's number for it; Python has no name.
_SO_ATTACH_FILTER = 26

_ADDRESS = "0.0.0.0"  # noqa: S104 - callers come from outside


def begin(
    process: str, port_name: str, port_of: Callable[[Settings], int], *, never_block: bool = False
) -> Settings | None:
    """Get ready to serve: settings read, port free, log set up; None where that cannot be, after saying why."""
    try:
        settings = load_settings()
        require_addresses(settings)
        require_free_port(port_name, port_of(settings))
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return None
    exit_with_supervisor()
    configure_logging(process, never_block=never_block, log_format=settings.log_format)
    return settings


def end_in_time(complain: Callable[[], None]) -> None:
    """End a process that was told to stop and does not: nobody was promised what is not committed."""
    time.sleep(STOP_WITHIN_S - 1)
    complain()
    time.sleep(0.2)
    os._exit(1)


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


class _Filter(ctypes.Structure):
    """Linux's `sock_fprog`: how many instructions a packet filter has, and where they are."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def leave_newcomers_waiting(port: int) -> None:
    """From now on nobody connects to `port`: their packets are dropped, and their system knocks again after a second.

    By then the next process listens, or nobody does and they are refused. Closing the socket instead would reset
    those who have connected and are not accepted yet. Does nothing where the system has no such filter, or forbids it.
    """
    drop_all = ctypes.create_string_buffer(b"\x06\0\0\0\0\0\0\0", 8)  # one instruction: keep 0 bytes
    program = bytes(_Filter(1, ctypes.addressof(drop_all)))
    for listener in _listening_at(port):
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


def _listening_at(port: int) -> Iterator[socket.socket]:
    """The server does not tell its socket; the system lists what this process has open."""
    for number in [int(entry.name) for entry in Path("/proc/self/fd").iterdir()] if sys.platform == "linux" else ():
        with suppress(OSError):  # closed by now
            if stat.S_ISSOCK(os.fstat(number).st_mode):
                with socket.socket(fileno=os.dup(number)) as found:
                    if found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) and found.getsockname()[1] == port:
                        yield found


class _Closing:
    """The application. Once `stopping`, each answer ends its connection: nobody sends a request into the end."""

    def __init__(self, application: Any) -> None:
        self._application = application
        self.stopping = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def send_last(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
            await send(message)

        await self._application(scope, receive, send_last if self.stopping else send)


def serve(
    application: Any,
    port: int,
    *,
    announce_stop: Callable[[], None],
    cut_short: Callable[[], None],
    reload: Callable[[], None] | None = None,
) -> None:
    """Serve until told to stop; then `announce_stop`, and, in a thread, `cut_short`, which ends the process.

    Whoever had connected when the signal came gets an answer. `reload` is for SIGHUP.
    """
    uvloop.run(_serve(application, port, announce_stop, cut_short, reload))


async def _serve(
    application: Any,
    port: int,
    announce_stop: Callable[[], None],
    cut_short: Callable[[], None],
    reload: Callable[[], None] | None,
) -> None:
    closing = _Closing(application)
    server = Server(
        closing,
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
        closing.stopping = True
        threading.Thread(target=cut_short, daemon=True).start()
        loop.call_later(LAST_REQUESTS_WITHIN_S, server.stop)
        leave_newcomers_waiting(port)

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    if reload is not None:
        terminal = Terminal()
        loop.add_signal_handler(signal.SIGHUP, lambda: stop() if terminal.is_gone() else reload())
    await server.serve()
