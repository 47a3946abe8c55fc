"""`servers()`: use the embedded servers of a DATA_DIR, starting them if need be; the last user to leave stops them.

Every user holds a shared lock on run/<server>/users.lock while it is in. One guardian process per server owns the
server; users start the guardian, and start another should it be killed.
"""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import structlog

import infra
from infra.embedded.errors import ServersUnavailable
from infra.embedded.folders import Folders, open_folders
from infra.embedded.leftovers import is_running
from infra.embedded.locks import FileLock, wait_until
from infra.embedded.status import Status, clear_status, read_status

log = structlog.get_logger()

#: initdb, or the recovery of a large cluster, happen within it.
_START_TIMEOUT_S = 180.0
#: A guardian that stops its server takes no longer than all stop steps together.
_STOP_TIMEOUT_S = 20.0
_WATCH_S = 1.0
_WATCH_AFTER_FAILURE_S = 10.0
_LOG_BYTES_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the servers are. Both may hold a password."""

    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)


@contextmanager
def servers(data_dir: Path, *, database_url: str | None, redis_url: str | None) -> Iterator[Addresses]:
    """Addresses of PostgreSQL and Redis: the given URLs, and servers of our own in `data_dir` where one is None.

    Waits until they serve; a first start takes seconds. On leaving, the last user waits until what ran is gone.
    Should a server or its guardian crash meanwhile, it comes back at the same address.
    Raises `ServersUnavailable`, which says what to do.
    """
    given = {"postgres": database_url, "redis": redis_url}
    missing = tuple(name for name, url in given.items() if url is None)
    if not missing:
        yield Addresses(database_url or "", redis_url or "")
        return
    folders = open_folders(data_dir, missing)
    memberships = {name: _Membership(folders, name) for name in missing}
    with contextlib.ExitStack() as leaving:
        leaving.callback(_leave_all, list(memberships.values()))
        for membership in memberships.values():
            membership.join()
        # Both guardians are at work before the first is waited for.
        urls = {name: membership.wait_until_ready() for name, membership in memberships.items()}
        leaving.enter_context(_watching(memberships, urls))
        yield Addresses(database_url or urls["postgres"], redis_url or urls["redis"])


class _Membership:
    """This process' use of one server."""

    def __init__(self, folders: Folders, name: str) -> None:
        self._folders = folders
        self._name = name
        self._run = folders.run(name)
        self._users = FileLock(self._run / "users.lock")
        self._start = FileLock(self._run / "start.lock")
        self._alive = FileLock(self._run / "guardian.lock")
        self._child: int | None = None

    def join(self) -> None:
        """Become a user, and start a guardian if there is none. A guardian that is stopping is waited for."""
        if not wait_until(self._users.try_shared, _STOP_TIMEOUT_S):
            raise ServersUnavailable(f"the {self._name} of {self._folders.data} does not stop; end it by hand")
        self._start_guardian_if_none()

    def wait_until_ready(self, given_up: Callable[[], bool] = lambda: False) -> str:
        """The server's URL once it serves."""
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline and not given_up():
            status = read_status(self._run)
            if self.has_guardian():
                if status is not None and status.state == "ready":
                    return status.url
            elif self.reap():
                raise ServersUnavailable(_failure(self._folders, self._name, status))
            else:
                self._start_guardian_if_none()
            time.sleep(0.02)
        raise ServersUnavailable(
            f"{self._name} is not ready after {_START_TIMEOUT_S:.0f} s; {self._folders.log} says why"
        )

    def has_guardian(self) -> bool:
        """Whether one is alive."""
        return not self._alive.is_free()

    def release(self) -> None:
        """Stop being a user; free where it is none."""
        self._users.release()

    def wait_until_gone(self) -> None:
        """Return when others use the server, or when it and its guardian are gone."""
        if wait_until(lambda: not self.has_guardian() or self._others_use_it(), _STOP_TIMEOUT_S):
            if not self.has_guardian():
                self._wait_for_exit()
        else:
            log.warning("server.outlived", server=self._name, timeout_s=_STOP_TIMEOUT_S)

    def _start_guardian_if_none(self) -> None:
        """At most one starter at a time; the others come back to look."""
        if not self._start.try_exclusive():
            return
        try:
            if self._child is None and not self.has_guardian():
                clear_status(self._run)
                self._child = _spawn_guardian(self._folders, self._name)
                # The lock is the sign of life others look for: hold them off until it is there.
                wait_until(lambda: self.has_guardian() or not is_running(self._child or 0), 10.0)
        finally:
            self._start.release()

    def reap(self) -> bool:
        """Whether the guardian that this process started has ended; it is forgotten then."""
        if self._child is None:
            return False
        with contextlib.suppress(ChildProcessError):  # the program around us reaps every child
            if os.waitpid(self._child, os.WNOHANG) == (0, 0):
                return False
        self._child = None
        return True

    def _wait_for_exit(self) -> None:
        """A guardian without its lock has a few milliseconds to live; after them no process is left."""
        status = read_status(self._run)
        wait_until(lambda: self._child is None or self.reap(), 2.0, 0.005)
        if status is not None:
            wait_until(lambda: not is_running(status.guardian_pid), 2.0, 0.005)

    def _others_use_it(self) -> bool:
        probe = FileLock(self._users_path())
        nobody = probe.try_exclusive()
        probe.release()
        return not nobody and self._users.is_free()

    def _users_path(self) -> Path:
        return self._run / "users.lock"


