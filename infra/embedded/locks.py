"""File locks that the kernel releases when their process ends, however it ends; and bounded waiting.

Each `FileLock` has an open file of its own: two in one process exclude each other as two processes do.
"""

import fcntl
import os
import time
import weakref
from collections.abc import Callable
from pathlib import Path

_held: "weakref.WeakSet[FileLock]" = weakref.WeakSet()


class FileLock:
    """One flock on the file `path`, which is made when missing and never removed. Never blocks."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None

    def try_shared(self) -> bool:
        """Take it beside other shared holders; False while somebody holds it exclusively."""
        return self._try(fcntl.LOCK_SH)

    def try_exclusive(self) -> bool:
        """Take it alone; False while anybody holds it."""
        return self._try(fcntl.LOCK_EX)

    def release(self) -> None:
        """Give it back; free when it is not held."""
        fd, self._fd = self._fd, None
        _held.discard(self)
        if fd is not None:
            os.close(fd)

    def is_free(self) -> bool:
        """Whether nobody, this object included, holds it exclusively."""
        probe = FileLock(self._path)
        free = probe.try_shared()
        probe.release()
        return free

    def _try(self, mode: int) -> bool:
        if self._fd is not None:
            raise RuntimeError(f"{self._path.name} is already held")
        # Not inheritable: a child started by exec never keeps the lock of its parent alive.
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, mode | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        self._fd = fd
        _held.add(self)
        return True


def _forget_after_fork() -> None:
    """A forked child shares its parent's locks and would hold them for as long as it lives."""
    for lock in list(_held):
        lock.release()


os.register_at_fork(after_in_child=_forget_after_fork)


def wait_until(condition: Callable[[], bool], timeout_s: float, pause_s: float = 0.02) -> bool:
    """Ask `condition` until it holds; False when it does not within `timeout_s`. Asks at least once."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(pause_s)
    return True
