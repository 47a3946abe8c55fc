"""SIGHUP says one of two things: the terminal has gone, or somebody asks that settings be read again.

A program that takes every SIGHUP for the second goes on unseen when its window is closed, and keeps its port.
"""

import os
from contextlib import suppress


class Terminal:
    """The terminal that this process was started from, if any. Make it at the start."""

    def __init__(self) -> None:
        self._was_there = _is_there()

    def is_gone(self) -> bool:
        """Whether there was one and it has been closed since."""
        return self._was_there and not _is_there()


def _is_there() -> bool:
    with suppress(OSError):
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK))
        return True
    return False
