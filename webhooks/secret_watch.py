"""Whether an endpoint's secrets are still the provider's, by how many deliveries match one.

A secret that was rolled there and not here refuses everything from one moment on. Providers send again for hours or
days, so there is time to mend it if somebody is told. Strangers can send what matches nothing: all it raises is this.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

#: A stretch of deliveries is this long at least, in time and in number; judged are the present one and the one before.
STRETCH_S, STRETCH_COUNT = 15.0, 3
_ALARM_EVERY_S = 60.0

_log = structlog.get_logger()


@dataclass(slots=True)
class _Stretch:
    began_s: float
    matched: int = 0
    refused: int = 0

    def is_over(self, now_s: float) -> bool:
        return now_s - self.began_s >= STRETCH_S and self.matched + self.refused >= STRETCH_COUNT


@dataclass(slots=True)
class _Endpoint:
    before: _Stretch
    present: _Stretch
    complained_s: float = float("-inf")


class SecretWatch:
    """Fed with every delivery that shows a signature or a password. `monotonic_s` tells the time."""

    def __init__(self, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._monotonic_s = monotonic_s
        self._endpoints: dict[str, _Endpoint] = {}

    def judged(self, provider: str, *, matched: bool) -> None:
        """One delivery matched a secret of ours, or none. Complains at most once a minute."""
        now_s = self._monotonic_s()
        endpoint = self._endpoints.get(provider)
        if endpoint is None:
            endpoint = self._endpoints[provider] = _Endpoint(_Stretch(now_s), _Stretch(now_s))
        if endpoint.present.is_over(now_s):
            endpoint.before, endpoint.present = endpoint.present, _Stretch(now_s)
        if matched:
            endpoint.present.matched += 1
            return
        endpoint.present.refused += 1
        matched_count = endpoint.before.matched + endpoint.present.matched
        refused_count = endpoint.before.refused + endpoint.present.refused
        is_doubtful = refused_count >= max(STRETCH_COUNT, matched_count)
        if is_doubtful and now_s - endpoint.complained_s >= _ALARM_EVERY_S:
            endpoint.complained_s = now_s
            _log.error("secrets.doubted", provider=provider, matched=matched_count, refused=refused_count)
