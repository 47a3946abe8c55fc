"""How often a provider may be asked, all processes together: what goes beyond waits its turn, and not for long.

Counted in Redis where there is one; while it is out of reach, each process counts for itself.
"""

import time
from collections.abc import Callable

import structlog
from limits import RateLimitItemPerSecond
from limits.errors import StorageError
from limits.storage import storage_from_string
from limits.strategies import MovingWindowRateLimiter

from domain.errors import TryLater

log = structlog.get_logger()


class Pace:
    """So many requests in any second. Safe to share between threads."""

    def __init__(
        self,
        name: str,
        per_second: int,
        redis_url: str | None = None,
        *,
        patience_s: float = 5.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Whoever uses the same `name` and Redis shares the count; nobody waits longer than `patience_s`."""
        self._name = name
        self._each = RateLimitItemPerSecond(per_second)
        self._step_s = min(max(0.01, 1 / per_second), patience_s)
        self._patience_s = patience_s
        self._sleep = sleep
        self._own = MovingWindowRateLimiter(storage_from_string("memory://"))
        self._shared = None if redis_url is None else _in_redis(redis_url)

    def take(self) -> None:
        """Wait for a turn. Raises TryLater when none comes in time."""
        waited_s = 0.0
        while not self._is_free():
            if waited_s >= self._patience_s:
                raise TryLater(f"{self._name} is asked {self._each.amount} times a second already")
            self._sleep(self._step_s)
            waited_s += self._step_s

    def _is_free(self) -> bool:
        if self._shared is not None:
            try:
                return self._shared.hit(self._each, self._name)
            except StorageError:
                log.warning("pace.uncounted", provider=self._name)
        return self._own.hit(self._each, self._name)


def _in_redis(redis_url: str) -> MovingWindowRateLimiter:
    address = redis_url.replace("unix://", "redis+unix://", 1) if redis_url.startswith("unix://") else redis_url
    return MovingWindowRateLimiter(storage_from_string(address, wrap_exceptions=True))
