"""The process that owns one embedded server: `python -m infra.embedded.guardian postgres|redis DATA_DIR`.

It starts the server, starts it again after a crash, and stops it once nobody holds the users' lock any more, which
the kernel releases for a user however that one ends. Its own lock says that it is alive.
"""

import logging.handlers
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Literal

import structlog

from infra.embedded.errors import ServersUnavailable
from infra.embedded.folders import Folders
from infra.embedded.leftovers import end_processes
from infra.embedded.locks import FileLock, wait_until
from infra.embedded.server import Server
from infra.embedded.status import Status, write_status
from infra.log import configure_logging

log = structlog.get_logger()

_POLL_S = 0.2
_START_ATTEMPTS_MAX = 3
#: A server that recovers after a crash may need long; one that exits is noticed at once.
_READY_TIMEOUT_S = 120.0
_BACKOFF_FIRST_S = 0.2
_BACKOFF_MAX_S = 10.0
_HEALTHY_AFTER_S = 10.0
_RESTARTS_MAX = 10
_LOG_BYTES_MAX = 4_000_000
_LOG_FILES_KEPT = 2


class Guardian:
    """One server of one DATA_DIR, from its start to its stop. Lives in the main thread of a process of its own."""

    def __init__(self, name: str, folders: Folders, server: Server) -> None:
        self._name = name
        self._folders = folders
        self._server = server
        self._users = FileLock(folders.run(name) / "users.lock")
        self._process: subprocess.Popen[bytes] | None = None
        self._is_done = False

    def tell_to_stop(self, *_: object) -> None:
        """Signal handler: stop the server although it has users."""
        self._is_done = True

    def run(self) -> int:
        """Guard until nobody uses the server; the exit code."""
        try:
            self._start()
            if self._is_needed():
                self._announce("ready")
                log.info("server.started", server=self._name, pid=self._process and self._process.pid)
                self._guard()
        except (ServersUnavailable, OSError) as error:  # the latter of a full disk, for one
            log.error("server.abandoned", server=self._name, reason=str(error))
            self._stop()
            self._announce("failed", str(error))
            return 1
        self._announce("stopping")
        self._stop()
        log.info("server.stopped", server=self._name)
        return 0

    def _is_needed(self) -> bool:
        """False from the moment the users' lock is ours: from then on it is kept, and newcomers wait for our end."""
        self._is_done = self._is_done or self._users.try_exclusive()
        return not self._is_done

    def _start(self) -> None:
        """Start it and wait until it serves or is not needed any more."""
        for _ in range(_START_ATTEMPTS_MAX):
            self._clear_leftovers()
            self._server.prepare()
            self._spawn()
            deadline = time.monotonic() + _READY_TIMEOUT_S
            while self._is_running() and time.monotonic() < deadline:
                if self._server.is_ready() or not self._is_needed():
                    return
                time.sleep(0.03)
            self._stop()
        raise ServersUnavailable(f"{self._name} does not start; {self._log_file()} says why")

    def _guard(self) -> None:
        restarts, started_at = 0, time.monotonic()
        while self._is_needed():
            time.sleep(_POLL_S)
            if self._is_running():
                continue
            if time.monotonic() - started_at > _HEALTHY_AFTER_S:
                restarts = 0
            if restarts == _RESTARTS_MAX:
                raise ServersUnavailable(f"{self._name} ended {restarts} times in a row; {self._log_file()} says why")
            log.warning("server.exited", server=self._name, code=self._process and self._process.returncode)
            if not self._pause(min(_BACKOFF_MAX_S, _BACKOFF_FIRST_S * 2**restarts)):
                return
            restarts, started_at = restarts + 1, time.monotonic()
            self._clear_leftovers()
            self._spawn()
            self._announce("ready")
            log.info("server.restarted", server=self._name, pid=self._process and self._process.pid, restarts=restarts)

    def _pause(self, seconds: float) -> bool:
        """Wait; False when the server is not needed any more."""
        return not wait_until(lambda: not self._is_needed(), seconds, _POLL_S)

    def _is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _spawn(self) -> None:
        self._process = self._server.spawn()
        assert self._process.stdout is not None
        arguments = (self._process.stdout, self._log_file())
        threading.Thread(target=_keep_log, args=arguments, name=f"{self._name}-log", daemon=True).start()

    def _stop(self) -> None:
        if self._process is not None and self._is_running():
            for step, wait_s in self._server.stop_steps:
                self._process.send_signal(step)
                if wait_until(lambda: not self._is_running(), wait_s):
                    break
        self._clear_leftovers()
        self._server.forget()

    def _clear_leftovers(self) -> None:
        pids = self._server.leftovers()
        if pids and not end_processes(pids, self._server.stop_steps):
            raise ServersUnavailable(f"an earlier {self._name} does not end (process {pids[0]}); end it by hand")

    def _announce(self, state: Literal["starting", "ready", "failed", "stopping"], error: str = "") -> None:
        server_pid = self._process.pid if self._process is not None and self._is_running() else 0
        url = self._server.url() if state == "ready" else ""
        write_status(self._folders.run(self._name), Status(state, os.getpid(), server_pid, url, error))

    def _log_file(self) -> Path:
        return self._folders.log / f"{self._name}.log"


def _keep_log(stream: IO[bytes], path: Path) -> None:
    """Move what the server says into files of bounded size; a full disk costs lines and never stops the reading."""
    handler = logging.handlers.RotatingFileHandler(
        path, maxBytes=_LOG_BYTES_MAX, backupCount=_LOG_FILES_KEPT, errors="replace", delay=True
    )
    with stream:
        for line in stream:
            text = line.decode(errors="replace").rstrip("\n")
            handler.emit(logging.LogRecord(path.stem, logging.INFO, "", 0, "%s", (text,), None))
    handler.close()


def main(name: str, data_dir: str) -> int:
    """Become the guardian of server `name`; returns 0 at once where there is one already."""
    folders = Folders(Path(data_dir))
    alive = FileLock(folders.run(name) / "guardian.lock")
    # Others look whether it is free, for an instant each.
    if not wait_until(alive.try_exclusive, 2.0):
        return 0
    configure_logging("guardian")
    write_status(folders.run(name), Status("starting", os.getpid()))
    try:
        guardian = Guardian(name, folders, _server(name, folders))
    except (ServersUnavailable, OSError) as error:
        write_status(folders.run(name), Status("failed", os.getpid(), error=str(error)))
        return 1
    signal.signal(signal.SIGTERM, guardian.tell_to_stop)
    signal.signal(signal.SIGINT, guardian.tell_to_stop)
    try:
        return guardian.run()
    finally:
        alive.release()


def _server(name: str, folders: Folders) -> Server:
    """Each kind is loaded on its own: two clients in one process would cost time at each start, and memory."""
    if name == "postgres":
        from infra.embedded.postgres_server import PostgresServer

        return PostgresServer(folders)
    from infra.embedded.redis_server import RedisServer

    return RedisServer(folders)


def _detach() -> None:
    """Out of the terminal's reach and of the starter's folder; what is made here is closed to others."""
    if os.getsid(0) != os.getpid():
        os.setsid()
    os.chdir("/")
    os.umask(0o077)


if __name__ == "__main__":
    _detach()
    logging.raiseExceptions = False
    sys.exit(main(*sys.argv[1:]))