def _leave_all(memberships: list[_Membership]) -> None:
    for membership in memberships:
        membership.release()
    for membership in memberships:
        membership.wait_until_gone()


@contextmanager
def _watching(memberships: dict[str, _Membership], urls: dict[str, str]) -> Iterator[None]:
    """While inside, a thread starts another guardian where one was killed."""
    done = threading.Event()
    watch = threading.Thread(target=_watch, args=(memberships, urls, done), name="guardian-watch", daemon=True)
    watch.start()
    try:
        yield
    finally:
        done.set()
        watch.join()


def _watch(memberships: dict[str, _Membership], urls: dict[str, str], done: threading.Event) -> None:
    pause_s = _WATCH_S
    while not done.wait(pause_s):
        pause_s = _WATCH_S
        for name, membership in memberships.items():
            if membership.has_guardian():
                continue
            membership.reap()
            log.warning("guardian.lost", server=name)
            try:
                url = membership.wait_until_ready(done.is_set)
            except (ServersUnavailable, OSError) as error:
                if not done.is_set():
                    log.error("guardian.failed", server=name, reason=str(error))
                pause_s = _WATCH_AFTER_FAILURE_S
            else:
                log.info("guardian.replaced", server=name, same_address=url == urls[name])


def _failure(folders: Folders, name: str, status: Status | None) -> str:
    if status is not None and status.state == "failed":
        return status.error
    return f"the guardian of {name} ended unexpectedly; {folders.log / 'guardian.log'} says why"


def _spawn_guardian(folders: Folders, name: str) -> int:
    """Start it with no more than it needs of our environment; it detaches itself. Its process id."""
    out = folders.log / "guardian.log"
    if out.exists() and out.stat().st_size > _LOG_BYTES_MAX:
        out.replace(out.with_suffix(".log.1"))
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": os.pathsep.join([str(Path(infra.__file__).resolve().parent.parent), *_extra_import_folders()]),
    }
    if "TMPDIR" in os.environ:
        environment["TMPDIR"] = os.environ["TMPDIR"]
    return os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", "infra.embedded.guardian", name, str(folders.data)],
        environment,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(out), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        # A thread of ours that holds signals back must not make it deaf.
        setsigmask=(),
    )


def _extra_import_folders() -> list[str]:
    inherited = os.environ.get("PYTHONPATH", "")
    return [str(Path(entry).resolve()) for entry in inherited.split(os.pathsep) if entry]
