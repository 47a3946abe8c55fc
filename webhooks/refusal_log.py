"""Refusals in the log, at a pace nobody outside can set: counters have them all, the log has examples."""

import time
from collections.abc import Callable

import structlog

#: Lines per second and (status, reason); the next second's first line says how many were left out.
LINES_PER_S = 5

_log = structlog.get_logger()


class RefusalLog:
    """Writes the first few refusals of each kind in each second. `monotonic_s` tells the time."""

    def __init__(self, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._monotonic_s = monotonic_s
        self._second = 0
        self._counts: dict[tuple[int, str], int] = {}

    def refused(self, provider: str, status: int, reason: str) -> None:
        """Note one refused delivery."""
        second = int(self._monotonic_s())
        if second != self._second:
            self._tell_left_out(provider)
            self._second = second
        kind = (status, reason)
        self._counts[kind] = count = self._counts.get(kind, 0) + 1
        if count <= LINES_PER_S:
            _log.info("delivery.refused", provider=provider, status=status, reason=reason)

    def _tell_left_out(self, provider: str) -> None:
        for (status, reason), count in self._counts.items():
            if count > LINES_PER_S:
                left_out = count - LINES_PER_S
                _log.info("delivery.refusals_left_out", provider=provider, status=status, reason=reason, count=left_out)
        self._counts.clear()
