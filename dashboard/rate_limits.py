"""How often one caller may ask, counted in Redis for all processes together.

Without Redis nobody is turned away, but for attempts to sign in: those each process counts by itself then.
"""

import hashlib
import math
import time
from collections.abc import Callable

import redis
import structlog
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import RateLimiter, SlidingWindowCounterRateLimiter

#: Requests without working credentials that one address may make in a minute.
REFUSED_PER_MINUTE = 120
#: Attempts to sign in to the pages that one address, and whoever claims to be one person, may make in a minute.
SIGN_INS_PER_MINUTE = 30
SIGN_INS_OF_ONE_PER_MINUTE = 10

_ANSWERS_WITHIN_S = 0.25
#: After Redis failed, it is left alone for a while: every request would wait for it.
_LEFT_ALONE_S = 5.0

_log = structlog.get_logger()


class RateLimits:
    """May be asked from any thread. `clock` gives seconds that never go back."""

    def __init__(self, redis_url: str, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._pool = redis.ConnectionPool.from_url(
            redis_url, socket_timeout=_ANSWERS_WITHIN_S, socket_connect_timeout=_ANSWERS_WITHIN_S, protocol=2
        )
        storage = RedisStorage("redis://", connection_pool=self._pool, key_prefix="api-limits")
        self._limiter = SlidingWindowCounterRateLimiter(storage)
        self._of_callers = RateLimitItemPerMinute(per_minute)
        self._of_strangers = RateLimitItemPerMinute(REFUSED_PER_MINUTE)
        self._sign_ins = RateLimitItemPerMinute(SIGN_INS_PER_MINUTE)
        self._sign_ins_of_one = RateLimitItemPerMinute(SIGN_INS_OF_ONE_PER_MINUTE)
        self._alone = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._clock = clock
        self._ask_again_s = float("-inf")

    def close(self) -> None:
        """Give back the connections."""
        self._pool.disconnect()

    def wait_of_caller(self, actor: str) -> int | None:
        """Count one request of a known caller: None to let it in, else seconds to wait."""
        return self._hit(self._of_callers, "caller", actor)

    def wait_of_stranger(self, address: str) -> int | None:
        """Count one request without working credentials: None, or seconds to wait."""
        return self._hit(self._of_strangers, "stranger", address)

    def wait_of_sign_in(self, address: str, name: str) -> int | None:
        """Count one attempt of somebody who says they are `name`, which is not kept: None, or seconds to wait."""
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
        waits = (
            self._hit(self._sign_ins, "sign-in-from", address, self._alone),
            self._hit(self._sign_ins_of_one, "sign-in-as", digest, self._alone),
        )
        return max((wait_s for wait_s in waits if wait_s is not None), default=None)

    def _hit(
        self, item: RateLimitItemPerMinute, kind: str, who: str, without_redis: RateLimiter | None = None
    ) -> int | None:
        if self._clock() >= self._ask_again_s:
            try:
                return _wait(self._limiter, item, kind, who)
            except (redis.RedisError, OSError) as error:
                self._ask_again_s = self._clock() + _LEFT_ALONE_S
                _log.warning("rate_limits.suspended", error=type(error).__name__, for_s=_LEFT_ALONE_S)
        return None if without_redis is None else _wait(without_redis, item, kind, who)


def _wait(limiter: RateLimiter, item: RateLimitItemPerMinute, kind: str, who: str) -> int | None:
    if limiter.hit(item, kind, who):
        return None
    reset_at = limiter.get_window_stats(item, kind, who).reset_time
    return max(1, min(60, math.ceil(reset_at - time.time())))
