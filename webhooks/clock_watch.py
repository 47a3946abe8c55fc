"""Whether this machine's clock is right, by the times that others sign with: they are many, and we are one.

Only true signatures count, but also those refused for their time. A request that was captured and is sent again has a
true one too: it takes a majority of the last deliveries to raise the alarm, and an alarm is all they can raise.
"""

import statistics
import time
from collections import deque
from collections.abc import Callable

import structlog

#: A clock that is wrong by more than this is worth an alarm; beyond 300 s nothing is let in any more.
DOUBTFUL_S = 60.0
#: Of how many deliveries the median is taken, at most and at least.
LAST_COUNT, LEAST_COUNT = 25, 10
_ALARM_EVERY_S = 60.0

_log = structlog.get_logger()


class ClockWatch:
    """Fed with every truly signed delivery. `monotonic_s` tells when to complain again."""

    def __init__(self, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._monotonic_s = monotonic_s
        self._skews: deque[float] = deque(maxlen=LAST_COUNT)
        self._complained_s = float("-inf")

    @property
    def skew_s(self) -> float:
        """How far our clock is ahead, by the median of the last deliveries; 0 until there are some."""
        return statistics.median(self._skews) if len(self._skews) >= LEAST_COUNT else 0.0

    def signed(self, skew_s: float) -> None:
        """Somebody signed at a time of which ours was so far ahead. Complains at most once a minute."""
        self._skews.append(skew_s)
        # A glance first: a median for each delivery would cost more than checking its signature.
        if abs(skew_s) > DOUBTFUL_S and abs(self.skew_s) > DOUBTFUL_S:
            now_s = self._monotonic_s()
            if now_s - self._complained_s >= _ALARM_EVERY_S:
                self._complained_s = now_s
                _log.error("clock.doubted", skew_s=round(self.skew_s), deliveries=len(self._skews))
